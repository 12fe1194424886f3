"""A process of `sluice serve` and a client for it with little overhead."""

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

#: Path of the migrations.
MIGRATIONS = "/migration-assistance/migrations"
#: All components of a migration.
COMPONENTS = ["Counterparties", "Collaterals", "FinancingSolutions", "FinancingExecutions", "Administrate"]

#: Configuration with limits for a single busy client, higher than the defaults.
CONFIG = (
    "[http]\nrequests_per_second = 100000\nrequest_burst = 100000\nconcurrent_requests = 4096\nconnections = 4096\n"
    "[tenant]\nuploads = 4096\njobs = 4096\nmigrations = 1000000\n"
)

#: Maximum bytes of a read from a response.
CHUNK = 1 << 18


class UnexpectedResult(Exception):
    """An unexpected result of a server, command or comparison."""


class MemorySampler:
    """A thread that samples the resident memory of a process."""

    def __init__(self, pid, interval=0.1):
        self.pid, self.interval = pid, interval
        self.samples = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = time.monotonic()
        self._thread.start()

    def _run(self):
        while not self._stop.wait(self.interval):
            resident = process_memory(self.pid).get("VmRSS")
            if resident:
                self.samples.append((time.monotonic() - self._started, resident))

    def stop(self):
        """Stops sampling. Returns the samples: seconds since the start, and KiB."""
        self._stop.set()
        self._thread.join()
        return self.samples


def process_memory(pid):
    """Returns the memory figures of a process in KiB, by their names in /proc."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    parts = [line.split() for line in lines if line.startswith("Vm")]
    return {part[0].rstrip(":"): int(part[1]) for part in parts}


def cpu_seconds(pid):
    """Returns the processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Server:
    """A server process on a free port with its own data directory."""

    def __init__(self, binary, data_dir, mappers=()):
        self.data_dir = Path(data_dir)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        config = self.data_dir / "bench.toml"
        config.write_text(CONFIG)
        self.port = free_port()
        arguments = [argument for mapper in mappers for argument in ("--mapper", str(mapper))]
        command = [binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", self.data_dir]
        self._log = (self.data_dir / "log").open("ab")
        started = time.perf_counter()
        self.process = subprocess.Popen([*command, "--config", config, *arguments], stdout=self._log, stderr=self._log)
        try:
            self._wait_until_ready()
        except UnexpectedResult:
            self.process.kill()
            raise
        #: Seconds from the start of the process until the server was ready.
        self.start_seconds = time.perf_counter() - started
        self._token, self._token_expiry = None, 0.0

    def _wait_until_ready(self):
        for _ in range(30_000):
            if self.process.poll() is not None:
                raise UnexpectedResult(f"the server ended: {(self.data_dir / 'log').read_text()[-2000:]}")
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
        raise UnexpectedResult("the server did not become ready")

    @property
    def pid(self):
        """Process id."""
        return self.process.pid

    @property
    def target(self):
        """Path of the target database."""
        return self.data_dir / "platform.db"

    def authorization(self):
        """Returns the value of the header `Authorization`. Fetches a token if there is no valid one."""
        if time.monotonic() > self._token_expiry:
            login = base64.b64encode((self.data_dir / "admin-client").read_bytes().strip()).decode()
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            headers = {"Authorization": f"Basic {login}", "Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", "/oauth2/token", "grant_type=client_credentials", headers)
            response = json.loads(connection.getresponse().read())
            connection.close()
            self._token, self._token_expiry = response["access_token"], time.monotonic() + response["expires_in"] - 60
        return f"Bearer {self._token}"

    def client(self):
        """Returns a client with a persistent connection."""
        return ServerClient(self)

    def stop(self):
        """Stops the process and waits for its end."""
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
    """Returns a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class ServerClient:
    """A client with one persistent connection to a server."""

    def __init__(self, server):
        self.server = server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)

    def close(self):
        """Closes the connection."""
        self.connection.close()

    def request(self, method, path, body=None, headers=None):
        """Sends a request and returns the body of the response as JSON."""
        headers = {"Authorization": self.server.authorization(), **(headers or {})}
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body), "application/json"
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # The server closes idle connections.
            self.connection.close()
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
        data = response.read()
        if response.status >= 300:
            raise UnexpectedResult(f"{method} {path}: {response.status} {data[:500]!r}")
        return json.loads(data) if data else None

    def register(self, components=COMPONENTS, mapper="berka"):
        """Registers a migration and returns its path."""
        created = self.request("POST", MIGRATIONS, {"components": list(components), "mapper": mapper})
        return f"{MIGRATIONS}/{created['referenceId']}"

    def upload(self, migration, source, path):
        """Uploads a file and reads all result lines. Returns their number."""
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
        """Runs a job to its end and returns its document."""
        job = self.request("PUT", f"{migration}/jobs/{kind}")
        while True:
            document = self.request("GET", f"{migration}/jobs/{job}", headers={"Prefer": "wait=60"})
            if document["state"] != "running":
                break
        if document["state"] != "succeeded":
            raise UnexpectedResult(f"{kind} ended {document['state']}: {json.dumps(document)[:800]}")
        return document


def _send(line, head, file):
    try:
        line.sendall(head)
        line.sendfile(file)
    except OSError:
        pass  # The response states the reason.


def _read_results(line):
    """Counts the results in the chunked response of an upload. Raises if a record failed."""
    response = http.client.HTTPResponse(line)
    response.begin()
    if response.status != 200:
        raise UnexpectedResult(f"an upload was answered with {response.status}: {response.read()[:500]!r}")
    records, rest = 0, b""
    while True:
        piece = response.read1(CHUNK)
        if not piece:
            break
        records += piece.count(b"\n")
        # The text may span two pieces.
        rest = rest[-64:] + piece
        if b'"isSuccessful":false' in rest:
            at = rest.index(b'"isSuccessful":false')
            raise UnexpectedResult(f"a record was rejected: {rest[max(0, at - 200) : at + 400]!r}")
    return records
