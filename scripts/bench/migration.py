"""The five steps of a migration over HTTP, alternating with rivals that move the same records."""

import json
import os
import resource
import shutil
import subprocess
import threading
import time
from pathlib import Path

import bank
import equivalence
import figures
from server import COMPONENTS, Server, ServerClient, UnexpectedResult, cpu_seconds, process_memory

#: Steps of a migration, and their total.
STEPS = ["register", "load", "validate", "import", "generate", "counts", "whole"]
#: Titles of the two ways to run Sluice.
SLUICE, COMMAND = "Sluice, five steps over HTTP", "the same with `sluice migrate`"


class Workspace:
    """A folder for data directories and banks, with a cache of compiled plugins."""

    def __init__(self, binary, folder):
        self.binary, self.folder = Path(binary).resolve(), Path(folder)
        self.compiled = self.folder / "compiled"
        if not self.compiled.exists():
            first = self.folder / "first"
            shutil.rmtree(first, ignore_errors=True)
            with Server(self.binary, first) as server:
                tiny = self.folder / "bank-tiny"
                bank.write(tiny, 50)
                run_migration(server, tiny)
            shutil.copytree(first / "plugin-cache", self.compiled)
            shutil.rmtree(first)

    def server(self, name):
        """Starts a server on an empty data directory with compiled plugins."""
        data_dir = self.folder / name
        shutil.rmtree(data_dir, ignore_errors=True)
        data_dir.mkdir(parents=True)
        shutil.copytree(self.compiled, data_dir / "plugin-cache")
        os.sync()
        return Server(self.binary, data_dir)

    def bank(self, records):
        """Returns the folder of a bank with approximately this number of records, and the exact number."""
        folder = self.folder / f"bank-{records}"
        return folder, sum(bank.write(folder, bank.customers_for(records)).values())


class GenerationWatch:
    """A thread that detects the start of generation: the import job then expects more records than staged."""

    def __init__(self, server, migration, staged):
        self.server, self.migration, self.staged = server, migration, staged
        self.started = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        client = ServerClient(self.server)
        while not self._stop.wait(0.05) and self.started is None:
            jobs = client.request("GET", f"{self.migration}/jobs")
            jobs = jobs["items"] if isinstance(jobs, dict) else jobs
            running = [job for job in jobs if job["kind"] == "import"]
            if running and running[0]["total"] > self.staged:
                self.started = time.perf_counter()
        client.close()

    def stop(self):
        """Stops watching. Returns the start of generation, or none if it was not detected."""
        self._stop.set()
        self._thread.join()
        return self.started


def run_migration(server, folder, between=lambda step: None):
    """Runs all steps of a migration of a bank.

    Returns seconds and processor seconds by step, those of the client, the number of records, and the id.
    """
    seconds, cpu, client = {}, {}, server.client()
    own = time.process_time()
    at = [time.perf_counter(), cpu_seconds(server.pid)]

    def done(step):
        now, spent = time.perf_counter(), cpu_seconds(server.pid)
        seconds[step], cpu[step] = now - at[0], spent - at[1]
        between(step)
        at[:] = time.perf_counter(), spent

    migration = client.register(COMPONENTS)
    done("register")
    records = sum(client.upload(migration, table, Path(folder) / f"{table}.jsonl") for table in bank.TABLES)
    done("load")
    staged = client.job(migration, "validate")["total"]
    done("validate")
    watch = GenerationWatch(server, migration, staged)
    client.job(migration, "import")
    done("import")
    started = watch.stop()
    if started:
        seconds["generate"] = at[0] - started
    at[:] = time.perf_counter(), cpu_seconds(server.pid)
    counts = client.job(migration, "counts")
    done("counts")
    client.close()
    seconds["whole"] = sum(value for step, value in seconds.items() if step != "generate")
    cpu["whole"] = sum(cpu.values())
    check_counts(counts)
    own = time.process_time() - own
    return {"took": seconds, "cores": cpu, "client": own, "records": records, "id": migration.rpartition("/")[2]}


def check_counts(counts):
    """Raises if imported and staged counts differ."""
    for count in counts["result"]:
        if count["stagedRows"] != count["importedRows"]:
            raise UnexpectedResult(f"counts differ: {json.dumps(count)[:500]}")


def migrate_with_command(workspace, server, folder):
    """Runs the migration with the command. Returns its seconds."""
    started = time.perf_counter()
    command = [workspace.binary, "migrate", "--mapper", "berka", "--json", "--quiet", folder]
    connection_options = [
        "--server",
        f"http://127.0.0.1:{server.port}",
        "--client-file",
        server.data_dir / "admin-client",
    ]
    result = subprocess.run([*command, *connection_options], capture_output=True, text=True, timeout=7_200)
    seconds = time.perf_counter() - started
    if result.returncode:
        raise UnexpectedResult(f"sluice migrate failed: {result.stderr[-500:]}")
    return seconds


def child_cpu_seconds():
    """Returns the processor time of ended child processes, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Rounds:
    """Rounds of one size, with all measurements."""

    def __init__(self, workspace, records, rivals, log):
        self.workspace, self.rivals, self.log = workspace, rivals, log
        self.folder, self.records = workspace.bank(records)
        self.steps = {step: [] for step in STEPS}
        self.cpu = {step: [] for step in STEPS}
        self.totals = {SLUICE: [], COMMAND: [], **{rival.title: [] for rival in rivals}}
        self.indexed = {rival.title: [] for rival in rivals}
        #: Processor seconds of client and server.
        self.spent = {name: [] for name in self.totals}
        self.peaks = []
        self.reference = None

    def run(self, rounds, time_is_up):
        """Runs the rounds. Each round measures Sluice, the command and all rivals."""
        for number in range(1, rounds + 1):
            if number > 1 and time_is_up():
                self.log(f"out of time after {number - 1} rounds")
                break
            self._run_server(number)
            self._run_command(number)
            for rival in self.rivals:
                self._run_rival(number, rival)

    def _run_server(self, number):
        with self.workspace.server("sluice") as server:
            result = run_migration(server, self.folder)
            self.peaks.append(process_memory(server.pid).get("VmHWM", 0))
        for step, seconds in result["took"].items():
            self.steps[step].append(seconds)
        for step, seconds in result["cores"].items():
            self.cpu[step].append(seconds)
        if result["records"] != self.records:
            raise UnexpectedResult(f"{result['records']} results for {self.records} records")
        self.totals[SLUICE].append(result["took"]["whole"])
        self.spent[SLUICE].append(result["cores"]["whole"] + result["client"])
        query_results = equivalence.query_results(server.target)
        if self.reference is None:
            self.reference = query_results, result["id"], equivalence.digests(server.target)
        self._compare("Sluice", query_results)
        self._log_round(number, "sluice", result["took"]["whole"])
        shutil.rmtree(server.data_dir)

    def _run_command(self, number):
        with self.workspace.server("command") as server:
            before, children = cpu_seconds(server.pid), child_cpu_seconds()
            seconds = migrate_with_command(self.workspace, server, self.folder)
            self.spent[COMMAND].append(cpu_seconds(server.pid) - before + child_cpu_seconds() - children)
        self._compare("sluice migrate", equivalence.query_results(server.target))
        self.totals[COMMAND].append(seconds)
        self._log_round(number, "sluice migrate", seconds)
        shutil.rmtree(server.data_dir)

    def _run_rival(self, number, rival):
        rival_folder = self.workspace.folder / "rival"
        shutil.rmtree(rival_folder, ignore_errors=True)
        rival_folder.mkdir()
        database = rival_folder / "platform.db"
        os.sync()
        children = child_cpu_seconds()
        seconds = rival.run(self.folder, database, self.reference[1])
        self.spent[rival.title].append(child_cpu_seconds() - children)
        self._compare(rival.title, equivalence.query_results(database))
        if rival.derived and number == 1 and equivalence.digests(database) != self.reference[2]:
            raise UnexpectedResult(f"{rival.title}: counts and sums are equal, but rows differ")
        self.totals[rival.title].append(seconds["inserted"])
        self.indexed[rival.title].append(seconds["whole"])
        self._log_round(number, rival.name, seconds["inserted"])
        shutil.rmtree(rival_folder)

    def _compare(self, name, query_results):
        differences = equivalence.differences(self.reference[0], query_results)
        if differences:
            raise UnexpectedResult(f"{name} has different results: {'; '.join(differences[:3])}")

    def _log_round(self, number, name, seconds):
        self.log(f"round {number}: {name}, {self.records:,} records in {seconds:.2f} s")

    def result(self):
        """Returns all measurements for the JSON."""
        summaries = lambda of: {name: figures.summary(values) for name, values in of.items() if values}
        ratios = {
            name: figures.ratio(self.totals[SLUICE], values)
            for name, values in self.totals.items()
            if name != SLUICE and values
        }
        titles = [rival.title for rival in self.rivals]
        return {
            "records": self.records,
            "steps": summaries(self.steps),
            "processorSeconds": summaries(self.cpu),
            "whole": summaries(self.totals),
            "processorSecondsOfAll": summaries(self.spent),
            "withUniqueIds": summaries(self.indexed),
            "timesAsFast": ratios,
            "importTimesTheScript": figures.ratio(self.steps["import"], self.totals[titles[0]]) if titles else None,
            "peakKib": figures.summary(self.peaks),
            "versions": {rival.title: rival.versions for rival in self.rivals},
        }


def tables(result):
    """Returns the two tables of this part."""
    records = result["records"]
    steps = []
    for step in STEPS:
        of = result["steps"].get(step)
        if not of:
            continue
        cpu = result["processorSeconds"].get(step)
        busy = f"{cpu['median'] / of['median']:.2f}" if cpu else "–"
        name = "generation, part of import" if step == "generate" else step
        rate = "–" if step == "register" else figures.grouped(records / of["median"])
        steps.append([name, figures.seconds(of), rate, busy])
    out = f"\n### The five steps, {records:,} source records\n\n"
    out += figures.table(["step", "time, median (min–max)", "source records/s", "busy cores (server)"], steps)
    out += f"\nPeak memory of the server: {result['peakKib']['median'] / 1024:.0f} MiB.\n"
    rows = []
    for name, of in result["whole"].items():
        title = f"{name} ({result['versions'][name]})" if result["versions"].get(name) else name
        indexed = result["withUniqueIds"].get(name)
        ratio = result["timesAsFast"].get(name)
        rows.append([
            title, figures.seconds(of), figures.grouped(records / of["median"]),
            figures.seconds(result["processorSecondsOfAll"][name]),
            figures.seconds(indexed) if indexed else "included", figures.times(ratio) if ratio else "1",
        ])  # fmt: skip
    out += f"\n### Compared with rivals, {records:,} source records, the same rows\n\n"
    head = [
        "tool", "time, median (min–max)", "source records/s", "processor time", "with unique ids",
        "speed-up of Sluice",
    ]  # fmt: skip
    out += figures.table(head, rows)
    if result["importTimesTheScript"]:
        out += f"\nThe import alone is {figures.times(result['importTimesTheScript'])} times as fast as the script.\n"
    return out
