"""Mapping in Extism: calls the core module of the mapper with batches of 1,000 records or with one record."""

import hashlib
import json
import struct
import sys
import time
import uuid
from pathlib import Path

import extism
import wasmtime

#: Imports of the mapper that this benchmark never calls.
STUBS = {
    "sluice:plugin/log@0.1.0": '(module (func (export "entry") (param i32 i32 i32 i32 i32) unreachable) '
    '(func (export "panicked") (param i32 i32) unreachable))',
    "sluice:plugin/source-lookup@0.1.0": '(module (func (export "find") '
    "(param i32 i32 i32 i32 i32 i32 i32 i32 i32) unreachable))",
}
#: Migration id and context of the calls.
MIGRATION = b"sluice-test-case"
NAMESPACE = uuid.UUID(bytes=MIGRATION)
CONTEXT = MIGRATION + b"2026-01-31" + b"client"
#: Text before the reference id of a record.
BEFORE_ID = b'{"referenceId":"'


def read_leb128(data, at):
    """Returns a LEB128 number and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def core_module(component):
    """Returns the first core module of a component."""
    data, at = Path(component).read_bytes(), 8
    while at < len(data):
        kind = data[at]
        size, at = read_leb128(data, at + 1)
        if kind == 1:
            return data[at : at + size]
        at += size
    raise SystemExit("the component has no core module")


def encode_batch(lines):
    """Encodes a batch for the adapter."""
    ends, end = [], 0
    for line in lines:
        end += len(line)
        ends.append(end)
    return CONTEXT + struct.pack(f"<II{len(ends)}I", len(ends), end, *ends) + b"".join(lines)


def decode_records(output):
    """Decodes the records in the output of the adapter."""
    count, _ = struct.unpack_from("<II", output)
    ends = struct.unpack_from(f"<{count}I", output, 8)
    bodies = output[8 + 4 * count :]
    return [bodies[start:end] for start, end in zip((0, *ends), ends)]


def remove_id(record):
    """Returns a record without its reference id. Exits if the id is wrong."""
    given = record[len(BEFORE_ID) : len(BEFORE_ID) + 36].decode()
    surname = json.loads(record)["surname"]
    if not record.startswith(BEFORE_ID) or given != str(uuid.uuid5(NAMESPACE, f"counterparties:{surname}")):
        raise SystemExit(f"a record has the wrong reference id {given}")
    return record[len(BEFORE_ID) + 36 :]


def main(component, table, size, max_records):
    """Maps a table in batches. Prints the time per record and a hash of the records."""
    adapter = Path(__file__).with_suffix(".wat").read_text()
    modules = [{"name": name, "data": bytes(wasmtime.wat2wasm(text))} for name, text in STUBS.items()]
    modules.append({"name": "mapper", "data": core_module(component)})
    modules.append({"name": "main", "data": bytes(wasmtime.wat2wasm(adapter))})
    with Path(table).open("rb") as file:
        lines = [line.rstrip(b"\n") for line, _ in zip(file, range(int(max_records)))]
    size = int(size)
    batches = [encode_batch(lines[at : at + size]) for at in range(0, len(lines), size)]
    with extism.Plugin({"wasm": modules, "timeout_ms": 10_000}) as plugin:
        plugin.call("map", batches[0])
        hashed, seconds = hashlib.sha256(), 0.0
        for batch in batches:
            started = time.perf_counter()
            output = plugin.call("map", batch)
            seconds += time.perf_counter() - started
            for record in decode_records(bytes(output)):
                hashed.update(remove_id(record) + b"\n")
    print(json.dumps({"nanoseconds": seconds / len(lines) * 1e9, "records": len(lines), "sha256": hashed.hexdigest()}))


main(*sys.argv[1:])
