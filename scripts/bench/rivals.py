"""Rivals: other tools that move the same records. Each one is set up in its own folder and reports its time."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

#: Folder of the rivals' programs.
HERE = Path(__file__).parent / "rivals"

#: Maximum seconds of the set-up and of one run of a rival.
SETUP_SECONDS, RUN_SECONDS = 600, 3_600


class Unavailable(Exception):
    """The reason why a rival cannot be set up."""


class Rival:
    """A program that fills a database with the same rows."""

    def __init__(self, name, title, program, packages, derived=True, tools=()):
        self.name, self.title, self.program, self.packages = name, title, program, packages
        #: True if reference ids are derived as in Sluice, so that complete rows can be compared.
        self.derived = derived
        self.tools = tools
        self.folder = self.python = self.versions = None

    def set_up(self, base):
        """Installs the rival unless it is installed."""
        self.folder = Path(base) / self.name
        self.python = sys.executable
        versions = [re.sub(r"\[.*\]", "", package).replace("==", " ") for package in self.packages]
        if self.packages:
            self.python = install(self.folder, self.packages)
        versions += [find_tool(name, package, self.folder) for name, package in self.tools]
        self.versions = ", ".join(versions)

    def run(self, bank, database, namespace):
        """Runs the rival. Returns the seconds until the last row, and until reference ids are unique."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        library = str(self.folder / "lib-tools")
        environment = {
            **os.environ, "PATH": path, "DLT_DATA_DIR": str(self.folder / "dlt"), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        if Path(library).exists():
            environment["LD_LIBRARY_PATH"] = library
        command = [self.python, HERE / self.program, bank, database, namespace]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS)
        if result.returncode:
            raise RuntimeError(f"{self.title} failed: {result.stderr[-2000:]}")
        return json.loads(result.stdout.strip().splitlines()[-1])


def install(folder, packages):
    """Creates a virtual environment with these packages. Returns its Python."""
    python, ready = folder / "venv/bin/python", folder / "ready"
    if ready.exists() and ready.read_text() == "\n".join(packages):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    steps = [[sys.executable, "-m", "venv", folder / "venv"]]
    steps.append([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
    for step in steps:
        run_step(step)
    ready.write_text("\n".join(packages))
    return python


def run_step(step, cwd=None):
    """Runs a step of a set-up. Raises `Unavailable` if it fails."""
    try:
        result = subprocess.run(step, cwd=cwd, capture_output=True, text=True, timeout=SETUP_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if result.returncode:
        last_line = (result.stderr.strip() or result.stdout.strip() or "no message").splitlines()[-1]
        raise Unavailable(f"{Path(str(step[0])).name} ended with {result.returncode}: {last_line[:200]}")
    return result.stdout


def find_tool(name, packages, folder):
    """Finds a program on this machine or unpacks it from Debian packages. Returns its name and version."""
    binary = folder / "bin" / name
    if not binary.exists() and not shutil.which(name):
        unpack_packages(packages, folder)
    binary_path = str(binary) if binary.exists() else shutil.which(name)
    version = subprocess.run([binary_path, "--version"], capture_output=True, text=True).stdout.split()
    return f"{name} {version[0].removeprefix(name + '-')}" if version else name


def unpack_packages(packages, folder):
    """Unpacks packages of the distribution without installing them."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable(f"{packages[0]} is not installed, and this system is not Debian")
    unpacked = folder / "unpacked"
    unpacked.mkdir(parents=True, exist_ok=True)
    run_step(["apt-get", "download", *packages], cwd=unpacked)
    for package in unpacked.glob("*.deb"):
        run_step(["dpkg-deb", "-x", package, unpacked])
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "lib-tools").mkdir(exist_ok=True)
    for program in (unpacked / "usr/bin").iterdir():
        shutil.copy(program, folder / "bin")
    for library in (unpacked / "usr/lib").rglob("*.so*"):
        shutil.copy(library, folder / "lib-tools")


#: All rivals. The speed-up of the import is relative to the first.
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


def set_up(base, names, log):
    """Sets up rivals. Returns those that are ready, and the reasons of the others."""
    ready, skipped = [], {}
    for rival in RIVALS:
        if names and rival.name not in names:
            skipped[rival.title] = "not selected"
            continue
        log(f"setting up {rival.name}")
        try:
            rival.set_up(base)
            ready.append(rival)
        except (Unavailable, OSError) as error:
            skipped[rival.title] = str(error)
            log(f"skipped {rival.name}: {error}")
    return ready, skipped
