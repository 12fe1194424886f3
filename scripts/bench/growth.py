"""How time and memory grow with the number of records."""

import shutil
import time

import equivalence
import figures
from migration import whole_way
from server import Failed, Memory, status

#: Rounds of a size of which the median counts; beyond this many records one is enough.
SMALL = 200_000
ROUNDS = 3

#: Samples of memory that are kept of a run: a picture has no room for more.
KEPT = 300


def once(ground, records):
    """One migration of this size: time, memory as it went, and bytes on disk."""
    folder, made = ground.bank(records)
    with ground.server("growth") as server:
        memory = Memory(server.pid, every=min(0.1, max(0.01, records / 2_000_000)))
        marks, began = {}, time.monotonic()
        seen = whole_way(server, folder, between=lambda step: marks.update({step: time.monotonic() - began}))
        samples = memory.stop()
        peak = status(server.pid).get("VmHWM", 0)
    if seen["records"] != made:
        raise Failed(f"{seen['records']} results for {made} records")
    answers = equivalence.answers(server.target)
    staged = sum(file.stat().st_size for file in (server.data_dir / "migrations").rglob("*") if file.is_file())
    target = server.target.stat().st_size
    shutil.rmtree(server.data_dir)
    return {
        "records": made, "took": seen["took"], "cores": seen["cores"], "peakKib": peak, "marks": marks,
        "samples": thinned(samples), "stagedBytes": staged, "targetBytes": target, "answers": answers,
    }  # fmt: skip


def thinned(samples):
    """As many samples as are kept; of each stretch the highest."""
    size = max(1, len(samples) // KEPT)
    stretches = [samples[at : at + size] for at in range(0, len(samples), size)]
    return [max(stretch, key=lambda sample: sample[1]) for stretch in stretches]


def run(ground, sizes, say, time_for):
    """All sizes, the smallest first; those for which there is no time left are named."""
    runs, skipped, pace = [], [], None
    for size in sizes:
        # A bank is made and loaded at about the same pace.
        if pace and not time_for(2.5 * pace * size):
            skipped.append(size)
            say(f"no time left for {size:,} records")
            continue
        of_size = [once(ground, size) for _ in range(ROUNDS if size <= SMALL else 1)]
        answers = [one.pop("answers") for one in of_size]
        if any(other != answers[0] for other in answers):
            raise Failed(f"{size:,} records came to something else the second time")
        chosen = sorted(of_size, key=lambda one: one["took"]["whole"])[len(of_size) // 2]
        chosen["whole"] = figures.summary([one["took"]["whole"] for one in of_size])
        pace = chosen["took"]["whole"] / chosen["records"]
        say(f"{chosen['records']:,} records in {chosen['took']['whole']:.1f} s, {chosen['peakKib'] / 1024:.0f} MiB")
        runs.append(chosen)
    return {"runs": runs, "skipped": skipped}


def tables(result):
    """The table of this part."""
    rows = []
    for one in result["runs"]:
        records = one["records"]
        each = {step: f"{seconds / records * 1e6:.2f}" for step, seconds in one["took"].items()}
        rows.append([
            f"{records:,}", figures.seconds(one["whole"]), each["whole"], each["load"], each["validate"],
            each["import"], each["counts"], f"{one['peakKib'] / 1024:.0f} MiB",
            f"{one['peakKib'] * 1024 / records:,.0f}", f"{(one['stagedBytes'] + one['targetBytes']) / records:,.0f}",
        ])  # fmt: skip
    head = [
        "source records", "whole way", "µs a record", "load", "validate", "import", "counts",
        "most memory of the server", "bytes of it a record", "bytes on disk a record",
    ]  # fmt: skip
    out = "\n### Growth\n\n" + figures.table(head, rows)
    for size in result["skipped"]:
        out += f"\nSkipped: {size:,} records, for want of time.\n"
    return out
