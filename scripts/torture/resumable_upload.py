"""Resumable uploads (tus): the client resumes from the acknowledged offset and sometimes sends a wrong checksum."""

import base64
import hashlib
import json
import time
import uuid

from client import (
    MissingResults,
    RequestRejected,
    Stalled,
    UploadStopped,
    Workload,
    request,
    request_json,
    request_lines,
)

#: Header fields of every tus request.
TUS_HEADERS = {"Tus-Resumable": "1.0.0"}

#: HTTP status for a part that differs from its checksum.
CHECKSUM_MISMATCH = 460


class ResumableWorkload(Workload):
    """A workload that uploads its tables in parts and resumes interrupted uploads."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.uploads = {}

    def upload(self, server, table, max_parts=None):
        """Resumes the upload of a table, for at most `max_parts` parts or to its end."""
        with self._lock:
            if table not in self.uploads:
                self.uploads[table] = ResumableUpload(self, table)
        self.uploads[table].run(server, max_parts)


class ResumableUpload:
    """The upload of a table and its acknowledged offset."""

    def __init__(self, workload, table):
        self.workload, self.table, self.rng = workload, table, workload.rng
        self.lines = workload.dataset.lines[table]
        self.body = b"\n".join(self.lines) + b"\n"
        self.reset()

    def reset(self):
        """Forgets the upload, so that the next run creates a new one."""
        self.key = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
        self.path, self.acknowledged_offset = None, 0

    def run(self, server, max_parts):
        """Resumes the upload. Reads the results at its end, unless `max_parts` stops it before."""
        if self.path is None:
            self.create(server)
        self.read_offset(server)
        size = max(1, len(self.body) // 5)
        while self.acknowledged_offset < len(self.body):
            if max_parts == 0:
                return
            max_parts = max_parts and max_parts - 1
            self.send_part(server, self.body[self.acknowledged_offset : self.acknowledged_offset + size])
        document = self.wait_for_end(server)
        if document["problem"]:
            self.reset()
            raise UploadStopped(document["problem"])
        results = [json.loads(line) for line in request_lines(server, f"{self.path}/results")]
        for line, result in enumerate(results, 1):
            self.workload.acknowledge(self.table, 0, line, result)
        if len(results) != len(self.lines):
            raise MissingResults(f"{len(results)} results for {len(self.lines)} records of {self.table}, sent in parts")

    def create(self, server):
        """Creates the upload. Idempotent."""
        headers = {
            "Upload-Length": str(len(self.body)), "Idempotency-Key": self.key,
            "Upload-Metadata": "filetype " + base64.b64encode(b"application/jsonl").decode(),
        }  # fmt: skip
        path = f"{self.workload.path}/sources/{self.table}/uploads"
        self.path = request(server, "POST", path, b"", {**TUS_HEADERS, **headers})[0]["Location"]
        self.workload.sent += len(self.lines)

    def read_offset(self, server):
        """Reads the offset of the server. It must not be less than the acknowledged one."""
        try:
            stored = request_json(server, "GET", self.path)["offset"]
        except RequestRejected as error:
            if error.code == "NO_SUCH_UPLOAD":
                raise MissingResults(f"a created upload of {self.table} does not exist") from None
            raise
        if stored < self.acknowledged_offset:
            raise MissingResults(
                f"an upload of {self.table} has {stored} bytes of {self.acknowledged_offset} acknowledged ones"
            )
        self.acknowledged_offset = stored

    def send_part(self, server, part):
        """Sends a part, with or without a checksum. Sometimes sends a wrong checksum first."""
        if self.rng.random() < 0.3:
            try:
                self.send(server, part, hashlib.sha1(part + b"x"))
            except RequestRejected as error:
                if error.status != CHECKSUM_MISMATCH:
                    raise
            else:
                raise Stalled(f"a part of {self.table} was accepted with a wrong checksum")
        headers = self.send(server, part, hashlib.sha256(part) if self.rng.random() < 0.5 else None)
        if int(headers["Upload-Offset"]) != self.acknowledged_offset + len(part):
            raise Stalled(f"a part of {self.table} moved the offset to {headers['Upload-Offset']}")
        self.acknowledged_offset += len(part)

    def send(self, server, part, checksum=None):
        """Sends bytes. Returns the header fields of the response."""
        headers = {
            **TUS_HEADERS,
            "Upload-Offset": str(self.acknowledged_offset),
            "Content-Type": "application/offset+octet-stream",
        }
        if checksum:
            headers["Upload-Checksum"] = f"{checksum.name} {base64.b64encode(checksum.digest()).decode()}"
        return request(server, "PATCH", self.path, part, headers)[0]

    def wait_for_end(self, server):
        """Waits for the end of the upload and returns its document."""
        started = time.monotonic()
        while True:
            document = request_json(server, "GET", self.path, headers={"Prefer": "wait=2"})
            if document["state"] == "ended":
                return document
            if time.monotonic() - started > self.workload.job_timeout:
                raise Stalled(f"an upload of {self.table} is {document['state']}, and does not end")
            # An empty part restarts the processing of an upload that the server could not process.
            self.send(server, b"")
