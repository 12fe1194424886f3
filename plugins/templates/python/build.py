"""Builds the component: `.venv/bin/python build.py`. The component imports only what `wit/` names."""

import subprocess
import sys
from pathlib import Path

Path("dist").mkdir(exist_ok=True)
componentize = Path(sys.executable).with_name("componentize-py")
world = ["--wit-path", "wit", "--world", "mapper"]
subprocess.run(
    [componentize, *world, "componentize", "--stub-wasi", "component", "-o", "dist/{{name}}.wasm"], check=True
)
