"""Uploads that break: cut, spoiled, slow, vanishing, never read. What was acknowledged is there; the rest is told."""

import json
import random
import socket
import threading
import time

from client import Cut, Refused, Sending, Stopped, ask_json, lines_of, upload
from server_process import Life
from turn import Turn, fresh_journey

#: What is done to an upload, each in turn.
WAYS = ["cut", "vanish", "half closed", "flip", "flip", "slow", "unread", "many at once"]


def whole_lines(heard):
    """The whole lines of a chunked answer that may end anywhere."""
    head, _, rest = heard.partition(b"\r\n\r\n")
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


class Broken(Turn):
    """One way to break an upload."""

    def run(self, seed, banks, life):
        """Does it, and compares."""
        chance = random.Random(f"{seed}:{self.part}:{self.turn}")
        way = WAYS[self.turn % len(WAYS)]
        journey, reference = fresh_journey(banks, chance, chance.choice([200, 700]))
        journey.register(life)
        if way == "flip":
            self.flipped(life, journey, chance)
            return
        {"cut": self.cut, "vanish": self.cut, "half closed": self.cut, "slow": self.slow, "unread": self.unread}.get(
            way, self.many
        )(life, journey, chance)
        if self.durable(life, journey, way):
            self.to_the_end(life, journey, reference, way)

    def cut(self, life, journey, chance):
        """The connection is cut at some byte; results that came before are believed."""
        table = chance.choice(["client", "disp", "account"])
        body = b"\n".join(journey.books.lines[table]) + b"\n"
        at, way = chance.randrange(1, len(body)), WAYS[self.turn % len(WAYS)]
        head = (
            f"PUT {journey.path}/sources/{table} HTTP/1.1\r\nHost: x\r\nAuthorization: {life.authorization()}\r\n"
            f"Content-Type: application/jsonl\r\nAccept: application/jsonl\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        line = socket.create_connection(("127.0.0.1", life.port), timeout=20)
        line.sendall(head + body[:at])
        time.sleep(chance.choice([0, 0, 0.05, 0.4]))
        heard = b""
        line.settimeout(0.3 if way != "half closed" else 10)
        try:
            if way == "vanish":
                # Reset, without reading what is there.
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            elif way == "half closed":
                line.shutdown(socket.SHUT_WR)
            if way != "vanish":
                while piece := line.recv(1 << 16):
                    heard += piece
        except OSError:
            pass
        line.close()
        results = [json.loads(text) for text in whole_lines(heard)]
        good = [result for result in results if result.get("isSuccessful") and "line" in result]
        if [result["line"] for result in good] != list(range(1, len(good) + 1)):
            self.found("wrong", f"results of a cut upload are not in order [{results[:3]}]")
        if len(good) > body[:at].count(b"\n"):
            self.found("false success", f"{len(good)} results, and {body[:at].count(10)} whole records had been sent")
        journey.acknowledged[table] = len(good)
        self.account.add("uploads cut")
        self.wait_for_end(life, journey, table)
        there = lines_of(life, f"{journey.path}/sources/{table}/records")
        if len(there) > body[:at].count(b"\n"):
            self.found("wrong", f"{len(there)} records are staged, and {body[:at].count(10)} whole ones had been sent")

    def wait_for_end(self, life, journey, table):
        """Until the server has noticed that nobody sends any more: it says so in the migration's log."""
        for _ in range(200):
            logs = ask_json(life, "GET", f"{journey.path}/logs?limit=50")
            if any(entry["code"] in ("UPLOAD_BROKEN_OFF", "UPLOAD_ENDED") for entry in logs["items"]):
                return
            time.sleep(0.05)
        self.found("wrong", f"a cut upload of {table} is not told in the log")

    def slow(self, life, journey, chance):
        """Byte by byte, for a while, and then the rest."""
        table = "client"
        body = b"\n".join(journey.books.lines[table]) + b"\n"
        first = chance.randint(100, 400)
        pieces = []
        for byte in body[:first]:
            pieces += [bytes([byte]), 0.001]
        heard = []
        upload(life, f"{journey.path}/sources/{table}", Sending([*pieces, body[first:]], len(body)), heard.append)
        if len(heard) != len(journey.books.lines[table]) or not all(result["isSuccessful"] for result in heard):
            self.found("lost", f"a slow upload came to {len(heard)} results")
        journey.acknowledged[table] = len(heard)
        self.account.add("uploads byte by byte")

    def unread(self, life, journey, chance):
        """A client that sends everything and never reads; it goes away after a while."""
        table = "trans" if chance.random() < 0.5 else "client"
        body = b"\n".join(journey.books.lines[table]) + b"\n"
        line = socket.create_connection(("127.0.0.1", life.port), timeout=30)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.sendall(
            f"PUT {journey.path}/sources/{table} HTTP/1.1\r\nHost: x\r\nAuthorization: {life.authorization()}\r\n"
            f"Content-Type: application/jsonl\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        Sending([body]).send(line)
        time.sleep(chance.uniform(0, 0.5))
        line.close()
        self.wait_for_end(life, journey, table)
        self.account.add("uploads never read")

    def many(self, life, journey, chance):
        """The same table from several clients at once: one at a time is let in, the others are told."""
        body, told = b"\n".join(journey.books.lines["client"]) + b"\n", []

        def one():
            heard = []
            try:
                upload(life, f"{journey.path}/sources/client", Sending([body], len(body)), heard.append)
                told.append(len(heard))
            except (Refused, Cut, Stopped) as refused:
                told.append(getattr(refused, "code", "cut"))

        threads = [threading.Thread(target=one, daemon=True) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        whole = len(journey.books.lines["client"])
        if any(one not in (whole, "UPLOAD_RUNNING", "cut") for one in told) or not any(one == whole for one in told):
            self.found("wrong", f"five uploads of one table at once came to {told}")
        journey.acknowledged["client"] = whole if whole in told else 0
        self.account.add("uploads at once", 5)

    def flipped(self, life, journey, chance):
        """Bits and bytes of a body are spoiled: each record has a result, and what is told is what is there."""
        table = chance.choice(["client", "district", "account", "disp"])
        body = bytearray(b"\n".join(journey.books.lines[table]) + b"\n")
        for _ in range(chance.randint(1, 40)):
            at = chance.randrange(len(body))
            body[at] = chance.choice(
                [body[at] ^ 1 << chance.randrange(8), chance.randrange(256), 0, 10, 0x22, 0x7D, 0x1E]
            )
        heard = []
        try:
            upload(life, f"{journey.path}/sources/{table}", Sending([bytes(body)], len(body)), heard.append)
        except Stopped as stopped:
            self.account.note(f"a spoiled upload was stopped: {stopped.code}")
        sent = [line.strip(b" \t\r") for line in bytes(body).removeprefix(b"\xef\xbb\xbf").split(b"\n")]
        sent = [line for line in sent if line]
        if len(heard) != len(sent):
            self.found("wrong", f"{len(heard)} results for {len(sent)} spoiled records of {table}")
            return
        self.account.add("records spoiled", sum(not result["isSuccessful"] for result in heard))
        there = lines_of(life, f"{journey.path}/sources/{table}/records?outcome=mapped,skipped")
        # A later record with the same key is refused; what was replaced by nobody is there as it was sent.
        good = sorted(line.replace(b"\r", b" ") for line, result in zip(sent, heard) if result["isSuccessful"])
        if good != sorted(there):
            missing = [line for line in good if line not in there]
            kind = "lost" if missing else "wrong"
            self.found(
                kind,
                f"of a spoiled upload of {table} {len(good)} records were accepted and {len(there)} are there "
                f"[{missing[:1]} {[line for line in there if line not in good][:1]}]",
            )
        rejected = lines_of(life, f"{journey.path}/sources/{table}/records?outcome=rejected,quarantined")
        bad = {line for line, result in zip(sent, heard) if not result["isSuccessful"]}
        if len(rejected) < len(bad):
            self.found(
                "lost",
                f"of a spoiled upload of {table} {len(bad)} different records were refused, {len(rejected)} are kept",
            )


def run(account, place, banks, seed, turns, out_of_time, only=None):
    """Some turns on one server."""
    directory = place.fresh("uploads")
    with Life(place.binary, directory) as life:
        for turn in [only] if only is not None else range(turns):
            if out_of_time():
                break
            broken = Broken("uploads", turn, account, place)
            broken.directory = directory
            broken.run(seed, banks, life)
            account.add("turns of uploads")
    place.remove("uploads")
