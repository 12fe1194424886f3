"""Cold start of the server, and of plugins by language."""

import shutil
import subprocess
import time
from pathlib import Path

import bank
import figures
from server import Server, process_memory

#: Maximum seconds to build a plugin.
BUILD_SECONDS = 900


def build_components(workspace, folder, requested, log):
    """Builds a component of each language from its template. Returns components, and reasons of skipped ones."""
    components, skipped = {}, {}
    for language, title in (("rust", "Rust"), ("javascript", "JavaScript"), ("python", "Python")):
        if language not in requested:
            skipped[title] = "not selected"
            continue
        project = Path(folder) / f"plugin-{language}"
        component = project / f"dist/first-{language}.wasm"
        if not component.exists():
            log(f"building the {title} template")
            shutil.rmtree(project, ignore_errors=True)
            error = build_template(workspace.binary, language, project)
            if error:
                skipped[title] = error
                log(f"skipped {title}: {error}")
                continue
        components[title] = component
    return components, skipped


def build_template(binary, language, project):
    """Creates a project and builds its component. Returns the error or none."""
    new = [binary, "plugin", "new", f"first-{language}", "--lang", language, "--dir", project]
    for step in (new, [binary, "plugin", "build", project]):
        try:
            result = subprocess.run(step, capture_output=True, text=True, timeout=BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            return f"the build took more than {BUILD_SECONDS} s"
        if result.returncode:
            lines = (result.stderr.strip() or "no message").splitlines()
            return lines[0][:200]
    return None


def first_records(server, mapper, table):
    """Returns the seconds of the first and the second upload of one record through a mapper."""
    client, seconds = server.client(), []
    for _ in range(2):
        migration = client.register(mapper=mapper)
        started = time.perf_counter()
        client.upload(migration, "client", table)
        seconds.append(time.perf_counter() - started)
    client.close()
    return seconds


def measure_servers(workspace, rounds, log):
    """Measures the seconds until a server is ready, with an empty and with a used data directory."""
    seconds = {"empty": [], "again": [], "restart": []}
    memory = []
    for _ in range(rounds):
        data_dir = workspace.folder / "start"
        shutil.rmtree(data_dir, ignore_errors=True)
        for name in ("empty", "again"):
            with Server(workspace.binary, data_dir) as server:
                seconds[name].append(server.start_seconds)
                memory.append(process_memory(server.pid).get("VmRSS", 0))
        shutil.rmtree(data_dir)
        with workspace.server("start") as server:
            seconds["restart"].append(server.start_seconds)
        shutil.rmtree(data_dir)
    empty, again = figures.median(seconds["empty"]), figures.median(seconds["again"])
    log(f"server: {empty:.2f} s with an empty data directory, {again:.2f} s again")
    result = {name: figures.summary(values) for name, values in seconds.items()}
    return {**result, "idleKib": figures.summary(memory)}


def measure_plugin(workspace, title, component, rounds, log):
    """Measures the first record of a mapper: compiled, from the cache, and warm. Measures the first start too."""
    table = workspace.folder / "one.jsonl"
    table.write_text(bank.client(1, 1))
    seconds = {"start": [], "compiled": [], "cached": [], "warm": []}
    for _ in range(rounds):
        data_dir = workspace.folder / "plugin"
        shutil.rmtree(data_dir, ignore_errors=True)
        data_dir.mkdir()
        # The other plugins are compiled already, so that only the mapper is measured.
        shutil.copytree(workspace.compiled, data_dir / "plugin-cache")
        mappers = [component] if component else []
        name = component.stem if component else "berka"
        if not component:
            shutil.rmtree(data_dir / "plugin-cache")
        with Server(workspace.binary, data_dir, mappers) as server:
            seconds["start"].append(server.start_seconds)
            seconds["compiled"].append(first_records(server, name, table)[0])
        with Server(workspace.binary, data_dir, mappers) as server:
            cached, warm = first_records(server, name, table)
            seconds["cached"].append(cached)
            seconds["warm"].append(warm)
        shutil.rmtree(data_dir)
    log(f"{title}: first record in {figures.median(seconds['compiled']):.3f} s")
    size = component.stat().st_size if component else None
    return {"bytes": size, **{name: figures.summary(values) for name, values in seconds.items()}}


def run(workspace, folder, requested, rounds, log):
    """Measures servers and plugins."""
    components, skipped = build_components(workspace, folder, requested, log)
    plugins = {"Rust, berka, embedded": measure_plugin(workspace, "Rust, embedded", None, rounds, log)}
    for title, component in components.items():
        plugins[title] = measure_plugin(workspace, title, component, rounds, log)
    return {"server": measure_servers(workspace, rounds, log), "plugins": plugins, "skipped": skipped}


def tables(result):
    """Returns the tables of this part."""
    server = result["server"]
    rows = [
        ["empty data directory, plugins not compiled", figures.seconds(server["empty"])],
        ["same data directory again", figures.seconds(server["again"])],
        ["empty data directory, plugins compiled", figures.seconds(server["restart"])],
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
        "mapper", "component", "server ready, new mapper", "first record", "first record after a restart",
        "first record of the next upload",
    ]  # fmt: skip
    out += figures.table(head, rows)
    for title, reason in result["skipped"].items():
        out += f"\nSkipped: {title}: {reason}.\n"
    return out
