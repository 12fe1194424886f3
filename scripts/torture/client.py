"""A careful client: it believes what it was answered and nothing else, and goes on from there after every break."""

import http.client
import json
import socket
import threading
import time
import uuid

from server import COMPONENTS, MIGRATIONS

from dataset import WAVES

#: Seconds for which it tries again where it is told to wait.
PATIENCE = 20

#: Seconds after which it looks whether anything is running at all.
IMPATIENCE = 2

#: What a refusal says that is over when something else has ended.
RUNNING = {"VALIDATION_RUNNING", "IMPORT_RUNNING", "UPLOAD_RUNNING", "JOB_RUNNING"}

#: The job after each.
AFTER = {"validate": "import", "import": "counts", "counts": "done"}


class Cut(Exception):
    """The connection broke: what was asked may or may not have been done."""


class Refused(Exception):
    """The server said no."""

    def __init__(self, what, status, problem):
        self.status, self.problem = status, problem
        self.code = problem.get("code") if isinstance(problem, dict) else None
        super().__init__(f"{what}: {status} {self.code or problem}")


class Stuck(Exception):
    """It was told to wait for something that does not happen."""


BROKEN = (OSError, http.client.HTTPException)


def answer(life, method, path, body=None, headers=None, timeout=120):
    """An answer: its header fields, and its body as bytes; on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", life.port, timeout=timeout)
    try:
        headers = {"Authorization": life.authorization(), **(headers or {})}
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
    except BROKEN as broken:
        raise Cut(f"{method} {path}: {broken!r}") from None
    except (KeyError, ValueError):
        raise Cut(f"{method} {path}: no token") from None
    finally:
        connection.close()
    if response.status >= 300:
        try:
            problem = json.loads(data)
        except ValueError:
            problem = data[:200]
        raise Refused(f"{method} {path}", response.status, problem)
    return response.headers, data


def ask(life, method, path, body=None, headers=None, timeout=120):
    """An answer's body as bytes."""
    return answer(life, method, path, body, headers, timeout)[1]


def ask_json(life, method, path, body=None, headers=None):
    """An answer, read as JSON."""
    data = ask(life, method, path, body, headers)
    return json.loads(data) if data else None


def lines_of(life, path):
    """A stream's lines."""
    return ask(life, "GET", path, headers={"Accept": "application/jsonl"}).splitlines()


class Sending:
    """How an upload's bytes are sent: the pieces, and the pauses between them."""

    def __init__(self, pieces, length=None, chunked=False):
        self.pieces, self.length, self.chunked = pieces, length, chunked
        self.gone = None

    def send(self, line):
        """Sends all of it; what breaks it is kept."""
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
        except OSError as gone:
            self.gone = gone


def steady(body, chance):
    """A body in pieces of some random size, now and then with a pause: as from a network."""
    size = chance.choice([1 << 12, 1 << 14, 1 << 16, 1 << 20])
    pause = chance.choice([0.0, 0.0, 0.001, 0.004])
    pieces = []
    for at in range(0, len(body), size):
        pieces.append(body[at : at + size])
        if pause and chance.random() < 0.5:
            pieces.append(pause)
    return Sending(pieces, len(body), chunked=chance.random() < 0.3)


def upload(life, path, sending, heard):
    """Sends a body and hands on each result line as it comes; returns when the answer has ended as it should."""
    try:
        line = socket.create_connection(("127.0.0.1", life.port), timeout=120)
    except OSError as broken:
        raise Cut(f"PUT {path}: {broken!r}") from None
    with line:
        sender = None
        try:
            how = "Transfer-Encoding: chunked" if sending.chunked else f"Content-Length: {sending.length}"
            line.sendall(
                f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1:{life.port}\r\nAuthorization: {life.authorization()}\r\n"
                f"Content-Type: application/jsonl\r\nAccept: application/jsonl\r\n{how}\r\n"
                f"Connection: close\r\n\r\n".encode()
            )
            sender = threading.Thread(target=sending.send, args=(line,), daemon=True)
            sender.start()
            response = http.client.HTTPResponse(line, method="PUT")
            response.begin()
            if response.status != 200:
                data = response.read()
                try:
                    problem = json.loads(data)
                except ValueError:
                    problem = data[:200]
                raise Refused(f"PUT {path}", response.status, problem)
            rest = b""
            while piece := response.read1(1 << 16):
                *whole, rest = (rest + piece).split(b"\n")
                for result in whole:
                    heard(json.loads(result))
            if rest:
                raise Cut(f"PUT {path}: the answer ended within a line")
        except BROKEN as broken:
            raise Cut(f"PUT {path}: {broken!r}") from None
        except (KeyError, ValueError) as broken:
            raise Cut(f"PUT {path}: {broken!r}") from None
        finally:
            try:
                line.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            if sender:
                sender.join()


class Stopped(Exception):
    """An upload was stopped by the server, which said why as its last line."""

    def __init__(self, problem):
        self.code = problem.get("code")
        super().__init__(f"an upload was stopped: {self.code}")


class Short(Exception):
    """An answer ended as if all were well, with fewer results than records."""


class Journey:
    """One migration on its way, and all that its client was ever answered."""

    #: Seconds for which it waits for a job's end.
    longest_job = 200

    def __init__(self, books, chance, hit=lambda moment: None, components=COMPONENTS, mapper="berka"):
        self.books, self.chance, self.hit = books, chance, hit
        self.components, self.mapper = list(components), mapper
        self.key = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        self.id = None
        self.step = "register"
        #: By table: how many records from the first on have an acknowledged result, and what they became.
        self.acknowledged = {table: 0 for table in books.tables()}
        self.made = {table: [] for table in books.tables()}
        #: Jobs that were answered as begun, with the state that was last seen.
        self.jobs = {}
        self.sent = 0
        self.results = 0
        self.refusals = 0
        self._lock = threading.Lock()

    @property
    def path(self):
        """Its path."""
        return f"{MIGRATIONS}/{self.id}"

    def done(self):
        """Whether it has come to its end."""
        return self.step == "done"

    def go(self, life):
        """Goes on until its end; a break is raised."""
        while not self.done():
            if self.step == "register":
                self.register(life)
            elif self.step == "load":
                self.load(life)
            else:
                self.job(life, self.step)

    def register(self, life):
        """Registers it; asked again, the same comes back."""
        self.hit("register")
        body = {"components": self.components, "mapper": self.mapper}
        self.id = ask_json(life, "POST", MIGRATIONS, body, {"Idempotency-Key": self.key})["referenceId"]
        self.step = "load"

    def load(self, life):
        """Uploads what has no acknowledged result, several tables at once."""
        for wave in WAVES:
            waiting = [table for table in wave if table in self.acknowledged and self.missing(table)]
            if not waiting:
                continue
            self.hit("load")
            failures = []

            def one(table):
                try:
                    self.upload(life, table)
                except Exception as failure:
                    failures.append(failure)

            threads = [threading.Thread(target=one, args=(table,), daemon=True) for table in waiting]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if failures:
                # What says more than that the connection broke is told first.
                raise sorted(failures, key=lambda failure: isinstance(failure, Cut))[0]
        self.step = "validate"

    def missing(self, table):
        """How many records have no acknowledged result."""
        return len(self.books.lines[table]) - self.acknowledged[table]

    def upload(self, life, table):
        """Uploads a table, from the first record on that has no result, or from its beginning."""
        lines = self.books.lines[table]
        with self._lock:
            first = self.acknowledged[table] if self.chance.random() < 0.6 else 0
            # Of a table that is whole already nothing would be left to send.
            first %= len(lines)
            sending = steady(b"\n".join(lines[first:]) + b"\n", self.chance)
        self.sent += len(lines) - first
        heard = 0

        def hear(result):
            nonlocal heard
            self.believe(table, first, heard + 1, result)
            heard += 1
            if heard == 1:
                self.hit("result")

        def attempt():
            upload(life, f"{self.path}/sources/{table}", sending, hear)

        self.patiently(life, attempt)
        if heard != len(lines) - first:
            raise Short(f"{heard} results for {len(lines) - first} records of {table}, and the answer ended well")

    def believe(self, table, first, line, result):
        """Takes over the result that is the next, of the record on this line of what was sent from `first` on."""
        if "problem" in result:
            raise Stopped(result["problem"])
        if result.get("line") != line or not result["isSuccessful"]:
            raise Stuck(f"result {line} of {table} is {json.dumps(result)[:300]}")
        with self._lock:
            self.results += 1
            if first + line > self.acknowledged[table]:
                self.acknowledged[table] = first + line
                self.made[table] += [(made["entityType"], made["referenceId"]) for made in result.get("records") or []]

    def patiently(self, life, attempt):
        """Tries again where it is told that something is running."""
        began = time.monotonic()
        while True:
            try:
                return attempt()
            except Refused as refused:
                if refused.code not in RUNNING:
                    raise
                late = time.monotonic() - began
                if late > IMPATIENCE:
                    jobs = ask_json(life, "GET", f"{self.path}/jobs?limit=100")
                    states = sorted({f"{job['kind']} {job['state']}" for job in jobs["items"]})
                    runs = refused.code == "UPLOAD_RUNNING" or any(state.endswith("running") for state in states)
                    if not runs or late > PATIENCE:
                        raise Stuck(f"{refused.code} for {late:.0f} s, and no job runs [{states}]") from None
                time.sleep(0.05)

    def job(self, life, kind):
        """Runs a job, unless it came to its end before the break."""
        for known, (of, state) in list(self.jobs.items()):
            if of == kind and state == "running":
                if self.wait(life, known)["state"] == "succeeded":
                    self.step = AFTER[kind]
                    return
        self.hit(kind)
        try:
            known = self.patiently(life, lambda: ask_json(life, "PUT", f"{self.path}/jobs/{kind}"))
        except Refused as refused:
            if kind == "import" and refused.code == "NOT_VALIDATED":
                self.refusals += 1
                if self.refusals > 50:
                    raise Stuck("an import is refused again and again after validation") from None
                self.step = "validate"
                return
            if refused.code == "NOTHING_STAGED":
                raise Stuck(f"{kind}: NOTHING_STAGED, and {self.results} results were acknowledged") from None
            raise
        self.jobs[known] = kind, "running"
        seen = self.wait(life, known)
        if seen["state"] == "succeeded":
            self.step = AFTER[kind]
        elif seen["state"] == "failed":
            raise Failure(kind, seen)

    def wait(self, life, known):
        """Waits for a job's end."""
        began, at_once = time.monotonic(), 0
        while True:
            asked = time.monotonic()
            wait = {"Prefer": f"wait={min(30, self.longest_job)}"}
            seen = ask_json(life, "GET", f"{self.path}/jobs/{known}", headers=wait)
            self.jobs[known] = seen["kind"], seen["state"]
            if seen["state"] != "running":
                return seen
            # Asked to wait half a minute for the end of a job that nobody works on, a server answers at once.
            at_once += time.monotonic() - asked < 1
            if at_once > 50:
                raise Stuck(f"a {seen['kind']} job is said to be running, and nobody works on it")
            if time.monotonic() - began > self.longest_job:
                raise Stuck(f"a {seen['kind']} job runs and runs")
            time.sleep(0.02)


class Failure(Exception):
    """A job has failed."""

    def __init__(self, kind, seen):
        self.kind, self.seen = kind, seen
        result = seen.get("result")
        self.code = result.get("code") if isinstance(result, dict) else None
        super().__init__(f"{kind} failed: {self.code or json.dumps(seen)[:400]}")
