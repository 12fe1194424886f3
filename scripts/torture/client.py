"""The workload client. It records every acknowledgement of the server, relies on nothing else, and resumes from there
after every failure.
"""

import http.client
import json
import socket
import threading
import time
import uuid

from server import COMPONENTS, MIGRATIONS

from dataset import UPLOAD_PHASES

#: Seconds for which the client retries a request that a running job or upload blocks.
RETRY_SECONDS = 20

#: Seconds of retries after which the client checks that a job or upload is running at all.
JOB_CHECK_SECONDS = 2

#: Error codes of rejections that end when another job or upload ends.
RUNNING_CODES = {"VALIDATION_RUNNING", "IMPORT_RUNNING", "UPLOAD_RUNNING", "JOB_RUNNING"}

#: Step after each job.
NEXT_STEP = {"validate": "import", "import": "counts", "counts": "done"}


class ConnectionLost(Exception):
    """A lost connection. The server may or may not have executed the request."""


class RequestRejected(Exception):
    """A response with an error status."""

    def __init__(self, request, status, problem):
        self.status, self.problem = status, problem
        self.code = problem.get("code") if isinstance(problem, dict) else None
        super().__init__(f"{request}: {status} {self.code or problem}")


class Stalled(Exception):
    """A wait for an event that does not happen."""


#: Exceptions of a lost connection.
CONNECTION_ERRORS = (OSError, http.client.HTTPException)


def request(server, method, path, body=None, headers=None, timeout=120):
    """Sends a request on a new connection. Returns the header fields and the body of the response."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    try:
        headers = {"Authorization": server.authorization(), **(headers or {})}
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
    except CONNECTION_ERRORS as error:
        raise ConnectionLost(f"{method} {path}: {error!r}") from None
    except (KeyError, ValueError):
        raise ConnectionLost(f"{method} {path}: no token") from None
    finally:
        connection.close()
    if response.status >= 300:
        try:
            problem = json.loads(data)
        except ValueError:
            problem = data[:200]
        raise RequestRejected(f"{method} {path}", response.status, problem)
    return response.headers, data


def request_bytes(server, method, path, body=None, headers=None, timeout=120):
    """Sends a request and returns the body of the response."""
    return request(server, method, path, body, headers, timeout)[1]


def request_json(server, method, path, body=None, headers=None):
    """Sends a request and returns the body of the response as JSON."""
    data = request_bytes(server, method, path, body, headers)
    return json.loads(data) if data else None


def request_lines(server, path):
    """Returns the lines of a record stream."""
    return request_bytes(server, "GET", path, headers={"Accept": "application/jsonl"}).splitlines()


class UploadBody:
    """The body of an upload: pieces of bytes, and pauses in seconds between them."""

    def __init__(self, pieces, length=None, chunked=False):
        self.pieces, self.length, self.chunked = pieces, length, chunked
        self.error = None

    def send(self, line):
        """Sends all pieces. Stores the error that ends the connection."""
        try:
            for piece in self.pieces:
                if isinstance(piece, float):
                    time.sleep(piece)
                    continue
                if self.chunked:
                    piece = b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
                line.sendall(piece)
            if self.chunked:
                line.sendall(b"0\r\n\r\n")
        except OSError as error:
            self.error = error


def paced_body(body, rng):
    """Returns a body in pieces of a random size, with pauses between some of them, as on a network."""
    size = rng.choice([1 << 12, 1 << 14, 1 << 16, 1 << 20])
    pause = rng.choice([0.0, 0.0, 0.001, 0.004])
    pieces = []
    for at in range(0, len(body), size):
        pieces.append(body[at : at + size])
        if pause and rng.random() < 0.5:
            pieces.append(pause)
    return UploadBody(pieces, len(body), chunked=rng.random() < 0.3)


def upload(server, path, upload_body, on_result):
    """Uploads a body. Passes each result line to `on_result`. Returns after a complete response, raises otherwise."""
    try:
        line = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    except OSError as error:
        raise ConnectionLost(f"PUT {path}: {error!r}") from None
    with line:
        sender = None
        try:
            framing = "Transfer-Encoding: chunked" if upload_body.chunked else f"Content-Length: {upload_body.length}"
            line.sendall(
                f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: {server.authorization()}\r\n"
                f"Content-Type: application/jsonl\r\nAccept: application/jsonl\r\n{framing}\r\n"
                f"Connection: close\r\n\r\n".encode()
            )
            sender = threading.Thread(target=upload_body.send, args=(line,), daemon=True)
            sender.start()
            response = http.client.HTTPResponse(line, method="PUT")
            response.begin()
            if response.status != 200:
                data = response.read()
                try:
                    problem = json.loads(data)
                except ValueError:
                    problem = data[:200]
                raise RequestRejected(f"PUT {path}", response.status, problem)
            rest = b""
            while piece := response.read1(1 << 16):
                *lines, rest = (rest + piece).split(b"\n")
                for result in lines:
                    on_result(json.loads(result))
            if rest:
                raise ConnectionLost(f"PUT {path}: the response ended within a line")
        except CONNECTION_ERRORS as error:
            raise ConnectionLost(f"PUT {path}: {error!r}") from None
        except (KeyError, ValueError) as error:
            raise ConnectionLost(f"PUT {path}: {error!r}") from None
        finally:
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            if sender:
                sender.join()


class UploadStopped(Exception):
    """An upload that the server stopped. The last line of the response is the problem."""

    def __init__(self, problem):
        self.code = problem.get("code")
        super().__init__(f"the server stopped an upload: {self.code}")


class MissingResults(Exception):
    """A complete response with fewer results than records."""


class Workload:
    """A migration and everything that the server has acknowledged of it.

    `on_step` is called at the start of each step, and at the first result of an upload with `result`.
    """

    #: Maximum seconds to wait for the end of a job.
    job_timeout = 200

    def __init__(self, dataset, rng, on_step=lambda moment: None, components=COMPONENTS, mapper="berka"):
        self.dataset, self.rng, self.on_step = dataset, rng, on_step
        self.components, self.mapper = list(components), mapper
        self.key = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        self.id = None
        self.step = "register"
        #: Number of leading records with an acknowledged result, by table, and the records derived from them.
        self.acknowledged = {table: 0 for table in dataset.tables()}
        #: Tables whose last upload was answered completely.
        self.ended = set()
        self.derived = {table: [] for table in dataset.tables()}
        #: Kind and last observed state of each started job.
        self.jobs = {}
        self.sent = 0
        self.results = 0
        self.rejections = 0
        self._lock = threading.Lock()

    @property
    def path(self):
        """Path of the migration."""
        return f"{MIGRATIONS}/{self.id}"

    def is_done(self):
        """Returns true if the migration has reached its end."""
        return self.step == "done"

    def run(self, server):
        """Runs the remaining steps. Raises the first failure."""
        while not self.is_done():
            if self.step == "register":
                self.register(server)
            elif self.step == "load":
                self.load(server)
            else:
                self.run_job(server, self.step)

    def register(self, server):
        """Registers the migration. Idempotent."""
        self.on_step("register")
        body = {"components": self.components, "mapper": self.mapper}
        self.id = request_json(server, "POST", MIGRATIONS, body, {"Idempotency-Key": self.key})["referenceId"]
        self.step = "load"

    def load(self, server):
        """Uploads the tables with records that have no acknowledged result, several tables concurrently."""
        for phase in UPLOAD_PHASES:
            # The server refuses to import a table whose last upload did not end, even if each record has its result.
            waiting = [table for table in phase if table in self.acknowledged and table not in self.ended]
            if not waiting:
                continue
            self.on_step("load")
            failures = []

            def upload_table(table):
                try:
                    self.upload(server, table)
                except Exception as failure:
                    failures.append(failure)

            threads = [threading.Thread(target=upload_table, args=(table,), daemon=True) for table in waiting]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failures:
                # Other failures say more than a lost connection.
                raise sorted(failures, key=lambda failure: isinstance(failure, ConnectionLost))[0]
        self.step = "validate"

    def upload(self, server, table):
        """Uploads a table, from its first record or from the first one without an acknowledged result."""
        lines = self.dataset.lines[table]
        with self._lock:
            first = self.acknowledged[table] if self.rng.random() < 0.6 else 0
            # A table without missing results is uploaded from its first record.
            first %= len(lines)
            upload_body = paced_body(b"\n".join(lines[first:]) + b"\n", self.rng)
            self.ended.discard(table)
        self.sent += len(lines) - first
        received = 0

        def on_result(result):
            nonlocal received
            self.acknowledge(table, first, received + 1, result)
            received += 1
            if received == 1:
                self.on_step("result")

        def attempt():
            upload(server, f"{self.path}/sources/{table}", upload_body, on_result)

        self.retry_while_running(server, attempt)
        if received != len(lines) - first:
            raise MissingResults(
                f"{received} results for {len(lines) - first} records of {table} in a complete response"
            )
        with self._lock:
            self.ended.add(table)

    def acknowledge(self, table, first, line, result):
        """Records the next result. `line` counts the records sent from record `first` on."""
        if "problem" in result:
            raise UploadStopped(result["problem"])
        if result.get("line") != line or not result["isSuccessful"]:
            raise Stalled(f"result {line} of {table} is {json.dumps(result)[:300]}")
        with self._lock:
            self.results += 1
            if first + line > self.acknowledged[table]:
                self.acknowledged[table] = first + line
                self.derived[table] += [
                    (record["entityType"], record["referenceId"]) for record in result.get("records") or []
                ]

    def retry_while_running(self, server, attempt):
        """Retries a request while a running job or upload blocks it."""
        started = time.monotonic()
        while True:
            try:
                return attempt()
            except RequestRejected as rejection:
                if rejection.code not in RUNNING_CODES:
                    raise
                elapsed = time.monotonic() - started
                if elapsed > JOB_CHECK_SECONDS:
                    jobs = request_json(server, "GET", f"{self.path}/jobs?limit=100")
                    states = sorted({f"{job['kind']} {job['state']}" for job in jobs["items"]})
                    runs = rejection.code == "UPLOAD_RUNNING" or any(state.endswith("running") for state in states)
                    if not runs or elapsed > RETRY_SECONDS:
                        raise Stalled(f"{rejection.code} for {elapsed:.0f} s, and no job runs [{states}]") from None
                time.sleep(0.05)

    def run_job(self, server, kind):
        """Runs a job, unless an earlier run has succeeded."""
        for job_id, (job_kind, state) in list(self.jobs.items()):
            if job_kind == kind and state == "running":
                if self.wait_for_job(server, job_id)["state"] == "succeeded":
                    self.step = NEXT_STEP[kind]
                    return
        self.on_step(kind)
        try:
            job_id = self.retry_while_running(server, lambda: request_json(server, "PUT", f"{self.path}/jobs/{kind}"))
        except RequestRejected as rejection:
            if kind == "import" and rejection.code == "NOT_VALIDATED":
                self.rejections += 1
                if self.rejections > 50:
                    raise Stalled("the server rejects an import repeatedly after validation") from None
                self.step = "validate"
                return
            if rejection.code == "NOTHING_STAGED":
                raise Stalled(f"{kind}: NOTHING_STAGED after {self.results} acknowledged results") from None
            raise
        self.jobs[job_id] = kind, "running"
        job = self.wait_for_job(server, job_id)
        if job["state"] == "succeeded":
            self.step = NEXT_STEP[kind]
        elif job["state"] == "failed":
            raise JobFailed(kind, job)

    def wait_for_job(self, server, job_id):
        """Waits for the end of a job and returns its document."""
        started, immediate_answers = time.monotonic(), 0
        while True:
            requested = time.monotonic()
            wait = {"Prefer": f"wait={min(30, self.job_timeout)}"}
            job = request_json(server, "GET", f"{self.path}/jobs/{job_id}", headers=wait)
            self.jobs[job_id] = job["kind"], job["state"]
            if job["state"] != "running":
                return job
            # The server answers a waiting request immediately if no worker runs the job.
            immediate_answers += time.monotonic() - requested < 1
            if immediate_answers > 50:
                raise Stalled(f"a {job['kind']} job has state running, but no worker runs it")
            if time.monotonic() - started > self.job_timeout:
                raise Stalled(f"a {job['kind']} job exceeds the time limit")
            time.sleep(0.02)


class JobFailed(Exception):
    """A failed job."""

    def __init__(self, kind, document):
        self.kind, self.document = kind, document
        result = document.get("result")
        self.code = result.get("code") if isinstance(result, dict) else None
        super().__init__(f"{kind} failed: {self.code or json.dumps(document)[:400]}")
