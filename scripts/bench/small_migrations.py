"""Latency of concurrent small migrations, from registration to verified counts."""

import queue
import resource
import shutil
import threading
import time

import bank
import figures
from migration import check_counts
from server import MemorySampler, UnexpectedResult, process_memory

#: Number of records of a small migration.
RECORDS = 20
#: Steps of a small migration.
STEPS = ["register", "upload", "validate", "import", "counts"]
#: Reported percentiles.
PERCENTILES = [50, 90, 99]


def run_small_migration(client, table):
    """Runs a small migration. Returns seconds by step."""
    took, at = {}, time.perf_counter()

    def done(step):
        nonlocal at
        now = time.perf_counter()
        took[step], at = now - at, now

    migration = client.register()
    done("register")
    if client.upload(migration, "client", table) != RECORDS:
        raise UnexpectedResult("a result is missing")
    done("upload")
    for kind in ("validate", "import", "counts"):
        job = client.job(migration, kind)
        done(kind)
    check_counts(job)
    took["whole"] = sum(took.values())
    return took


def measure(workspace, migrations, at_once, log):
    """Runs small migrations, `at_once` of them concurrently."""
    files = 4 * at_once + 1_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))
    table = workspace.folder / "twenty.jsonl"
    table.write_text("".join(bank.client(1, customer) for customer in range(1, RECORDS + 1)))
    pending, took, failures = queue.SimpleQueue(), [], []
    for number in range(migrations):
        pending.put(number)
    with workspace.server("small") as server:
        server.authorization()
        run_small_migration(server.client(), table)
        start = threading.Barrier(at_once + 1)

        def work():
            client = server.client()
            start.wait()
            while not failures:
                try:
                    pending.get_nowait()
                except queue.Empty:
                    break
                try:
                    took.append(run_small_migration(client, table))
                except (UnexpectedResult, OSError) as failure:
                    failures.append(failure)
            client.close()

        workers = [threading.Thread(target=work, daemon=True) for _ in range(at_once)]
        for worker in workers:
            worker.start()
        memory = MemorySampler(server.pid)
        start.wait()
        started = time.perf_counter()
        for worker in workers:
            worker.join()
        whole = time.perf_counter() - started
        memory.stop()
        peak = process_memory(server.pid).get("VmHWM", 0)
    shutil.rmtree(server.data_dir)
    if failures:
        raise UnexpectedResult(f"{len(failures)} of {migrations} small migrations failed: {failures[0]}")
    log(f"{migrations:,} small migrations, {at_once:,} at once, in {whole:.1f} s")
    return {
        "migrations": migrations, "atOnce": at_once, "seconds": whole, "peakKib": peak,
        "latency": {step: percentiles([one[step] for one in took]) for step in [*STEPS, "whole"]},
    }  # fmt: skip


def percentiles(values):
    """Returns the percentiles and the maximum of values."""
    values = sorted(values)
    found = {str(share): values[min(len(values) - 1, len(values) * share // 100)] for share in PERCENTILES}
    return {**found, "most": values[-1]}


def tables(runs):
    """Returns the table of this part."""
    rows = []
    for run in runs:
        for step in ["whole", *STEPS]:
            of = run["latency"][step]
            first = [f"{run['migrations']:,}, {run['atOnce']:,} at once"] if step == "whole" else [""]
            rows.append(first + [step, *(f"{of[name] * 1000:,.0f} ms" for name in [*map(str, PERCENTILES), "most"])])
    out = f"\n### Small migrations of {RECORDS} records\n\n"
    out += figures.table(["migrations", "step", *(f"{share} % within" for share in PERCENTILES), "maximum"], rows)
    for run in runs:
        out += (
            f"\n{run['atOnce']:,} at once: {run['migrations'] / run['seconds']:.1f} migrations a second, "
            f"{run['peakKib'] / 1024:.0f} MiB.\n"
        )
    return out
