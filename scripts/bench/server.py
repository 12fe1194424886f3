"""A real `sluice serve` process, and a small client of it that costs next to nothing itself."""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

MIGRATIONS = "/migration-assistance/migrations"
COMPONENTS = ["Counterparties", "Collaterals", "FinancingSolutions", "FinancingExecutions", "Administrate"]

#: One client asks for more here than a server grants one client unless told otherwise.
CONFIG = (
    "[http]\nrequests_per_second = 100000\nrequest_burst = 100000\nconcurrent_requests = 4096\nconnections = 4096\n"
)

#: Bytes read of an answer at a time.
CHUNK = 1 << 18


class Failed(Exception):
    """Something did not come out as it has to."""


class Memory:
    """Samples a process's resident memory, in a thread of its own."""

    def __init__(self, pid, every=0.1):
        self.pid, self.every = pid, every
        self.samples = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._began = time.monotonic()
        self._thread.start()

    def _run(self):
        while not self._stop.wait(self.every):
            held = status(self.pid).get("VmRSS")
            if held:
                self.samples.append((time.monotonic() - self._began, held))

    def stop(self):
        """The samples: seconds since the beginning, and KiB."""
        self._stop.set()
        self._thread.join()
        return self.samples


def status(pid):
    """Figures of a process in KiB, by their names in /proc."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    parts = [line.split() for line in lines if line.startswith("Vm")]
    return {part[0].rstrip(":"): int(part[1]) for part in parts}


def processor_seconds(pid):
    """What a process has taken of the processors so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """A server on a free port, with a data directory of its own."""

    def __init__(self, binary, data_dir, mappers=()):
        self.data_dir = Path(data_dir)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        config = self.data_dir / "bench.toml"
        config.write_text(CONFIG)
        self.port = free_port()
        given = [argument for mapper in mappers for argument in ("--mapper", str(mapper))]
        command = [binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", self.data_dir]
        self._log = (self.data_dir / "log").open("ab")
        began = time.perf_counter()
        self.process = subprocess.Popen([*command, "--config", config, *given], stdout=self._log, stderr=self._log)
        try:
            self._wait_until_ready()
        except Failed:
            self.process.kill()
            raise
        #: Seconds until it was ready.
        self.start_seconds = time.perf_counter() - began
        self._token, self._until = None, 0.0

    def _wait_until_ready(self):
        for _ in range(30_000):
            if self.process.poll() is not None:
                raise Failed(f"the server ended: {(self.data_dir / 'log').read_text()[-2000:]}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/health/ready")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            finally:
                connection.close()
            time.sleep(0.002)
        raise Failed("the server did not become ready")

    @property
    def pid(self):
        """Its process."""
        return self.process.pid

    @property
    def target(self):
        """The platform's database."""
        return self.data_dir / "platform.db"

    def authorization(self):
        """A header that lets in."""
        if time.monotonic() > self._until:
            login = base64.b64encode((self.data_dir / "admin-client").read_bytes().strip()).decode()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/oauth2/token", "grant_type=client_credentials", headers)
            answer = json.loads(connection.getresponse().read())
            connection.close()
            self._token, self._until = answer["access_token"], time.monotonic() + answer["expires_in"] - 60
        return f"Bearer {self._token}"

    def client(self):
        """A connection that is kept."""
        return Client(self)

    def stop(self):
        """Ends it and waits."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


class Client:
    """One connection to a server."""

    def __init__(self, server):
        self.server = server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)

    def close(self):
        """Closes the connection."""
        self.connection.close()

    def ask(self, method, path, body=None, headers=None):
        """An answer, read as JSON."""
        headers = {"Authorization": self.server.authorization(), **(headers or {})}
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # The server closes a connection on which nothing is asked for a while.
            self.connection.close()
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
        data = response.read()
        if response.status >= 300:
            raise Failed(f"{method} {path}: {response.status} {data[:500]!r}")
        return json.loads(data) if data else None

    def register(self, components=COMPONENTS, mapper="berka"):
        """Registers a migration; its path."""
        made = self.ask("POST", MIGRATIONS, {"components": list(components), "mapper": mapper})
        return f"{MIGRATIONS}/{made['referenceId']}"

    def upload(self, migration, source, path):
        """Uploads a file and reads every result line; how many records there were."""
        size = os.path.getsize(path)
        if size == 0:
            return 0
        head = (
            f"PUT {migration}/sources/{source} HTTP/1.1\r\nHost: 127.0.0.1:{self.server.port}\r\n"
            f"Authorization: {self.server.authorization()}\r\nContent-Type: application/jsonl\r\n"
            f"Accept: application/jsonl\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=600) as line, open(path, "rb") as file:
            sender = threading.Thread(target=_send, args=(line, head.encode(), file), daemon=True)
            sender.start()
            records = _read_results(line)
            sender.join()
        return records

    def job(self, migration, kind):
        """Runs a job to its end; its document."""
        job = self.ask("PUT", f"{migration}/jobs/{kind}")
        while True:
            seen = self.ask("GET", f"{migration}/jobs/{job}", headers={"Prefer": "wait=60"})
            if seen["state"] != "running":
                break
        if seen["state"] != "succeeded":
            raise Failed(f"{kind} ended {seen['state']}: {json.dumps(seen)[:800]}")
        return seen


def _send(line, head, file):
    try:
        line.sendall(head)
        line.sendfile(file)
    except OSError:
        pass  # The answer says why.


def _read_results(line):
    """Counts the results of an upload's answer, which is chunked; none may have failed."""
    response = http.client.HTTPResponse(line)
    response.begin()
    if response.status != 200:
        raise Failed(f"an upload was answered with {response.status}: {response.read()[:500]!r}")
    records, rest = 0, b""
    while True:
        piece = response.read1(CHUNK)
        if not piece:
            break
        records += piece.count(b"\n")
        # Across the edge of two pieces too.
        rest = rest[-64:] + piece
        if b'"isSuccessful":false' in rest:
            at = rest.index(b'"isSuccessful":false')
            raise Failed(f"a record was refused: {rest[max(0, at - 200) : at + 400]!r}")
    return records
