"""Cold start: of the server, and of plugins by language."""

import shutil
import subprocess
import time
from pathlib import Path

import bank
import figures
from server import Server, status

#: Seconds that building one plugin may take.
BUILD_SECONDS = 900


def languages(ground, folder, wanted, say):
    """A component for each language, built from its template; the others with the reason."""
    made, skipped = {}, {}
    for language, title in (("rust", "Rust"), ("javascript", "JavaScript"), ("python", "Python")):
        if language not in wanted:
            skipped[title] = "not asked for"
            continue
        project = Path(folder) / f"plugin-{language}"
        component = project / f"dist/first-{language}.wasm"
        if not component.exists():
            say(f"building the {title} template")
            shutil.rmtree(project, ignore_errors=True)
            error = build(ground.binary, language, project)
            if error:
                skipped[title] = error
                say(f"skipped {title}: {error}")
                continue
        made[title] = component
    return made, skipped


def build(binary, language, project):
    """Makes a project and its component; what went wrong, if anything."""
    new = [binary, "plugin", "new", f"first-{language}", "--lang", language, "--dir", project]
    for step in (new, [binary, "plugin", "build", project]):
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            return f"it took more than {BUILD_SECONDS} s to build"
        if done.returncode:
            lines = (done.stderr.strip() or "no word").splitlines()
            return lines[0][:200]
    return None


def first_records(server, mapper, table):
    """Seconds until one record has gone through a mapper, the first time and the second."""
    client, took = server.client(), []
    for _ in range(2):
        migration = client.register(mapper=mapper)
        began = time.perf_counter()
        client.upload(migration, "client", table)
        took.append(time.perf_counter() - began)
    client.close()
    return took


def servers(ground, rounds, say):
    """Seconds from the command to readiness: with an empty data directory, and the second time."""
    took = {"empty": [], "again": [], "restart": []}
    memory = []
    for _ in range(rounds):
        place = ground.folder / "start"
        shutil.rmtree(place, ignore_errors=True)
        for name in ("empty", "again"):
            with Server(ground.binary, place) as server:
                took[name].append(server.start_seconds)
                memory.append(status(server.pid).get("VmRSS", 0))
        shutil.rmtree(place)
        with ground.server("start") as server:
            took["restart"].append(server.start_seconds)
        shutil.rmtree(place)
    say(f"server: {figures.median(took['empty']):.2f} s with nothing, {figures.median(took['again']):.2f} s again")
    result = {name: figures.summary(values) for name, values in took.items()}
    return {**result, "idleKib": figures.summary(memory)}


def plugin(ground, title, component, rounds, say):
    """A mapper's first record, compiled, from the cache of compiled plugins, and warm; its first start."""
    table = ground.folder / "one.jsonl"
    table.write_text(bank.client(1, 1))
    took = {"start": [], "compiled": [], "cached": [], "warm": []}
    for _ in range(rounds):
        place = ground.folder / "plugin"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        # What the server itself needs is compiled, so that only the mapper's share is seen.
        shutil.copytree(ground.compiled, place / "plugin-cache")
        given = [component] if component else []
        name = component.stem if component else "berka"
        if not component:
            shutil.rmtree(place / "plugin-cache")
        with Server(ground.binary, place, given) as server:
            took["start"].append(server.start_seconds)
            took["compiled"].append(first_records(server, name, table)[0])
        with Server(ground.binary, place, given) as server:
            cached, warm = first_records(server, name, table)
            took["cached"].append(cached)
            took["warm"].append(warm)
        shutil.rmtree(place)
    say(f"{title}: first record in {figures.median(took['compiled']):.3f} s")
    size = component.stat().st_size if component else None
    return {"bytes": size, **{name: figures.summary(values) for name, values in took.items()}}


def run(ground, folder, wanted, rounds, say):
    """Everything of this part."""
    made, skipped = languages(ground, folder, wanted, say)
    plugins = {"Rust, berka, embedded": plugin(ground, "Rust, embedded", None, rounds, say)}
    for title, component in made.items():
        plugins[title] = plugin(ground, title, component, rounds, say)
    return {"server": servers(ground, rounds, say), "plugins": plugins, "skipped": skipped}


def tables(result):
    """The tables of this part."""
    server = result["server"]
    rows = [
        ["with an empty data directory, plugins to be compiled", figures.seconds(server["empty"])],
        ["the same data directory again", figures.seconds(server["again"])],
        ["with an empty data directory, plugins compiled before", figures.seconds(server["restart"])],
    ]
    out = "\n### Cold start\n\n" + figures.table(["server", "ready after"], rows)
    out += f"\nMemory when ready: {server['idleKib']['median'] / 1024:.0f} MiB.\n\n"
    rows = [
        [
            title, f"{of['bytes'] / (1 << 20):.1f} MiB" if of["bytes"] else "embedded",
            *(figures.seconds(of[name]) for name in ("start", "compiled", "cached", "warm")),
        ]
        for title, of in result["plugins"].items()
    ]  # fmt: skip
    head = [
        "mapper", "component", "server ready, mapper new", "first record then", "first record after a restart",
        "first record of the next upload",
    ]  # fmt: skip
    out += figures.table(head, rows)
    for title, reason in result["skipped"].items():
        out += f"\nSkipped: {title}: {reason}.\n"
    return out
