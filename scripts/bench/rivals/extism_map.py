"""The mapping alone in Extism: the mapper's own core module, called with batches of 1,000 records or with one."""

import hashlib
import json
import struct
import sys
import time
import uuid
from pathlib import Path

import extism
import wasmtime

#: What the mapper imports and is not asked for here.
STUBS = {
    "sluice:plugin/log@0.1.0": '(module (func (export "entry") (param i32 i32 i32 i32 i32) unreachable) '
    '(func (export "panicked") (param i32 i32) unreachable))',
    "sluice:plugin/source-lookup@0.1.0": '(module (func (export "find") '
    "(param i32 i32 i32 i32 i32 i32 i32 i32 i32) unreachable))",
}
MIGRATION = b"sluice-test-case"
NAMESPACE = uuid.UUID(bytes=MIGRATION)
CONTEXT = MIGRATION + b"2026-01-31" + b"client"
BEFORE_ID = b'{"referenceId":"'


def number(data, at):
    """A LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def core_module(component):
    """The first core module in a component."""
    data, at = Path(component).read_bytes(), 8
    while at < len(data):
        kind = data[at]
        size, at = number(data, at + 1)
        if kind == 1:
            return data[at : at + size]
        at += size
    raise SystemExit("no core module")


def packed(lines):
    """A batch as the plugin takes it."""
    ends, end = [], 0
    for line in lines:
        end += len(line)
        ends.append(end)
    return CONTEXT + struct.pack(f"<II{len(ends)}I", len(ends), end, *ends) + b"".join(lines)


def unpacked(answer):
    """The records of an answer, a line each."""
    count, _ = struct.unpack_from("<II", answer)
    ends = struct.unpack_from(f"<{count}I", answer, 8)
    bodies = answer[8 + 4 * count :]
    return [bodies[start:end] for start, end in zip((0, *ends), ends)]


def without_id(record):
    """The rest of a record, once its reference id is found to be what it has to be."""
    given = record[len(BEFORE_ID) : len(BEFORE_ID) + 36].decode()
    surname = json.loads(record)["surname"]
    if not record.startswith(BEFORE_ID) or given != str(uuid.uuid5(NAMESPACE, f"counterparties:{surname}")):
        raise SystemExit(f"a record's reference id is {given}")
    return record[len(BEFORE_ID) + 36 :]


def main(component, table, size, most):
    """Maps a table in batches; prints the time a record and a hash of what came out."""
    ours = Path(__file__).with_suffix(".wat").read_text()
    modules = [{"name": name, "data": bytes(wasmtime.wat2wasm(text))} for name, text in STUBS.items()]
    modules.append({"name": "mapper", "data": core_module(component)})
    modules.append({"name": "main", "data": bytes(wasmtime.wat2wasm(ours))})
    with Path(table).open("rb") as file:
        lines = [line.rstrip(b"\n") for line, _ in zip(file, range(int(most)))]
    size = int(size)
    batches = [packed(lines[at : at + size]) for at in range(0, len(lines), size)]
    with extism.Plugin({"wasm": modules, "timeout_ms": 10_000}) as plugin:
        plugin.call("map", batches[0])
        hashed, spent = hashlib.sha256(), 0.0
        for batch in batches:
            began = time.perf_counter()
            answer = plugin.call("map", batch)
            spent += time.perf_counter() - began
            for record in unpacked(bytes(answer)):
                hashed.update(without_id(record) + b"\n")
    print(json.dumps({"nanoseconds": spent / len(lines) * 1e9, "records": len(lines), "sha256": hashed.hexdigest()}))


main(*sys.argv[1:])
