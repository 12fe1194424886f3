"""Uploads in parts (tus): a client that goes on from what it was told, and now and then sends what is not what it says."""

import base64
import hashlib
import json
import time
import uuid

from client import Journey, Refused, Short, Stopped, Stuck, answer, ask_json, lines_of

TUS = {"Tus-Resumable": "1.0.0"}

#: What a part is answered that is not what its checksum says.
MISMATCH = 460


class InParts(Journey):
    """A migration whose tables are uploaded in parts, however often that is broken off."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.sendings = {}

    def upload(self, life, table, most=None):
        """Goes on with a table's upload, by so many parts at most, or to its end."""
        with self._lock:
            if table not in self.sendings:
                self.sendings[table] = Sending(self, table)
        self.sendings[table].go(life, most)


class Sending:
    """One table on its way, and what was told of it."""

    def __init__(self, journey, table):
        self.journey, self.table, self.chance = journey, table, journey.chance
        self.lines = journey.books.lines[table]
        self.body = b"\n".join(self.lines) + b"\n"
        self.begin()

    def begin(self):
        """Nothing was told of it yet."""
        self.key = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        self.path, self.told = None, 0

    def go(self, life, most):
        """Goes on from what it was told to the results, or for so many parts."""
        if self.path is None:
            self.create(life)
        self.offset(life)
        size = max(1, len(self.body) // 5)
        while self.told < len(self.body):
            if most == 0:
                return
            most = most and most - 1
            self.part(life, self.body[self.told : self.told + size])
        shown = self.end(life)
        if shown["problem"]:
            self.begin()
            raise Stopped(shown["problem"])
        results = [json.loads(line) for line in lines_of(life, f"{self.path}/results")]
        for line, result in enumerate(results, 1):
            self.journey.believe(self.table, 0, line, result)
        if len(results) != len(self.lines):
            raise Short(f"{len(results)} results for {len(self.lines)} records of {self.table}, sent in parts")

    def create(self, life):
        """Begins it; asked again, the same comes back."""
        said = {
            "Upload-Length": str(len(self.body)), "Idempotency-Key": self.key,
            "Upload-Metadata": "filetype " + base64.b64encode(b"application/jsonl").decode(),
        }  # fmt: skip
        path = f"{self.journey.path}/sources/{self.table}/uploads"
        self.path = answer(life, "POST", path, b"", {**TUS, **said})[0]["Location"]
        self.journey.sent += len(self.lines)

    def offset(self, life):
        """Asks how far it has come: not less far than it was told."""
        try:
            there = ask_json(life, "GET", self.path)["offset"]
        except Refused as refused:
            if refused.code == "NO_SUCH_UPLOAD":
                raise Short(f"an upload of {self.table} that was begun is not there") from None
            raise
        if there < self.told:
            raise Short(f"an upload of {self.table} was told to have {self.told} bytes, and has {there}")
        self.told = there

    def part(self, life, piece):
        """Sends a part, with or without a checksum; now and then it is not what its checksum says."""
        if self.chance.random() < 0.3:
            try:
                self.send(life, piece, hashlib.sha1(piece + b"x"))
            except Refused as refused:
                if refused.status != MISMATCH:
                    raise
            else:
                raise Stuck(f"a part of {self.table} was taken that is not what its checksum says")
        headers = self.send(life, piece, hashlib.sha256(piece) if self.chance.random() < 0.5 else None)
        if int(headers["Upload-Offset"]) != self.told + len(piece):
            raise Stuck(f"a part of {self.table} came to offset {headers['Upload-Offset']}")
        self.told += len(piece)

    def send(self, life, piece, checksum=None):
        """Sends bytes; the answer's header fields."""
        headers = {**TUS, "Upload-Offset": str(self.told), "Content-Type": "application/offset+octet-stream"}
        if checksum:
            headers["Upload-Checksum"] = f"{checksum.name} {base64.b64encode(checksum.digest()).decode()}"
        return answer(life, "PATCH", self.path, piece, headers)[0]

    def end(self, life):
        """What it came to."""
        began = time.monotonic()
        while True:
            shown = ask_json(life, "GET", self.path, headers={"Prefer": "wait=2"})
            if shown["state"] == "ended":
                return shown
            if time.monotonic() - began > self.journey.longest_job:
                raise Stuck(f"an upload of {self.table} is {shown['state']}, and does not end")
            # What could not be worked on is begun again with an empty part.
            self.send(life, b"")
