"""Steps that all parts share: restart after a fault, check durability, finish the migration, reconcile it."""

from server import UnexpectedResult

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
from kills import check_jobs
from server_process import ServerProcess

#: Failures that the server reports or the client detects. None of them is a false success.
REPORTED_FAILURES = (ConnectionLost, RequestRejected, UploadStopped, JobFailed)


class Turn:
    """A turn of a part: a migration on a server, a fault, and the checks after it."""

    def __init__(self, part, turn, report, workspace):
        self.part, self.turn, self.report, self.workspace = part, turn, report, workspace
        self.directory = None
        self.clean = True

    def add_finding(self, kind, message):
        """Records a finding and keeps a copy of the data directory."""
        self.clean = False
        self.report.add_finding(kind, self.part, self.turn, message)
        try:
            self.workspace.keep_copy(self.directory.name, f"{self.part}-{self.turn}-{len(self.report.findings)}")
        except OSError:
            pass

    def advance(self, workload, server, on_outcome):
        """Runs the migration until it ends or fails. Passes a description of the outcome to `on_outcome`."""
        timeout, workload.job_timeout = workload.job_timeout, 15
        try:
            return self._advance(workload, server, on_outcome)
        finally:
            workload.job_timeout = timeout

    def _advance(self, workload, server, on_outcome):
        try:
            workload.run(server)
            return on_outcome("reached the end")
        except MissingResults as error:
            self.add_finding("false success", str(error))
            return on_outcome("ended with missing results")
        except Stalled as error:
            return on_outcome(f"stuck: {error}")
        except REPORTED_FAILURES as failure:
            code = getattr(failure, "code", None)
            if isinstance(failure, RequestRejected) and not isinstance(failure.problem, dict):
                self.add_finding("wrong", f"a rejection without a problem document [{failure}]")
            return on_outcome(f"{type(failure).__name__}, {code or 'connection lost'}")

    def start_server(self, **options):
        """Starts a server and returns it. Records a finding and returns none if it does not start."""
        try:
            server = ServerProcess(self.workspace.binary, self.directory, **options)
        except UnexpectedResult as failure:
            self.add_finding("no start", f"the server does not start [{failure}]")
            return None
        self.report.add("restarts")
        self.report.maximum("longest restart", server.start_seconds)
        return server

    def check_durable(self, server, workload, when):
        """Checks that the server has everything that it acknowledged. Returns true if it has."""
        try:
            violations = oracle.check_durable(server, workload) + check_jobs(server, workload)
        except (RequestRejected, ConnectionLost) as error:
            violations = [("wrong", f"staging cannot be read [{error}]")]
        for kind, message in violations:
            self.add_finding(kind, f"{when}: {message}")
        return not violations

    def check_readable(self, server, workload, context):
        """Reads the staged records during a fault. The server must return all of them or an error."""
        try:
            sources = oracle.staged_sources(server, workload)
        except (RequestRejected, ConnectionLost):
            return
        for kind, message in oracle.check_sources(sources, workload):
            self.add_finding(
                "false success" if kind == "lost" else kind,
                f"{context}: the server answered without an error: {message}",
            )

    def finish(self, server, workload, reference, when):
        """Runs the migration to its end without faults and reconciles it."""
        try:
            workload.run(server)
            violations = oracle.reconcile(oracle.Observation.read(server, workload), workload, reference)
        except (
            Stalled,
            MissingResults,
            RequestRejected,
            UploadStopped,
            JobFailed,
            ConnectionLost,
            UnexpectedResult,
        ) as failure:
            kind = {Stalled: "stuck", MissingResults: "false success"}.get(type(failure), "wrong")
            violations = [(kind, f"{workload.step}: {failure}")]
        for kind, message in violations:
            self.add_finding(kind, f"{when}: {message}")
        self.report.add("migrations brought to verified counts", not violations)
        self.report.add("records sent", workload.sent)
        self.report.add("results acknowledged", workload.results)

    def run_workload(self, server, workload, context):
        """Runs a migration to its end. Records a finding and returns false if it does not reach it."""
        try:
            workload.run(server)
            return True
        except (Stalled, MissingResults, *REPORTED_FAILURES) as failure:
            kind = "stuck" if isinstance(failure, Stalled) else "wrong"
            self.add_finding(kind, f"{context}, {workload.step}: {failure}")
            return False

    def reconcile_all(self, server, samples, context):
        """Reconciles migrations that have ended with their references, and looks for repeated rows in the target."""
        for workload, reference in samples:
            for kind, message in oracle.reconcile(oracle.Observation.read(server, workload), workload, reference):
                self.add_finding(kind, f"{context}: {message}")
            self.report.add("migrations brought to verified counts")
            self.report.add("records sent", workload.sent)
            self.report.add("results acknowledged", workload.results)
        duplicates = oracle.repeated_rows(server.target)
        if duplicates:
            self.add_finding("duplicated", f"{duplicates} rows of the target have a reference id that another row has")

    def recover(self, workload, reference, when):
        """Starts a server on the data directory, checks durability, and finishes the migration."""
        server = self.start_server()
        if server is None:
            return
        with server:
            if workload.id is None or self.check_durable(server, workload, when):
                self.finish(server, workload, reference, when)


def run_until(workload, server, step):
    """Runs the migration until this step is the next one."""
    order = ["register", "load", "validate", "import", "counts", "done"]
    while order.index(workload.step) < order.index(step):
        if workload.step == "register":
            workload.register(server)
        elif workload.step == "load":
            workload.load(server)
        else:
            workload.run_job(server, workload.step)


def migration_document(server, workload):
    """Returns the document of the migration."""
    return request_json(server, "GET", workload.path)


def new_workload(datasets, rng, customers, kind=Workload):
    """Returns a workload for a new migration and the reference of an undisturbed migration of the same dataset."""
    dataset, reference = datasets.get(customers, rng.randrange(2))
    return kind(dataset, rng), reference
