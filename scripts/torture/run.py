#!/usr/bin/env python3
"""Tortures a real server, repeatably: `make torture`.

Kills, power cuts, failing system calls, a full disk, broken uploads, a crowd with hostile plugins, damaged files, a
platform that is called. Afterwards input, staging and target are compared by identity and content hash. Ends with 0
only if nothing was found. The seed decides every choice; when exactly a kill meets a server is the machine's.
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
from client import Journey
from dataset import Books
from report import Account
from server_process import Place

PARTS = {
    "kills": kills,
    "powercuts": powercuts,
    "syscalls": syscalls,
    "smalldisk": smalldisk,
    "uploads": uploads,
    "crowd": crowd,
    "damage": damage,
    "mambu": mambu,
    "backups": backups,
}


def arguments():
    """What it is told."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target"))
    words = lambda text: [part for part in text.split(",") if part]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same choices")
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=170, help="of each other part, or fewer where they are long")
    parser.add_argument("--parts", type=words, default=list(PARTS), help=f"which parts, of {','.join(PARTS)}")
    parser.add_argument("--turn", type=int, help="only this turn of each part, as a finding names it")
    parser.add_argument("--minutes", type=float, default=60, help="after which nothing new is begun")
    parser.add_argument("--binary", type=Path, default=target / "debug/sluice", help="the server")
    parser.add_argument(
        "--guests", type=Path, default=target / "debug/build", help="where the tests' hostile plugins are"
    )
    parser.add_argument("--self-check", action="store_true", help="tampers with what was read: each has to be noticed")
    parser.add_argument(
        "--defects", type=Path, help="a server that can be told to do something wrong: each defect has to be found"
    )
    parser.add_argument("--work", type=Path, help="where data directories are made [default: a temporary folder]")
    return parser.parse_args()


def main():
    """Does it; the exit code."""
    options = arguments()
    # Whoever ends it wants servers to end, and disks to be taken away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not options.binary.exists():
        sys.exit(f"{options.binary} is not there: `make build` makes it, and --binary names another")
    command = shlex.join(["scripts/torture/run.py", "--seed", str(options.seed)])
    with tempfile.TemporaryDirectory(prefix="sluice-torture-") as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        account = Account(command, work)
        place = Place(options.binary, work)
        place.guests = options.guests
        place.prepare(lambda life: Journey(Books(30, 1), random.Random(1)).go(life))
        banks = kills.Banks(place, options.seed)
        if options.self_check:
            return 0 if selfcheck.run(account, place, banks, options.seed) else 1
        if options.defects:
            found = defects.run(account, place, banks, options.seed, options.defects)
            print(account.table())
            return 0 if found else 1
        until = time.monotonic() + options.minutes * 60
        out_of_time = lambda: time.monotonic() > until
        for part in options.parts:
            account.say(f"part: {part}")
            try:
                many = options.kills if part == "kills" else options.turns
                PARTS[part].run(account, place, banks, options.seed, many, out_of_time, options.turn)
            except Exception:
                traceback.print_exc()
                account.found("unclear", part, options.turn or 0, "the part itself broke off")
        print(account.table())
        return 0 if account.kept() else 1


if __name__ == "__main__":
    sys.exit(main())
