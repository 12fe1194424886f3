"""The mapping alone: the same mapper in our sandbox, with all limits on, and in Extism."""

import hashlib
import json
import re
import subprocess

import bank
import figures
from rivals import HERE, RUN_SECONDS, Unavailable, install
from server import Failed

PACKAGES = ["extism==1.1.1", "wasmtime==50.0.1"]

#: Records of `client`, all of which are mapped and none of which needs another.
RECORDS, SINGLE = 50_000, 5_000

OURS, BATCHES, ONE = "Sluice, batches of 1,000", "Extism, batches of 1,000", "Extism, one record a call"

#: How a mapped record is shown, around what does not depend on the migration.
SHOWN = re.compile(rb'{"entityType":"counterparties","record":{"referenceId":"[0-9a-f-]{36}(.*)}')


def ours(ground, component, table, quiet=True):
    """Nanoseconds a record in our sandbox, and what came out."""
    command = [
        ground.binary,
        "plugin",
        "run",
        component,
        "--source",
        f"client={table}",
        *(["--quiet"] if quiet else []),
    ]
    done = subprocess.run(command, capture_output=True, timeout=RUN_SECONDS)
    told = re.search(rb"([\d.,]+) (ns|.s) a record", done.stderr.replace("µ".encode(), b"u"))
    if done.returncode or not told:
        raise Failed(f"sluice plugin run: {done.stderr[-500:]!r}")
    factor = {b"ns": 1, b"us": 1_000, b"ms": 1_000_000}[told[2]]
    return float(told[1].replace(b",", b"")) * factor, done.stdout


def theirs(python, component, table, size, most):
    """Nanoseconds a record in Extism, and a hash of what came out."""
    command = [python, HERE / "extism_map.py", component, table, str(size), str(most)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS)
    if done.returncode:
        raise Failed(f"Extism: {done.stderr[-1000:]}")
    return json.loads(done.stdout)


def berka(ground):
    """The sample mapper's component: a server puts what is embedded in it beside its data."""
    with ground.server("mapping") as server:
        listed = server.client().ask("GET", "/migration-assistance/mappers")["items"]
        digest = next(mapper["digest"] for mapper in listed if mapper["name"] == "berka")
    return server.data_dir / "plugins" / f"{digest.removeprefix('sha256:')}.wasm"


def run(ground, work, rounds, say):
    """Rounds in turns."""
    table = ground.folder / "clients.jsonl"
    table.write_text("".join(bank.client(1, customer) for customer in range(1, RECORDS + 1)))
    component = berka(ground)
    took = {OURS: []}
    result = {"records": RECORDS, "skipped": {}}
    try:
        python = install(work / "rivals" / "extism", PACKAGES)
        took.update({BATCHES: [], ONE: []})
    except (Unavailable, OSError) as error:
        result["skipped"]["Extism"] = str(error)
    for number in range(rounds):
        took[OURS].append(ours(ground, component, table)[0])
        if BATCHES in took:
            whole = theirs(python, component, table, 1_000, RECORDS)
            took[BATCHES].append(whole["nanoseconds"])
            took[ONE].append(theirs(python, component, table, 1, SINGLE)["nanoseconds"])
            if number == 0:
                same(ours(ground, component, table, quiet=False)[1], whole["sha256"])
        say(f"round {number + 1}: " + ", ".join(f"{values[-1]:,.0f} ns" for values in took.values()))
    result["nanoseconds"] = {name: figures.summary(values) for name, values in took.items()}
    result["timesAsFast"] = {name: figures.ratio(took[OURS], values) for name, values in took.items() if name != OURS}
    return result


def same(shown, wanted):
    """Stops where the two have not made the same records, byte for byte but for their migrations' ids."""
    hashed = hashlib.sha256()
    for line in shown.splitlines():
        hashed.update(SHOWN.fullmatch(line)[1] + b"\n")
    if hashed.hexdigest() != wanted:
        raise Failed("Extism's records are not ours")


def tables(result):
    """The table of this part."""
    rows = [
        [
            name, f"{of['median']:,.0f} ns ({of['least']:,.0f}–{of['most']:,.0f})",
            figures.times(result["timesAsFast"][name]) if name in result["timesAsFast"] else "1",
        ]
        for name, of in result["nanoseconds"].items()
    ]  # fmt: skip
    out = "\n### The mapping alone, the same Wasm, the same records\n\n"
    out += figures.table(["where", "a record", "Sluice is so many times as fast"], rows)
    out += (
        "\nIn Sluice each batch has a fresh store and every limit; in Extism one instance is kept, with a time limit, "
        "and records cross its memory eight bytes at a time, as its kits do it.\n"
    )
    for name, reason in result["skipped"].items():
        out += f"\nSkipped: {name}: {reason}.\n"
    return out
