"""Reads `kind\\traw` lines and writes the result of the Python SDK for each. Then writes every known code.

The first argument is the folder that contains the SDK.
"""

import sys
from itertools import product
from string import ascii_uppercase

sys.path.insert(0, sys.argv[1])
import sluice

TYPES = {
    "amount": sluice.amount,
    "integer": sluice.integer,
    "unsigned": sluice.unsigned,
    "number": sluice.number,
    **dict.fromkeys(("date", "id", "currency", "country"), sluice.text),
}
READERS = {
    "date": sluice.date,
    "id": sluice.uuid,
    "currency": sluice.fraction_digits,
    "country": lambda code: sluice.is_country(code) or None,
}


class Host:
    """A host without records."""

    def find(self, source, field, keys):
        return []


def map_record(record, out):
    value = record.parse()["value"]
    read = READERS.get(record.source, lambda value: value)(value)
    if read is None:
        raise sluice.finding("INVALID_FORMAT", "value")
    out.put("scalars", {"value": read})


mapper = sluice.Mapper(
    name="scalars",
    version="0.1.0",
    sources={kind: sluice.Source(key=[], reads={"value": value}) for kind, value in TYPES.items()},
    produces=["scalars"],
    map=map_record,
)

for line in sys.stdin.buffer.read().decode().split("\n")[:-1]:
    kind, raw = line.split("\t")
    out = mapper.transform(bytes(16), "2026-01-31", kind, [f'{{"value":{raw}}}'.encode()], Host())
    made = out.issues[0][1].code if out.issues else out.produced["scalars"][0][0].decode()[len('{"value":') : -1]
    sys.stdout.buffer.write(made.encode() + b"\n")
print(" ".join(filter(sluice.is_country, map("".join, product(ascii_uppercase, repeat=2)))), flush=True)
codes = map("".join, product(ascii_uppercase, repeat=3))
print(" ".join(f"{code}{sluice.fraction_digits(code)}" for code in codes if sluice.fraction_digits(code) is not None))
