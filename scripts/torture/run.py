#!/usr/bin/env python3
"""Fault-injection tests of a real server: `make torture`.

Faults are kills, power cuts, failing system calls, a full disk, broken uploads, hostile plugins, damaged files and
kills during calls to a platform. After each fault, input, staging and target are reconciled by identity and content
hash. The exit code is 0 only if there is no finding. The seed determines every choice, but not the exact time of a
kill.
"""

import argparse
import os
import random
import shlex
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bench")]

import backups
import crowd
import damage
import defects
import kills
import mambu
import powercuts
import selfcheck
import smalldisk
import syscalls
import uploads
import workers
from client import Workload
from dataset import Dataset
from report import Report
from server_process import Workspace

#: Parts by their names on the command line.
PARTS = {
    "kills": kills,
    "powercuts": powercuts,
    "syscalls": syscalls,
    "smalldisk": smalldisk,
    "uploads": uploads,
    "workers": workers,
    "crowd": crowd,
    "damage": damage,
    "mambu": mambu,
    "backups": backups,
}


def parse_arguments():
    """Parses the command line."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target"))
    comma_separated = lambda text: [part for part in text.split(",") if part]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="seed of all random choices")
    parser.add_argument("--kills", type=int, default=1_000, help="number of kills of the part kills")
    parser.add_argument(
        "--turns", type=int, default=170, help="number of turns of each other part, fewer for long ones"
    )
    parser.add_argument(
        "--parts", type=comma_separated, default=list(PARTS), help=f"parts to run, of {','.join(PARTS)}"
    )
    parser.add_argument("--turn", type=int, help="run only this turn of each part, as named by a finding")
    parser.add_argument("--minutes", type=float, default=60, help="time after which no turn starts")
    parser.add_argument("--binary", type=Path, default=target / "debug/sluice", help="server to test")
    parser.add_argument(
        "--guests",
        type=Path,
        default=target / "debug/build",
        help="folder of the hostile plugins, built with the tests",
    )
    parser.add_argument("--self-check", action="store_true", help="check that the oracle detects tampering")
    parser.add_argument("--defects", type=Path, help="server with selectable defects, each of which must be found")
    parser.add_argument("--work", type=Path, help="folder for data directories [default: a temporary folder]")
    return parser.parse_args()


def main():
    """Runs all parts. Returns the exit code."""
    options = parse_arguments()
    # An exit stops servers and unmounts disks, a default SIGTERM would not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not options.binary.exists():
        sys.exit(f"{options.binary} does not exist: build it with `make build` or name another with --binary")
    command = shlex.join(["scripts/torture/run.py", "--seed", str(options.seed)])
    with tempfile.TemporaryDirectory(prefix="sluice-torture-") as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        report = Report(command, work)
        workspace = Workspace(options.binary, work)
        workspace.hostile_plugins = options.guests
        workspace.prepare(lambda server: Workload(Dataset(30, 1), random.Random(1)).run(server))
        datasets = kills.ReferenceSets(workspace, options.seed)
        if options.self_check:
            return 0 if selfcheck.run(report, workspace, datasets, options.seed) else 1
        if options.defects:
            all_found = defects.run(report, workspace, datasets, options.seed, options.defects)
            print(report.table())
            return 0 if all_found else 1
        deadline = time.monotonic() + options.minutes * 60
        out_of_time = lambda: time.monotonic() > deadline
        for part in options.parts:
            report.log(f"part: {part}")
            try:
                count = options.kills if part == "kills" else options.turns
                PARTS[part].run(report, workspace, datasets, options.seed, count, out_of_time, options.turn)
            except Exception:
                traceback.print_exc()
                report.add_finding("unclear", part, options.turn or 0, "the part ended with an exception")
        print(report.table())
        return 0 if report.passed() else 1


if __name__ == "__main__":
    sys.exit(main())
