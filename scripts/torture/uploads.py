"""Broken uploads: cut, corrupted, slow, reset, never read. Acknowledged records are kept, failures are reported."""

import json
import random
import socket
import threading
import time

from client import ConnectionLost, RequestRejected, UploadBody, UploadStopped, request_json, request_lines, upload
from server_process import ServerProcess
from turn import Turn, new_workload

#: Kinds of broken uploads, one a turn.
KINDS = ["cut", "vanish", "half closed", "flip", "flip", "slow", "unread", "many at once"]


def complete_lines(response):
    """Returns the complete lines of a chunked response that may be truncated."""
    head, _, rest = response.partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        return []
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        try:
            size = int(size, 16)
        except ValueError:
            break
        body, rest = body + rest[:size], rest[size + 2 :]
    return body.split(b"\n")[:-1]


class BrokenUploadTurn(Turn):
    """A turn with one kind of broken upload."""

    def run(self, seed, datasets, server):
        """Runs the turn."""
        rng = random.Random(f"{seed}:{self.part}:{self.turn}")
        kind = KINDS[self.turn % len(KINDS)]
        workload, reference = new_workload(datasets, rng, rng.choice([200, 700]))
        workload.register(server)
        if kind == "flip":
            self.corrupt(server, workload, rng)
            return
        {"cut": self.cut, "vanish": self.cut, "half closed": self.cut, "slow": self.slow, "unread": self.unread}.get(
            kind, self.concurrent
        )(server, workload, rng)
        if self.check_durable(server, workload, kind):
            self.finish(server, workload, reference, kind)

    def cut(self, server, workload, rng):
        """Cuts the connection at a random byte. Records the results received before."""
        table = rng.choice(["client", "disp", "account"])
        body = b"\n".join(workload.dataset.lines[table]) + b"\n"
        position, kind = rng.randrange(1, len(body)), KINDS[self.turn % len(KINDS)]
        head = (
            f"PUT {workload.path}/sources/{table} HTTP/1.1\r\nHost: x\r\nAuthorization: {server.authorization()}\r\n"
            f"Content-Type: application/jsonl\r\nAccept: application/jsonl\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        line = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        line.sendall(head + body[:position])
        time.sleep(rng.choice([0, 0, 0.05, 0.4]))
        response = b""
        line.settimeout(0.3 if kind != "half closed" else 10)
        try:
            if kind == "vanish":
                # The connection is reset without reading the response.
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            elif kind == "half closed":
                line.shutdown(socket.SHUT_WR)
            if kind != "vanish":
                while piece := line.recv(1 << 16):
                    response += piece
        except OSError:
            pass
        line.close()
        results = [json.loads(text) for text in complete_lines(response)]
        good = [result for result in results if result.get("isSuccessful") and "line" in result]
        if [result["line"] for result in good] != list(range(1, len(good) + 1)):
            self.add_finding("wrong", f"results of a cut upload are not in order [{results[:3]}]")
        if len(good) > body[:position].count(b"\n"):
            self.add_finding("false success", f"{len(good)} results for {body[:position].count(10)} complete records")
        workload.acknowledged[table] = len(good)
        self.report.add("uploads cut")
        self.wait_for_end(server, workload, table)
        stored = request_lines(server, f"{workload.path}/sources/{table}/records")
        if len(stored) > body[:position].count(b"\n"):
            self.add_finding("wrong", f"{len(stored)} records are staged of {body[:position].count(10)} complete ones")

    def wait_for_end(self, server, workload, table):
        """Waits until the migration's log has the end of the upload."""
        for _ in range(200):
            logs = request_json(server, "GET", f"{workload.path}/logs?limit=50")
            if any(entry["code"] in ("UPLOAD_BROKEN_OFF", "UPLOAD_ENDED") for entry in logs["items"]):
                return
            time.sleep(0.05)
        self.add_finding("wrong", f"the log has no entry for the end of a cut upload of {table}")

    def slow(self, server, workload, rng):
        """Sends the first bytes one by one, then the rest."""
        table = "client"
        body = b"\n".join(workload.dataset.lines[table]) + b"\n"
        first = rng.randint(100, 400)
        pieces = []
        for byte in body[:first]:
            pieces += [bytes([byte]), 0.001]
        results = []
        upload(
            server, f"{workload.path}/sources/{table}", UploadBody([*pieces, body[first:]], len(body)), results.append
        )
        if len(results) != len(workload.dataset.lines[table]) or not all(result["isSuccessful"] for result in results):
            self.add_finding("lost", f"a slow upload has {len(results)} results")
        workload.acknowledged[table] = len(results)
        self.report.add("uploads byte by byte")

    def unread(self, server, workload, rng):
        """Sends everything, never reads the response, and closes the connection after a delay."""
        table = "trans" if rng.random() < 0.5 else "client"
        body = b"\n".join(workload.dataset.lines[table]) + b"\n"
        line = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.sendall(
            f"PUT {workload.path}/sources/{table} HTTP/1.1\r\nHost: x\r\nAuthorization: {server.authorization()}\r\n"
            f"Content-Type: application/jsonl\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        UploadBody([body]).send(line)
        time.sleep(rng.uniform(0, 0.5))
        line.close()
        self.wait_for_end(server, workload, table)
        self.report.add("uploads never read")

    def concurrent(self, server, workload, rng):
        """Uploads a table from several clients concurrently. The server accepts one at a time, rejects others."""
        body, outcomes = b"\n".join(workload.dataset.lines["client"]) + b"\n", []

        def send():
            results = []
            try:
                upload(server, f"{workload.path}/sources/client", UploadBody([body], len(body)), results.append)
                outcomes.append(len(results))
            except (RequestRejected, ConnectionLost, UploadStopped) as error:
                outcomes.append(getattr(error, "code", "cut"))

        threads = [threading.Thread(target=send, daemon=True) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        record_count = len(workload.dataset.lines["client"])
        if any(outcome not in (record_count, "UPLOAD_RUNNING", "cut") for outcome in outcomes) or not any(
            outcome == record_count for outcome in outcomes
        ):
            self.add_finding("wrong", f"five concurrent uploads of one table ended with {outcomes}")
        workload.acknowledged["client"] = record_count if record_count in outcomes else 0
        self.report.add("concurrent uploads", 5)

    def corrupt(self, server, workload, rng):
        """Corrupts bits and bytes of a body. Each record must have a result, and the stored records must match."""
        table = rng.choice(["client", "district", "account", "disp"])
        body = bytearray(b"\n".join(workload.dataset.lines[table]) + b"\n")
        for _ in range(rng.randint(1, 40)):
            position = rng.randrange(len(body))
            body[position] = rng.choice(
                [body[position] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 10, 0x22, 0x7D, 0x1E]
            )
        results = []
        try:
            upload(server, f"{workload.path}/sources/{table}", UploadBody([bytes(body)], len(body)), results.append)
        except UploadStopped as error:
            self.report.note(f"the server stopped a corrupted upload: {error.code}")
        sent = [line.strip(b" \t\r") for line in bytes(body).removeprefix(b"\xef\xbb\xbf").split(b"\n")]
        sent = [line for line in sent if line]
        if len(results) != len(sent):
            self.add_finding("wrong", f"{len(results)} results for {len(sent)} corrupted records of {table}")
            return
        self.report.add("records corrupted", sum(not result["isSuccessful"] for result in results))
        stored = request_lines(server, f"{workload.path}/sources/{table}/records?outcome=mapped,skipped")
        # The server rejects a later record with the same key. Other accepted records are stored as sent.
        good = sorted(line.replace(b"\r", b" ") for line, result in zip(sent, results) if result["isSuccessful"])
        if good != sorted(stored):
            missing = [line for line in good if line not in stored]
            kind = "lost" if missing else "wrong"
            self.add_finding(
                kind,
                f"of a corrupted upload of {table} {len(good)} records were accepted and {len(stored)} are stored "
                f"[{missing[:1]} {[line for line in stored if line not in good][:1]}]",
            )
        rejected = request_lines(server, f"{workload.path}/sources/{table}/records?outcome=rejected,quarantined")
        bad = {line for line, result in zip(sent, results) if not result["isSuccessful"]}
        if len(rejected) < len(bad):
            self.add_finding(
                "lost",
                f"of a corrupted upload of {table} {len(bad)} records were rejected, {len(rejected)} are kept",
            )


def run(report, workspace, datasets, seed, turns, out_of_time, only=None):
    """Runs turns on one server."""
    directory = workspace.new_data_dir("uploads")
    with ServerProcess(workspace.binary, directory) as server:
        for turn in [only] if only is not None else range(turns):
            if out_of_time():
                break
            upload_turn = BrokenUploadTurn("uploads", turn, report, workspace)
            upload_turn.directory = directory
            upload_turn.run(seed, datasets, server)
            report.add("turns of uploads")
    workspace.remove("uploads")
