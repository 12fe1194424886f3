"""A thousand small migrations: how long each takes, from registering to verified counts."""

import queue
import resource
import shutil
import threading
import time

import bank
import figures
from migration import agree
from server import Failed, Memory, status

RECORDS = 20
STEPS = ["register", "upload", "validate", "import", "counts"]
PERCENTILES = [50, 90, 99]


def small(client, table):
    """One small migration: seconds by step."""
    took, at = {}, time.perf_counter()

    def done(step):
        nonlocal at
        now = time.perf_counter()
        took[step], at = now - at, now

    migration = client.register()
    done("register")
    if client.upload(migration, "client", table) != RECORDS:
        raise Failed("a result is missing")
    done("upload")
    for kind in ("validate", "import", "counts"):
        job = client.job(migration, kind)
        done(kind)
    agree(job)
    took["whole"] = sum(took.values())
    return took


def once(ground, migrations, at_once, say):
    """So many migrations, so many of them at a time."""
    files = 4 * at_once + 1_000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))
    table = ground.folder / "twenty.jsonl"
    table.write_text("".join(bank.client(1, customer) for customer in range(1, RECORDS + 1)))
    waiting, took, failures = queue.SimpleQueue(), [], []
    for number in range(migrations):
        waiting.put(number)
    with ground.server("crowd") as server:
        server.authorization()
        small(server.client(), table)
        start = threading.Barrier(at_once + 1)

        def work():
            client = server.client()
            start.wait()
            while not failures:
                try:
                    waiting.get_nowait()
                except queue.Empty:
                    break
                try:
                    took.append(small(client, table))
                except (Failed, OSError) as failure:
                    failures.append(failure)
            client.close()

        workers = [threading.Thread(target=work, daemon=True) for _ in range(at_once)]
        for worker in workers:
            worker.start()
        memory = Memory(server.pid)
        start.wait()
        began = time.perf_counter()
        for worker in workers:
            worker.join()
        whole = time.perf_counter() - began
        memory.stop()
        peak = status(server.pid).get("VmHWM", 0)
    shutil.rmtree(server.data_dir)
    if failures:
        raise Failed(f"{len(failures)} of {migrations} small migrations failed: {failures[0]}")
    say(f"{migrations:,} small migrations, {at_once:,} at once, in {whole:.1f} s")
    return {
        "migrations": migrations, "atOnce": at_once, "seconds": whole, "peakKib": peak,
        "latency": {step: percentiles([one[step] for one in took]) for step in [*STEPS, "whole"]},
    }  # fmt: skip


def percentiles(values):
    """Values that so many in a hundred do not exceed, and the most."""
    values = sorted(values)
    found = {str(share): values[min(len(values) - 1, len(values) * share // 100)] for share in PERCENTILES}
    return {**found, "most": values[-1]}


def tables(runs):
    """The table of this part."""
    rows = []
    for run in runs:
        for step in ["whole", *STEPS]:
            of = run["latency"][step]
            first = [f"{run['migrations']:,}, {run['atOnce']:,} at once"] if step == "whole" else [""]
            rows.append(first + [step, *(f"{of[name] * 1000:,.0f} ms" for name in [*map(str, PERCENTILES), "most"])])
    out = f"\n### Small migrations of {RECORDS} records\n\n"
    out += figures.table(["migrations", "step", *(f"{share} % within" for share in PERCENTILES), "the slowest"], rows)
    for run in runs:
        out += (
            f"\n{run['atOnce']:,} at once: {run['migrations'] / run['seconds']:.1f} migrations a second, "
            f"{run['peakKib'] / 1024:.0f} MiB.\n"
        )
    return out
