"""The five steps over HTTP, and the same records by what a user would take instead, in turns."""

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
from server import COMPONENTS, Client, Failed, Server, processor_seconds, status

STEPS = ["register", "load", "validate", "import", "generate", "counts", "whole"]
OURS, COMMAND = "Sluice, five steps over HTTP", "the same by `sluice migrate`"


class Ground:
    """Where servers are set up: fresh data directories, with plugins compiled beforehand."""

    def __init__(self, binary, folder):
        self.binary, self.folder = Path(binary).resolve(), Path(folder)
        self.compiled = self.folder / "compiled"
        if not self.compiled.exists():
            first = self.folder / "first"
            shutil.rmtree(first, ignore_errors=True)
            with Server(self.binary, first) as server:
                tiny = self.folder / "bank-tiny"
                bank.write(tiny, 50)
                whole_way(server, tiny)
            shutil.copytree(first / "plugin-cache", self.compiled)
            shutil.rmtree(first)

    def server(self, name):
        """A server that has nothing, but need not compile."""
        data_dir = self.folder / name
        shutil.rmtree(data_dir, ignore_errors=True)
        data_dir.mkdir(parents=True)
        shutil.copytree(self.compiled, data_dir / "plugin-cache")
        os.sync()
        return Server(self.binary, data_dir)

    def bank(self, records):
        """A bank of about so many records, and how many it has."""
        folder = self.folder / f"bank-{records}"
        return folder, sum(bank.write(folder, bank.customers_for(records)).values())


class Generation:
    """Sees when an import begins to generate: from then on it expects more than was staged."""

    def __init__(self, server, migration, staged):
        self.server, self.migration, self.staged = server, migration, staged
        self.began = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        client = Client(self.server)
        while not self._stop.wait(0.05) and self.began is None:
            jobs = client.ask("GET", f"{self.migration}/jobs")
            jobs = jobs["items"] if isinstance(jobs, dict) else jobs
            running = [job for job in jobs if job["kind"] == "import"]
            if running and running[0]["total"] > self.staged:
                self.began = time.perf_counter()
        client.close()

    def stop(self):
        """When it began, if it was seen."""
        self._stop.set()
        self._thread.join()
        return self.began


def whole_way(server, folder, between=lambda step: None):
    """All steps of a migration of a bank's files: seconds by step, processor seconds, records, and its id."""
    took, cores, client = {}, {}, server.client()
    own = time.process_time()
    at = [time.perf_counter(), processor_seconds(server.pid)]

    def done(step):
        now, spent = time.perf_counter(), processor_seconds(server.pid)
        took[step], cores[step] = now - at[0], spent - at[1]
        between(step)
        at[:] = time.perf_counter(), spent

    migration = client.register(COMPONENTS)
    done("register")
    records = sum(client.upload(migration, table, Path(folder) / f"{table}.jsonl") for table in bank.TABLES)
    done("load")
    staged = client.job(migration, "validate")["total"]
    done("validate")
    watch = Generation(server, migration, staged)
    client.job(migration, "import")
    done("import")
    began = watch.stop()
    if began:
        took["generate"] = at[0] - began
    at[:] = time.perf_counter(), processor_seconds(server.pid)
    counts = client.job(migration, "counts")
    done("counts")
    client.close()
    took["whole"] = sum(seconds for step, seconds in took.items() if step != "generate")
    cores["whole"] = sum(cores.values())
    agree(counts)
    own = time.process_time() - own
    return {"took": took, "cores": cores, "client": own, "records": records, "id": migration.rpartition("/")[2]}


def agree(counts):
    """Stops where what was imported is not what was staged."""
    for count in counts["result"]:
        if count["stagedRows"] != count["importedRows"]:
            raise Failed(f"counts differ: {json.dumps(count)[:500]}")


def by_command(ground, server, folder):
    """The same with the command: seconds from its start to its end."""
    began = time.perf_counter()
    command = [ground.binary, "migrate", "--mapper", "berka", "--json", "--quiet", folder]
    where = ["--server", f"http://127.0.0.1:{server.port}", "--client-file", server.data_dir / "admin-client"]
    done = subprocess.run([*command, *where], capture_output=True, text=True, timeout=7_200)
    took = time.perf_counter() - began
    if done.returncode:
        raise Failed(f"sluice migrate failed: {done.stderr[-500:]}")
    return took


def children_seconds():
    """What programs that have ended took of the processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Rounds:
    """The rounds of one size."""

    def __init__(self, ground, records, rivals, say):
        self.ground, self.rivals, self.say = ground, rivals, say
        self.folder, self.records = ground.bank(records)
        self.steps = {step: [] for step in STEPS}
        self.cores = {step: [] for step in STEPS}
        self.whole = {OURS: [], COMMAND: [], **{rival.title: [] for rival in rivals}}
        self.indexed = {rival.title: [] for rival in rivals}
        #: Processor seconds, client and server together.
        self.spent = {name: [] for name in self.whole}
        self.peaks = []
        self.reference = None

    def run(self, rounds, time_is_up):
        """Goes round; what is measured of every contender in turn."""
        for number in range(1, rounds + 1):
            if number > 1 and time_is_up():
                self.say(f"out of time after {number - 1} rounds")
                break
            self._ours(number)
            self._command(number)
            for rival in self.rivals:
                self._rival(number, rival)

    def _ours(self, number):
        with self.ground.server("ours") as server:
            seen = whole_way(server, self.folder)
            self.peaks.append(status(server.pid).get("VmHWM", 0))
        for step, seconds in seen["took"].items():
            self.steps[step].append(seconds)
        for step, seconds in seen["cores"].items():
            self.cores[step].append(seconds)
        if seen["records"] != self.records:
            raise Failed(f"{seen['records']} results for {self.records} records")
        self.whole[OURS].append(seen["took"]["whole"])
        self.spent[OURS].append(seen["cores"]["whole"] + seen["client"])
        found = equivalence.answers(server.target)
        if self.reference is None:
            self.reference = found, seen["id"], equivalence.digests(server.target)
        self._compare("Sluice", found)
        self._told(number, "sluice", seen["took"]["whole"])
        shutil.rmtree(server.data_dir)

    def _command(self, number):
        with self.ground.server("command") as server:
            before, children = processor_seconds(server.pid), children_seconds()
            took = by_command(self.ground, server, self.folder)
            self.spent[COMMAND].append(processor_seconds(server.pid) - before + children_seconds() - children)
        self._compare("sluice migrate", equivalence.answers(server.target))
        self.whole[COMMAND].append(took)
        self._told(number, "sluice migrate", took)
        shutil.rmtree(server.data_dir)

    def _rival(self, number, rival):
        place = self.ground.folder / "rival"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        database = place / "platform.db"
        os.sync()
        children = children_seconds()
        took = rival.run(self.folder, database, self.reference[1])
        self.spent[rival.title].append(children_seconds() - children)
        self._compare(rival.title, equivalence.answers(database))
        if rival.derived and number == 1 and equivalence.digests(database) != self.reference[2]:
            raise Failed(f"{rival.title}: counts and sums are the same, but rows are not")
        self.whole[rival.title].append(took["inserted"])
        self.indexed[rival.title].append(took["whole"])
        self._told(number, rival.name, took["inserted"])
        shutil.rmtree(place)

    def _compare(self, name, found):
        wrong = equivalence.differences(self.reference[0], found)
        if wrong:
            raise Failed(f"{name} comes to something else: {'; '.join(wrong[:3])}")

    def _told(self, number, name, took):
        self.say(f"round {number}: {name}, {self.records:,} records in {took:.2f} s")

    def result(self):
        """Everything, for the JSON."""
        summed = lambda of: {name: figures.summary(values) for name, values in of.items() if values}
        ratios = {
            name: figures.ratio(self.whole[OURS], values)
            for name, values in self.whole.items()
            if name != OURS and values
        }
        titles = [rival.title for rival in self.rivals]
        return {
            "records": self.records,
            "steps": summed(self.steps),
            "processorSeconds": summed(self.cores),
            "whole": summed(self.whole),
            "processorSecondsOfAll": summed(self.spent),
            "withUniqueIds": summed(self.indexed),
            "timesAsFast": ratios,
            "importTimesTheScript": figures.ratio(self.steps["import"], self.whole[titles[0]]) if titles else None,
            "peakKib": figures.summary(self.peaks),
            "versions": {rival.title: rival.versions for rival in self.rivals},
        }


def tables(result):
    """The two tables of this part."""
    records = result["records"]
    steps = []
    for step in STEPS:
        of = result["steps"].get(step)
        if not of:
            continue
        cores = result["processorSeconds"].get(step)
        busy = f"{cores['median'] / of['median']:.2f}" if cores else "–"
        name = "of that, generation" if step == "generate" else step
        rate = "–" if step == "register" else figures.grouped(records / of["median"])
        steps.append([name, figures.seconds(of), rate, busy])
    out = f"\n### The five steps, {records:,} source records\n\n"
    out += figures.table(["step", "time, median (least–most)", "source records/s", "cores busy (server)"], steps)
    out += f"\nMost memory of the server: {result['peakKib']['median'] / 1024:.0f} MiB.\n"
    rows = []
    for name, of in result["whole"].items():
        title = f"{name} ({result['versions'][name]})" if result["versions"].get(name) else name
        indexed = result["withUniqueIds"].get(name)
        ratio = result["timesAsFast"].get(name)
        rows.append([
            title, figures.seconds(of), figures.grouped(records / of["median"]),
            figures.seconds(result["processorSecondsOfAll"][name]),
            figures.seconds(indexed) if indexed else "as it is", figures.times(ratio) if ratio else "1",
        ])  # fmt: skip
    out += f"\n### Against what a user would take instead, {records:,} source records, the same rows\n\n"
    head = [
        "who", "time, median (least–most)", "source records/s", "processor time", "with unique ids",
        "Sluice's whole way is so many times as fast",
    ]  # fmt: skip
    out += figures.table(head, rows)
    if result["importTimesTheScript"]:
        out += f"\nThe import alone is {figures.times(result['importTimesTheScript'])} times as fast as the script.\n"
    return out
