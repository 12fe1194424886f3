#!/usr/bin/env python3
"""Measures Sluice from outside, on this machine, and prints one account of it: `make bench`.

What others are held against is measured in the same run, in turns, so that what disturbs the one disturbs the other.
A time counts only where the result is right: ends with 1 if anything comes to something else.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import bank
import chart
import cold_start
import growth
import machine
import mapping_throughput
import migration
import rivals
import small_migrations
from server import Failed

PARTS = ["way", "mapping", "growth", "starts", "crowd"]


def arguments():
    """What it is told, by flags and by `BENCH=quick`."""
    quick = os.environ.get("BENCH") == "quick"
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    whole = lambda text: [int(float(part)) for part in text.split(",")]
    words = lambda text: [part for part in text.split(",") if part]
    parser.add_argument("--sluice", type=Path, default=target / "debug/sluice", help="the command to measure")
    parser.add_argument("--work", type=Path, default=target / "bench", help="where everything is set up")
    parser.add_argument("--parts", type=words, default=PARTS, help=f"which parts, of {','.join(PARTS)}")
    parser.add_argument(
        "--records", type=int, default=10_000 if quick else 1_000_000, help="of the five steps and of the rivals"
    )
    parser.add_argument("--rounds", type=int, default=3 if quick else 5)
    parser.add_argument("--rivals", type=words, default=[], help="only these")
    parser.add_argument(
        "--sizes", type=whole, default=whole("1e4,1e5" if quick else "1e4,1e5,1e6,1e7"), help="of the growth"
    )
    parser.add_argument("--languages", type=words, default=[] if quick else ["javascript", "python"], help="also: rust")
    parser.add_argument("--migrations", type=int, default=100 if quick else 1_000, help="small ones")
    parser.add_argument("--at-once", type=whole, default=whole("16,100" if quick else "16,1000"))
    parser.add_argument("--minutes", type=float, default=10 if quick else 75, help="after which nothing new is begun")
    parser.add_argument(
        "--price", type=Path, help="what was measured within the process, to stand first in the account"
    )
    parser.add_argument(
        "--out", type=Path, help="where bench.md, bench.json and memory.svg go [default: the work folder]"
    )
    return parser.parse_args(), quick


class Run:
    """One run: what it is to do, what it has found, and what went wrong."""

    def __init__(self, options, quick):
        self.options, self.began = options, time.monotonic()
        self.found = {"quick": quick, "parts": {}, "skipped": {}, "failed": []}
        self.text = ""

    def say(self, words):
        """Tells how far it is."""
        print(f"[{time.monotonic() - self.began:7.1f} s] {words}", file=sys.stderr, flush=True)

    def left(self):
        """Seconds until nothing new is begun."""
        return self.options.minutes * 60 - (time.monotonic() - self.began)

    def part(self, name, do):
        """Runs a part that was asked for, and goes on where it fails."""
        if name not in self.options.parts:
            return
        if self.left() <= 0:
            self.found["skipped"][name] = "no time left"
            return
        self.say(f"part: {name}")
        try:
            result, text = do()
            self.found["parts"][name] = result
            self.text += text
        except Failed as failure:
            self.found["failed"].append(f"{name}: {failure}")
            self.say(f"FAILED: {name}: {failure}")
        except Exception as failure:
            traceback.print_exc()
            self.found["failed"].append(f"{name}: {type(failure).__name__}: {failure}")

    def all(self):
        """All parts, and the account of them."""
        options = self.options
        folder = options.work
        folder.mkdir(parents=True, exist_ok=True)
        load, others = os.getloadavg()[0], machine.Others()
        self.found["machine"] = {**machine.describe(folder), "loadBefore": load}
        self.found["sluice"] = subprocess.run(
            [options.sluice, "--version"], capture_output=True, text=True
        ).stdout.strip()
        self.say("setting up")
        shutil.rmtree(folder / "ground" / "compiled", ignore_errors=True)
        ground = migration.Ground(options.sluice, folder / "ground")
        self.part("way", lambda: self._way(ground))
        self.part("mapping", lambda: self._mapping(ground))
        self.part("growth", lambda: self._growth(ground))
        self.part("starts", lambda: self._starts(ground))
        self.part("crowd", lambda: self._crowd(ground))
        busy = self.found["machine"]["othersShare"] = others.share()
        head = f"{self.found['sluice']}, on {machine.sentence(self.found['machine'], load)}.\n"
        head += f"\nOf the processors' time, others took {busy:.0%} meanwhile.\n"
        if self.found["quick"]:
            head += "\nA quick run: too few and too small to be cited.\n"
        if options.price:
            head += f"\n### Within the process\n\n{options.price.read_text()}"
        tail = "".join(f"\nSkipped: {name}: {reason}\n" for name, reason in self.found["skipped"].items())
        tail += "".join(f"\nFAILED: {failure}\n" for failure in self.found["failed"])
        return head + self.text + tail

    def _way(self, ground):
        base = self.options.work / "rivals"
        ready, skipped = rivals.set_up(base, self.options.rivals, self.say)
        self.found["skipped"].update(skipped)
        rounds = migration.Rounds(ground, self.options.records, ready, self.say)
        rounds.run(self.options.rounds, lambda: self.left() <= 0)
        result = rounds.result()
        return result, migration.tables(result)

    def _mapping(self, ground):
        result = mapping_throughput.run(ground, self.options.work, self.options.rounds, self.say)
        return result, mapping_throughput.tables(result)

    def _growth(self, ground):
        result = growth.run(ground, self.options.sizes, self.say, lambda seconds: self.left() > seconds)
        return result, growth.tables(result)

    def _starts(self, ground):
        folder = self.options.work / "plugins"
        result = cold_start.run(ground, folder, self.options.languages, self.options.rounds, self.say)
        return result, cold_start.tables(result)

    def _crowd(self, ground):
        options = self.options
        runs = [small_migrations.once(ground, options.migrations, many, self.say) for many in options.at_once]
        return runs, small_migrations.tables(runs)


def write(out, run, account):
    """Puts the account, the figures and the picture beside each other."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.md").write_text(account)
    (out / "bench.json").write_text(json.dumps(run.found, indent=1) + "\n")
    runs = run.found["parts"].get("growth", {}).get("runs")
    if runs:
        (out / "memory.svg").write_text(chart.picture(runs))


def main():
    """Does it; the exit code."""
    options, quick = arguments()
    if not options.sluice.exists():
        sys.exit(f"{options.sluice} is not there: `make build` makes it, and --sluice names another")
    bank.check()
    run = Run(options, quick)
    account = run.all()
    write(options.out or options.work, run, account)
    print(account)
    return 1 if run.found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
