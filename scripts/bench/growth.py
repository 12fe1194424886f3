"""Growth of time and memory with the number of records."""

import shutil
import time

import equivalence
import figures
from migration import run_migration
from server import MemorySampler, UnexpectedResult, process_memory

#: Maximum size that is measured in several rounds.
SMALL_SIZE = 200_000
#: Rounds of a small size. The median counts.
ROUNDS = 3

#: Maximum number of memory samples of a run. The chart cannot show more.
MAX_SAMPLES = 300


def measure(workspace, records):
    """Runs a migration of this size. Returns times, memory samples and bytes on disk."""
    folder, record_count = workspace.bank(records)
    with workspace.server("growth") as server:
        memory = MemorySampler(server.pid, interval=min(0.1, max(0.01, records / 2_000_000)))
        step_ends, started = {}, time.monotonic()
        result = run_migration(
            server, folder, between=lambda step: step_ends.update({step: time.monotonic() - started})
        )
        samples = memory.stop()
        peak = process_memory(server.pid).get("VmHWM", 0)
    if result["records"] != record_count:
        raise UnexpectedResult(f"{result['records']} results for {record_count} records")
    answers = equivalence.query_results(server.target)
    staged = sum(file.stat().st_size for file in (server.data_dir / "migrations").rglob("*") if file.is_file())
    target = server.target.stat().st_size
    shutil.rmtree(server.data_dir)
    return {
        "records": record_count, "took": result["took"], "cores": result["cores"], "peakKib": peak, "marks": step_ends,
        "samples": downsample(samples), "stagedBytes": staged, "targetBytes": target, "answers": answers,
    }  # fmt: skip


def downsample(samples):
    """Reduces samples to the maximum of each interval."""
    size = max(1, len(samples) // MAX_SAMPLES)
    stretches = [samples[at : at + size] for at in range(0, len(samples), size)]
    return [max(stretch, key=lambda sample: sample[1]) for stretch in stretches]


def run(workspace, sizes, log, time_for):
    """Measures all sizes. Skips sizes for which no time is left."""
    runs, skipped, seconds_per_record = [], [], None
    for size in sizes:
        # The factor includes the generation of the bank.
        if seconds_per_record and not time_for(2.5 * seconds_per_record * size):
            skipped.append(size)
            log(f"no time left for {size:,} records")
            continue
        of_size = [measure(workspace, size) for _ in range(ROUNDS if size <= SMALL_SIZE else 1)]
        answers = [one.pop("answers") for one in of_size]
        if any(other != answers[0] for other in answers):
            raise UnexpectedResult(f"{size:,} records have different results in two rounds")
        chosen = sorted(of_size, key=lambda one: one["took"]["whole"])[len(of_size) // 2]
        chosen["whole"] = figures.summary([one["took"]["whole"] for one in of_size])
        seconds_per_record = chosen["took"]["whole"] / chosen["records"]
        log(f"{chosen['records']:,} records in {chosen['took']['whole']:.1f} s, {chosen['peakKib'] / 1024:.0f} MiB")
        runs.append(chosen)
    return {"runs": runs, "skipped": skipped}


def tables(result):
    """Returns the table of this part."""
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
        "source records", "whole migration", "µs per record", "load", "validate", "import", "counts",
        "peak memory of the server", "bytes of memory per record", "bytes on disk per record",
    ]  # fmt: skip
    out = "\n### Growth\n\n" + figures.table(head, rows)
    for size in result["skipped"]:
        out += f"\nSkipped: {size:,} records: no time left.\n"
    return out
