"""Kills: a server is killed at random times, restarted, and the workload clients continue."""

import random
import threading
import time

from server import MIGRATIONS, UnexpectedResult

import oracle
from client import (
    ConnectionLost,
    JobFailed,
    MissingResults,
    RequestRejected,
    Stalled,
    UploadStopped,
    Workload,
    request_json,
)
from dataset import Dataset
from server_process import ServerProcess

#: Number of rounds that share a data directory. The limit keeps starts fast.
ROUNDS_PER_DIRECTORY = 10

#: Moments that a kill can follow, weighted by repetition. The other kills come at a random time after the start.
MOMENTS = [
    "register",
    "load",
    "load",
    "load",
    "result",
    "result",
    "validate",
    "validate",
    "import",
    "import",
    "import",
    "counts",
]

#: Dataset sizes in customers with their weights. The largest has more records in a table than an index holds in memory.
SIZES = [(40, 8), (200, 8), (700, 4), (6_500, 0.25)]


#: Configuration with small batches and transactions, so that more kills fall between two of them.
SMALL_BATCHES = "[upload]\nbatch_records = 20\n[import]\ntransaction_records = 40\n"


class KillTrigger:
    """Trigger that kills a server once, at a random time after a random moment."""

    def __init__(self, server, rng, durations):
        self.server, self._lock, self.fired = server, threading.Lock(), threading.Event()
        self.moment = rng.choice(MOMENTS) if rng.random() < 0.8 else None
        self.after = rng.choice([0, 0, 0, 1, 2, 5])
        # Half of the kills follow shortly after the start of a step, the others are spread over its duration.
        duration = durations.get(self.moment, 0.5)
        self.delay = rng.uniform(0, 0.02) if rng.random() < 0.5 else rng.uniform(0, duration * 1.2)
        self.description = f"{self.moment or 'any time'}+{self.delay * 1000:.1f} ms"
        if self.moment is None:
            self._begin(rng.uniform(0, 1.0))

    def on_step(self, moment):
        """Receives the start of a step. Schedules the kill if it is the chosen moment."""
        with self._lock:
            if moment != self.moment or self.fired.is_set():
                return
            if moment in ("load", "result") and self.after:
                self.after -= 1
                return
            self.moment = ""
        self._begin(self.delay)

    def _begin(self, delay):
        threading.Thread(target=self._kill, args=(delay,), daemon=True).start()

    def _kill(self, delay):
        time.sleep(delay)
        self.now()

    def now(self):
        """Kills the server unless that is done."""
        with self._lock:
            if self.fired.is_set():
                return
            self.fired.set()
        self.server.kill()


class ReferenceSets:
    """Datasets of a run with the references of their undisturbed migrations. Created on first use."""

    def __init__(self, workspace, seed):
        self.workspace, self.seed = workspace, seed
        self._known, self._lock = {}, threading.Lock()

    def get(self, customers, variant=0):
        """Returns a dataset and its reference."""
        with self._lock:
            if (customers, variant) not in self._known:
                dataset = Dataset(customers, self.seed * 100 + variant)
                with ServerProcess(self.workspace.binary, self.workspace.new_data_dir("undisturbed")) as server:
                    workload = Workload(dataset, random.Random(0))
                    workload.run(server)
                    observed = oracle.Observation.read(server, workload)
                reference = oracle.Reference(observed, workload)
                violations = oracle.reconcile(observed, workload, reference)
                if violations or not reference.record_count:
                    raise UnexpectedResult(f"an undisturbed migration has a wrong result: {violations}")
                self._known[customers, variant] = dataset, reference
            return self._known[customers, variant]


def draw_size(rng):
    """Returns a random number of customers."""
    return rng.choices([size for size, _ in SIZES], [weight for _, weight in SIZES])[0]


class FaultRound:
    """A round: some migrations on one server, interrupted by faults."""

    #: Name of the fault, singular and plural.
    FAULT, FAULTS = "kill", "kills"

    def __init__(self, part, turn, report, workspace, datasets, seed, durations):
        self.part, self.turn, self.report, self.workspace, self.durations = part, turn, report, workspace, durations
        self.rng = random.Random(f"{seed}:{part}:{turn}")
        self.fault_count = self.rng.randint(3, 7)
        size = draw_size(self.rng)
        count = 1 if size > 1_000 else self.rng.choice([1, 1, 1, 2, 3])
        self.workloads, self.references = [], []
        for _ in range(count):
            dataset, reference = datasets.get(size, self.rng.randrange(2))
            self.workloads.append(Workload(dataset, random.Random(self.rng.random())))
            self.references.append(reference)
        self.failed = set()
        self.directory = None
        # A separate generator keeps the other random choices unchanged.
        small = random.Random(f"{seed}:{part}:{turn}:transactions").random() < 0.5
        self.config = SMALL_BATCHES if small else ""

    def add_finding(self, kind, message):
        """Records a finding and keeps a copy of the data directory."""
        self.report.add_finding(kind, self.part, self.turn, message)
        try:
            self.workspace.keep_copy(self.directory.name, f"{self.part}-{self.turn}-{len(self.report.findings)}")
        except OSError:
            pass

    def run(self, data_dir):
        """Runs the round. Returns true if the data directory can be used by the next round."""
        self.directory = data_dir
        remaining = self.fault_count
        while True:
            server = self.start_server()
            if server is None:
                return False
            try:
                self.check_durable(server)
                if remaining == 0:
                    self.finish(server)
                    return True
                remaining -= 1
                self.run_until_fault(server, self.new_trigger(server))
            finally:
                if server.killed:
                    # The power is cut after the signal: the next server must not start before.
                    server.kill_is_complete.wait()
                else:
                    server.stop()

    def new_server(self, **options):
        """Starts a server process on the data directory that the last one left."""
        return ServerProcess(self.workspace.binary, self.directory, config=self.config, **options)

    def new_trigger(self, server):
        """Returns the trigger of the next fault."""
        return KillTrigger(server, self.rng, self.durations)

    def start_server(self):
        """Starts a server, sometimes after kills during the start.

        Records a finding and returns none if the server does not start.
        """
        while self.rng.random() < 0.12:
            self.new_server(kill_after=self.rng.uniform(0, self.durations.get("start", 0.6)))
            self.report.add(self.FAULTS)
            self.report.add(f"{self.FAULTS} during the start")
        try:
            server = self.new_server()
        except UnexpectedResult as failure:
            self.add_finding("no start", f"the server does not restart [{failure}]")
            return None
        self.report.add("restarts")
        self.report.maximum("longest restart", server.start_seconds)
        return server

    def run_until_fault(self, server, trigger):
        """Runs all migrations concurrently until the fault."""
        threads = []
        for number, workload in enumerate(self.workloads):
            if number in self.failed:
                continue
            workload.on_step = self.timed_callback(workload, trigger)
            threads.append(
                threading.Thread(target=self.run_workload, args=(number, workload, server, trigger), daemon=True)
            )
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        trigger.now()
        server.process.wait()
        self.report.add(self.FAULTS)
        self.report.add(f"{self.FAULTS} at {trigger.description.partition('+')[0]}")

    def timed_callback(self, workload, trigger):
        """Returns a callback that notifies the trigger and measures the usual duration of each step."""
        last = [None, 0.0]

        def on_step(moment):
            now = time.monotonic()
            if last[0]:
                self.durations[last[0]] = self.durations.get(last[0], 0.3) * 0.8 + min(now - last[1], 3) * 0.2
            last[:] = moment, now
            trigger.on_step(moment)

        return on_step

    def run_workload(self, number, workload, server, trigger):
        """Runs a migration to its end or to the end of the server."""
        try:
            workload.run(server)
        except ConnectionLost as error:
            # The server was killed or will be killed soon.
            if not trigger.fired.wait(3):
                self.failed.add(number)
                self.add_finding("wrong", f"a connection was lost without a {self.FAULT} [{error}]")
        except Stalled as error:
            self.failed.add(number)
            self.add_finding("stuck", f"{workload.step}: {error}")
        except MissingResults as error:
            self.failed.add(number)
            self.add_finding("false success", str(error))
        except (RequestRejected, UploadStopped, JobFailed, UnexpectedResult) as error:
            if not trigger.fired.wait(0.5) or not self.is_expected(error):
                self.failed.add(number)
                self.add_finding("wrong", f"{workload.step}: {error}")
        except Exception as error:
            self.failed.add(number)
            self.add_finding("wrong", f"{workload.step}: {type(error).__name__} {error}")

    def is_expected(self, error):
        """Returns true if an error can result from the fault. A kill makes no job fail."""
        return not isinstance(error, JobFailed)

    def check_durable(self, server):
        """Checks before new uploads that everything acknowledged is there and no job runs."""
        for number, workload in enumerate(self.workloads):
            if workload.id is None or number in self.failed:
                continue
            try:
                violations = oracle.check_durable(server, workload) + check_jobs(server, workload)
            except (RequestRejected, ConnectionLost) as error:
                violations = [("wrong", f"after a restart staging cannot be read [{error}]")]
            for kind, message in violations:
                self.add_finding(kind, f"after a {self.FAULT}: {message}")
            if violations:
                self.failed.add(number)
            self.report.add("checks right after a restart")

    def finish(self, server):
        """Runs all migrations to their end without faults and reconciles them."""
        ids = {migration["referenceId"] for migration in list_migrations(server)}
        for number, workload in enumerate(self.workloads):
            if number in self.failed:
                continue
            workload.on_step = lambda moment: None
            try:
                workload.run(server)
                violations = oracle.reconcile(
                    oracle.Observation.read(server, workload), workload, self.references[number]
                )
            except (
                Stalled,
                MissingResults,
                RequestRejected,
                UploadStopped,
                JobFailed,
                ConnectionLost,
                UnexpectedResult,
            ) as failure:
                kind = "stuck" if isinstance(failure, Stalled) else "wrong"
                violations = [(kind, f"without a {self.FAULT}: {workload.step}: {failure}")]
            for kind, message in violations:
                self.add_finding(kind, message)
            self.report.add("migrations brought to verified counts")
            self.report.add("records sent", workload.sent)
            self.report.add("results acknowledged", workload.results)
        duplicates = oracle.repeated_rows(server.target)
        if duplicates:
            self.add_finding("duplicated", f"{duplicates} rows of the target have a reference id that another row has")
        unknown_ids = ids - self.known_migrations() - {workload.id for workload in self.workloads}
        for _ in unknown_ids:
            self.add_finding(
                "duplicated", "a registration was executed twice: the same idempotency key created another migration"
            )
        self.remember_migrations(unknown_ids)

    def known_migrations(self):
        """Returns the ids of migrations of earlier rounds in this data directory."""
        return getattr(self.workspace, "known_migrations", set())

    def remember_migrations(self, unknown_ids):
        """Adds the migrations of this round to the known ones."""
        self.workspace.known_migrations = (
            self.known_migrations() | unknown_ids | {workload.id for workload in self.workloads}
        )


def list_migrations(server):
    """Returns all migrations of a server."""
    migrations, offset = [], 0
    while True:
        page = request_json(server, "GET", f"{MIGRATIONS}?limit=100&offset={offset}")
        migrations += page["items"]
        offset += len(page["items"])
        if not page["items"] or offset >= page.get("total", 0):
            return migrations


def check_jobs(server, workload):
    """Checks right after a start that no job runs and that jobs that had succeeded still have that state."""
    jobs = request_json(server, "GET", f"{workload.path}/jobs?limit=100")
    documents = {job["jobId"]: job for job in jobs["items"]}
    violations = []
    for job_id, (kind, state) in workload.jobs.items():
        now = documents.get(job_id, {}).get("state")
        if now is None:
            violations.append(("lost", f"a started {kind} job does not exist"))
        elif now == "running":
            violations.append(("stuck", f"a {kind} job has state running right after a start"))
        elif state == "succeeded" and now != "succeeded":
            violations.append(("false success", f"a {kind} job had succeeded and has state {now} after a restart"))
    return violations


def run(report, workspace, datasets, seed, kills, out_of_time, only=None):
    """Runs rounds until this number of kills is reached."""
    durations, turn, previous = {}, 0, report.figures["kills"]
    data_dir = None
    for turn in range(only if only is not None else 0, 1_000_000 if only is None else only + 1):
        if report.figures["kills"] - previous >= kills or out_of_time():
            break
        if data_dir is None or turn % ROUNDS_PER_DIRECTORY == 0:
            data_dir = workspace.new_data_dir("kills")
            workspace.known_migrations = set()
        usable = FaultRound("kills", turn, report, workspace, datasets, seed, durations).run(data_dir)
        if not usable:
            data_dir = None
        report.add("rounds of kills")
        if turn % 10 == 9:
            report.log(
                f"{report.figures['kills']:,} kills, {report.figures['migrations brought to verified counts']:,} "
                f"migrations, {len(report.findings)} findings"
            )
    workspace.remove("kills")
