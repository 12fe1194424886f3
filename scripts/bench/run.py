#!/usr/bin/env python3
"""Benchmark of Sluice over its public interfaces: `make bench`. Prints one report.

Sluice and its rivals are measured alternately in the same run, so that a disturbance affects both. A time counts only
for a correct result: the exit code is 1 if any result differs.
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
from server import UnexpectedResult

#: Parts by their names on the command line.
PARTS = ["migration", "mapping", "growth", "cold-start", "small-migrations"]


def parse_arguments():
    """Parses the command line. `BENCH=quick` selects smaller defaults."""
    quick = os.environ.get("BENCH") == "quick"
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    integers = lambda text: [int(float(part)) for part in text.split(",")]
    comma_separated = lambda text: [part for part in text.split(",") if part]
    parser.add_argument("--sluice", type=Path, default=target / "debug/sluice", help="command to measure")
    parser.add_argument("--work", type=Path, default=target / "bench", help="folder for all files")
    parser.add_argument("--parts", type=comma_separated, default=PARTS, help=f"parts to run, of {','.join(PARTS)}")
    parser.add_argument(
        "--records", type=int, default=10_000 if quick else 1_000_000, help="records of the migration and of the rivals"
    )
    parser.add_argument("--rounds", type=int, default=3 if quick else 5, help="number of rounds")
    parser.add_argument("--rivals", type=comma_separated, default=[], help="run only these rivals")
    parser.add_argument(
        "--sizes",
        type=integers,
        default=integers("1e4,1e5" if quick else "1e4,1e5,1e6,1e7"),
        help="records of the part growth",
    )
    parser.add_argument(
        "--languages",
        type=comma_separated,
        default=[] if quick else ["javascript", "python"],
        help="languages of the cold start; also: rust",
    )
    parser.add_argument("--migrations", type=int, default=100 if quick else 1_000, help="number of small migrations")
    parser.add_argument(
        "--at-once",
        type=integers,
        default=integers("16,100" if quick else "16,1000"),
        help="numbers of concurrent small migrations",
    )
    parser.add_argument("--minutes", type=float, default=10 if quick else 75, help="time after which no part starts")
    parser.add_argument("--price", type=Path, help="measurements within the process, placed first in the report")
    parser.add_argument(
        "--out", type=Path, help="folder for bench.md, bench.json and memory.svg [default: the work folder]"
    )
    return parser.parse_args(), quick


class Run:
    """A run: its options, results and failures."""

    def __init__(self, options, quick):
        self.options, self.started = options, time.monotonic()
        self.results = {"quick": quick, "parts": {}, "skipped": {}, "failed": []}
        self.text = ""

    def log(self, message):
        """Prints a progress message with the elapsed time."""
        print(f"[{time.monotonic() - self.started:7.1f} s] {message}", file=sys.stderr, flush=True)

    def remaining_seconds(self):
        """Returns the seconds during which parts may still start."""
        return self.options.minutes * 60 - (time.monotonic() - self.started)

    def run_part(self, name, measure):
        """Runs a part if it is selected. Records a failure and continues."""
        if name not in self.options.parts:
            return
        if self.remaining_seconds() <= 0:
            self.results["skipped"][name] = "no time left"
            return
        self.log(f"part: {name}")
        try:
            result, text = measure()
            self.results["parts"][name] = result
            self.text += text
        except UnexpectedResult as failure:
            self.results["failed"].append(f"{name}: {failure}")
            self.log(f"FAILED: {name}: {failure}")
        except Exception as failure:
            traceback.print_exc()
            self.results["failed"].append(f"{name}: {type(failure).__name__}: {failure}")

    def run_all(self):
        """Runs all parts and returns the report."""
        options = self.options
        folder = options.work
        folder.mkdir(parents=True, exist_ok=True)
        load, other_load = os.getloadavg()[0], machine.OtherLoad()
        self.results["machine"] = {**machine.describe(folder), "loadBefore": load}
        self.results["sluice"] = subprocess.run(
            [options.sluice, "--version"], capture_output=True, text=True
        ).stdout.strip()
        self.log("setting up")
        shutil.rmtree(folder / "workspace" / "compiled", ignore_errors=True)
        workspace = migration.Workspace(options.sluice, folder / "workspace")
        self.run_part("migration", lambda: self._migration(workspace))
        self.run_part("mapping", lambda: self._mapping(workspace))
        self.run_part("growth", lambda: self._growth(workspace))
        self.run_part("cold-start", lambda: self._cold_start(workspace))
        self.run_part("small-migrations", lambda: self._small_migrations(workspace))
        busy = self.results["machine"]["othersShare"] = other_load.share()
        head = f"{self.results['sluice']}, on {machine.summary_line(self.results['machine'], load)}.\n"
        head += f"\nOther processes used {busy:.0%} of the processor time during the run.\n"
        if self.results["quick"]:
            head += "\nA quick run. Its figures are not representative.\n"
        if options.price:
            head += f"\n### Within the process\n\n{options.price.read_text()}"
        tail = "".join(f"\nSkipped: {name}: {reason}\n" for name, reason in self.results["skipped"].items())
        tail += "".join(f"\nFAILED: {failure}\n" for failure in self.results["failed"])
        return head + self.text + tail

    def _migration(self, workspace):
        base = self.options.work / "rivals"
        ready, skipped = rivals.set_up(base, self.options.rivals, self.log)
        self.results["skipped"].update(skipped)
        rounds = migration.Rounds(workspace, self.options.records, ready, self.log)
        rounds.run(self.options.rounds, lambda: self.remaining_seconds() <= 0)
        result = rounds.result()
        return result, migration.tables(result)

    def _mapping(self, workspace):
        result = mapping_throughput.run(workspace, self.options.work, self.options.rounds, self.log)
        return result, mapping_throughput.tables(result)

    def _growth(self, workspace):
        result = growth.run(workspace, self.options.sizes, self.log, lambda seconds: self.remaining_seconds() > seconds)
        return result, growth.tables(result)

    def _cold_start(self, workspace):
        folder = self.options.work / "plugins"
        result = cold_start.run(workspace, folder, self.options.languages, self.options.rounds, self.log)
        return result, cold_start.tables(result)

    def _small_migrations(self, workspace):
        options = self.options
        runs = [
            small_migrations.measure(workspace, options.migrations, concurrency, self.log)
            for concurrency in options.at_once
        ]
        return runs, small_migrations.tables(runs)


def write(out, run, report):
    """Writes the report, the results as JSON and the memory chart."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.md").write_text(report)
    (out / "bench.json").write_text(json.dumps(run.results, indent=1) + "\n")
    runs = run.results["parts"].get("growth", {}).get("runs")
    if runs:
        (out / "memory.svg").write_text(chart.memory_chart(runs))


def main():
    """Runs the benchmark. Returns the exit code."""
    options, quick = parse_arguments()
    if not options.sluice.exists():
        sys.exit(f"{options.sluice} does not exist: build it with `make build` or name another with --sluice")
    bank.check_fingerprint()
    run = Run(options, quick)
    report = run.run_all()
    write(options.out or options.work, run, report)
    print(report)
    return 1 if run.results["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
