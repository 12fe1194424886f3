"""Throughput of mapping alone: the same mapper in Sluice's sandbox with all limits, and in Extism."""

import hashlib
import json
import re
import subprocess

import bank
import figures
from rivals import HERE, RUN_SECONDS, Unavailable, install
from server import UnexpectedResult

#: Python packages for Extism.
PACKAGES = ["extism==1.1.1", "wasmtime==50.0.1"]

#: Number of records of `client`. Each one is mapped, and none looks up another.
RECORDS, SINGLE_RECORDS = 50_000, 5_000

#: Titles of the measurements.
SLUICE, EXTISM_BATCHES, EXTISM_SINGLE = (
    "Sluice, batches of 1,000",
    "Extism, batches of 1,000",
    "Extism, one record a call",
)

#: Format of a mapped record in the output. The group does not depend on the migration.
RECORD_PATTERN = re.compile(rb'{"entityType":"counterparties","record":{"referenceId":"[0-9a-f-]{36}(.*)}')


def measure_sluice(workspace, component, table, quiet=True):
    """Returns nanoseconds per record in Sluice's sandbox, and the output."""
    command = [
        workspace.binary,
        "plugin",
        "run",
        component,
        "--source",
        f"client={table}",
        *(["--quiet"] if quiet else []),
    ]
    done = subprocess.run(command, capture_output=True, timeout=RUN_SECONDS)
    match = re.search(rb"([\d.,]+) (ns|.s) a record", done.stderr.replace("µ".encode(), b"u"))
    if done.returncode or not match:
        raise UnexpectedResult(f"sluice plugin run: {done.stderr[-500:]!r}")
    factor = {b"ns": 1, b"us": 1_000, b"ms": 1_000_000}[match[2]]
    return float(match[1].replace(b",", b"")) * factor, done.stdout


def measure_extism(python, component, table, size, max_records):
    """Returns nanoseconds per record in Extism, and a hash of the records."""
    command = [python, HERE / "extism_map.py", component, table, str(size), str(max_records)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS)
    if done.returncode:
        raise UnexpectedResult(f"Extism: {done.stderr[-1000:]}")
    return json.loads(done.stdout)


def sample_mapper(workspace):
    """Returns the path of the sample mapper. A server stores its embedded plugins in the data directory."""
    with workspace.server("mapping") as server:
        mappers = server.client().request("GET", "/migration-assistance/mappers")["items"]
        digest = next(mapper["digest"] for mapper in mappers if mapper["name"] == "berka")
    return server.data_dir / "plugins" / f"{digest.removeprefix('sha256:')}.wasm"


def run(workspace, work, rounds, log):
    """Runs the rounds, alternating between Sluice and Extism."""
    table = workspace.folder / "clients.jsonl"
    table.write_text("".join(bank.client(1, customer) for customer in range(1, RECORDS + 1)))
    component = sample_mapper(workspace)
    nanoseconds = {SLUICE: []}
    result = {"records": RECORDS, "skipped": {}}
    try:
        python = install(work / "rivals" / "extism", PACKAGES)
        nanoseconds.update({EXTISM_BATCHES: [], EXTISM_SINGLE: []})
    except (Unavailable, OSError) as error:
        result["skipped"]["Extism"] = str(error)
    for number in range(rounds):
        nanoseconds[SLUICE].append(measure_sluice(workspace, component, table)[0])
        if EXTISM_BATCHES in nanoseconds:
            whole = measure_extism(python, component, table, 1_000, RECORDS)
            nanoseconds[EXTISM_BATCHES].append(whole["nanoseconds"])
            nanoseconds[EXTISM_SINGLE].append(
                measure_extism(python, component, table, 1, SINGLE_RECORDS)["nanoseconds"]
            )
            if number == 0:
                check_equal_records(measure_sluice(workspace, component, table, quiet=False)[1], whole["sha256"])
        log(f"round {number + 1}: " + ", ".join(f"{values[-1]:,.0f} ns" for values in nanoseconds.values()))
    result["nanoseconds"] = {name: figures.summary(values) for name, values in nanoseconds.items()}
    result["timesAsFast"] = {
        name: figures.ratio(nanoseconds[SLUICE], values) for name, values in nanoseconds.items() if name != SLUICE
    }
    return result


def check_equal_records(output, expected):
    """Raises if the records of Sluice and Extism differ in more than the reference ids."""
    hashed = hashlib.sha256()
    for line in output.splitlines():
        hashed.update(RECORD_PATTERN.fullmatch(line)[1] + b"\n")
    if hashed.hexdigest() != expected:
        raise UnexpectedResult("Extism's records differ from Sluice's")


def tables(result):
    """Returns the table of this part."""
    rows = [
        [
            name, f"{of['median']:,.0f} ns ({of['least']:,.0f}–{of['most']:,.0f})",
            figures.times(result["timesAsFast"][name]) if name in result["timesAsFast"] else "1",
        ]
        for name, of in result["nanoseconds"].items()
    ]  # fmt: skip
    out = "\n### Mapping alone, the same Wasm and records\n\n"
    out += figures.table(["sandbox", "time per record", "speed-up of Sluice"], rows)
    out += (
        "\nSluice runs each batch in a new store with all limits. Extism keeps one instance with a time limit, and "
        "copies records through its memory eight bytes at a time, as its development kits do.\n"
    )
    for name, reason in result["skipped"].items():
        out += f"\nSkipped: {name}: {reason}.\n"
    return out
