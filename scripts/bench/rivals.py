"""What a user would take instead: each set up in a folder of its own, run, and asked how long it took."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent / "rivals"

#: Seconds that a rival's set-up, and one run of it, may take.
SETUP_SECONDS, RUN_SECONDS = 600, 3_600


class Unavailable(Exception):
    """A rival that cannot be set up here, with the reason."""


class Rival:
    """A program that fills a database with the same rows."""

    def __init__(self, name, title, program, packages, derived=True, tools=()):
        self.name, self.title, self.program, self.packages = name, title, program, packages
        #: Whether reference ids are derived as ours are, so that rows can be compared whole.
        self.derived = derived
        self.tools = tools
        self.folder = self.python = self.versions = None

    def set_up(self, base):
        """Installs it, unless it is there."""
        self.folder = Path(base) / self.name
        self.python = sys.executable
        versions = [re.sub(r"\[.*\]", "", package).replace("==", " ") for package in self.packages]
        if self.packages:
            self.python = install(self.folder, self.packages)
        versions += [tool(name, package, self.folder) for name, package in self.tools]
        self.versions = ", ".join(versions)

    def run(self, bank, database, namespace):
        """Seconds to the last row, and to unique ids."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        library = str(self.folder / "lib-tools")
        environment = {
            **os.environ, "PATH": path, "DLT_DATA_DIR": str(self.folder / "dlt"), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        if Path(library).exists():
            environment["LD_LIBRARY_PATH"] = library
        command = [self.python, HERE / self.program, bank, database, namespace]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS)
        if done.returncode:
            raise RuntimeError(f"{self.title} failed: {done.stderr[-2000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def install(folder, packages):
    """A virtual environment with these packages; its Python."""
    python, ready = folder / "venv/bin/python", folder / "ready"
    if ready.exists() and ready.read_text() == "\n".join(packages):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    steps = [[sys.executable, "-m", "venv", folder / "venv"]]
    steps.append([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
    for step in steps:
        attempt(step)
    ready.write_text("\n".join(packages))
    return python


def attempt(step, cwd=None):
    """Runs a step of a set-up, or says that the rival is unavailable."""
    try:
        done = subprocess.run(step, cwd=cwd, capture_output=True, text=True, timeout=SETUP_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise Unavailable(f"{Path(str(step[0])).name} ended with {done.returncode}: {last[:200]}")
    return done.stdout


def tool(name, packages, folder):
    """A program: of this machine, or else Debian's, unpacked into the folder; its version."""
    binary = folder / "bin" / name
    if not binary.exists() and not shutil.which(name):
        fetch(packages, folder)
    found = str(binary) if binary.exists() else shutil.which(name)
    said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout.split()
    return f"{name} {said[0].removeprefix(name + '-')}" if said else name


def fetch(packages, folder):
    """Unpacks packages of the distribution, without installing them."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable(f"{packages[0]} is not installed, and this is no Debian")
    unpacked = folder / "unpacked"
    unpacked.mkdir(parents=True, exist_ok=True)
    attempt(["apt-get", "download", *packages], cwd=unpacked)
    for package in unpacked.glob("*.deb"):
        attempt(["dpkg-deb", "-x", package, unpacked])
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "lib-tools").mkdir(exist_ok=True)
    for program in (unpacked / "usr/bin").iterdir():
        shutil.copy(program, folder / "bin")
    for library in (unpacked / "usr/lib").rglob("*.so*"):
        shutil.copy(library, folder / "lib-tools")


#: The first is the one that others are held against.
RIVALS = [
    Rival("script", "Python script, orjson into SQLite", "orjson_load.py", ["orjson==3.13.0"]),
    Rival(
        "jq", "jq and sqlite3", "jq_load.py", [], derived=False,
        tools=[("jq", ["jq", "libjq1", "libonig5"]), ("sqlite3", ["sqlite3", "libsqlite3-0"])],
    ),
    Rival("dlt", "dlt into SQLite", "dlt_load.py", ["dlt[sqlalchemy]==1.31.0", "orjson==3.13.0"]),
    Rival(
        "polars", "polars into SQLite", "polars_load.py",
        ["polars==2.1.0", "adbc-driver-sqlite==1.13.0", "pyarrow==26.0.1"],
    ),
]  # fmt: skip


def set_up(base, names, say):
    """Those that could be set up, and the others with the reason."""
    ready, skipped = [], {}
    for rival in RIVALS:
        if names and rival.name not in names:
            skipped[rival.title] = "not asked for"
            continue
        say(f"setting up {rival.name}")
        try:
            rival.set_up(base)
            ready.append(rival)
        except (Unavailable, OSError) as error:
            skipped[rival.title] = str(error)
            say(f"skipped {rival.name}: {error}")
    return ready, skipped
