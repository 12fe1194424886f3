"""What a Sluice mapper is written with. See README.md; everything here is yours to read, nothing has to be changed."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date as Date
from typing import Protocol

from .currencies import fraction_digits
from .dates import date, months_after, yymmdd
from .fields import Finding, Type, amount, array, boolean, finding, integer, invalid, missing, optional
from .fields import record as nested
from .fields import rule, text, unsigned
from .ids import reference_id
from .json import parse, write
from .money import from_minor_units, minor_units, rounded

__all__ = [
    "Finding", "Mapper", "Output", "Record", "Source", "Wanted", "amount", "array", "boolean", "date", "finding",
    "fraction_digits", "from_minor_units", "integer", "invalid", "minor_units", "missing", "months_after", "nested",
    "optional", "rounded", "rule", "text", "unsigned", "yymmdd",
]  # fmt: skip


class Host(Protocol):
    """What stands on the other side: the sandbox's host, or the tests."""

    def find(self, source: str, field: str, keys: list[bytes]) -> list[tuple[int, bytes]]:
        """Loaded records that answer these keys, each with the index of its key."""

    def panicked(self, message: str) -> None:
        """Takes the message of an exception."""


@dataclass
class Source:
    """A table of the old system.

    `key` are the fields that identify a record, `reads` the fields that are read with their types, `lookups` further
    fields by which its records may be looked up.
    """

    key: list[str]
    reads: dict[str, Type]
    lookups: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.type = nested(self.reads)
        self.fields = list(dict.fromkeys(self.type.names))


@dataclass
class Mapper:
    """A mapper.

    `name` is lower-case; codes of its own start with it in upper case. `sources` stand in the order of upload. `map`
    maps one record; `lookups` names the loaded records that a record needs.
    """

    name: str
    version: str
    sources: dict[str, Source]
    produces: list[str]
    map: Callable[["Record", "Output"], None]
    codes: list[str] = field(default_factory=list)
    lookups: Callable[["Record", "Wanted"], None] | None = None

    def transform(self, migration: bytes, registered_on: str, source: str, records: list[bytes], host: Host) -> "Output":
        """Maps a batch."""
        run = _Run(self, migration, registered_on, host)
        bodies = [Record(run, source, body) for body in records]
        out = Output()
        try:
            if self.lookups is not None:
                run.join(bodies, self.lookups)
            for out.position, body in enumerate(bodies):
                try:
                    self.map(body, out)
                except Finding as found:
                    out.report(found)
        except Exception:
            host.panicked(traceback.format_exc())
            raise
        return out


class Record:
    """A source record."""

    __slots__ = ("_run", "source", "body")

    def __init__(self, run: "_Run", source: str, body: bytes) -> None:
        self._run = run
        self.source = source
        self.body = body

    def parse(self) -> dict:
        """Its fields, as its source declares them under `reads`; one that does not fit gets an issue at the field."""
        return self.read(self._run.mapper.sources[self.source].type)

    def read(self, as_type: Type) -> dict:
        """The record read as another type, made with `nested`."""
        try:
            value = parse(self.body.decode())
        except UnicodeDecodeError:
            raise finding("INVALID_ENCODING") from None
        except (ValueError, RecursionError):
            raise finding("INVALID_JSON") from None
        return as_type.read(value, "")

    def reference_id(self, entity_type: str, key: object) -> str:
        """The reference id, in this migration, of the record of an entity type with this natural key."""
        return reference_id(self._run.migration, entity_type, key)

    @property
    def registered_on(self) -> Date | None:
        """The day on which the migration was registered: a mapper has no other "today"."""
        return date(self._run.registered_on)

    def find(self, source: str, field: str, key: object) -> list["Record"]:
        """Loaded records of a source whose field has this value. What `lookups` did not ask for is not found here."""
        self._run.consulted = True
        return self._run.joined.get((source, field), {}).get(str(key), [])


class Wanted:
    """Keys that a batch wants to look up."""

    def __init__(self) -> None:
        # By source and field: all keys, and those that were not asked for yet.
        self.tables: dict[tuple[str, str], tuple[set[str], list[str]]] = {}

    def find(self, source: str, field: str, key: object) -> None:
        """Asks for the loaded records of a source whose field has this value."""
        known, pending = self.tables.setdefault((source, field), (set(), []))
        if (text := str(key)) not in known:
            known.add(text)
            pending.append(text)


_MAX_ROUNDS = 4
"""Rounds of lookups that may follow from one another."""
_MAX_KEYS = 4096
"""Keys in one call: below the host's default limit."""


@dataclass
class _Run:
    """One batch at work."""

    mapper: Mapper
    migration: bytes
    registered_on: str
    host: Host
    joined: dict[tuple[str, str], dict[str, list[Record]]] = field(default_factory=dict)
    consulted: bool = False

    def join(self, bodies: list[Record], lookups: Callable[[Record, Wanted], None]) -> None:
        wanted = Wanted()
        for _ in range(_MAX_ROUNDS):
            # What follows from an answer is asked by whoever looked for that answer, and by nobody else.
            asking = []
            for body in bodies:
                self.consulted = False
                lookups(body, wanted)
                if self.consulted:
                    asking.append(body)
            bodies = asking
            if not self.fetch(wanted):
                return

    def fetch(self, wanted: Wanted) -> bool:
        anything = False
        for (source, of), (_, pending) in wanted.tables.items():
            answers = self.joined.setdefault((source, of), {})
            for start in range(0, len(pending), _MAX_KEYS):
                keys = pending[start : start + _MAX_KEYS]
                for index, body in self.host.find(source, of, [key.encode() for key in keys]):
                    answers.setdefault(keys[index], []).append(Record(self, source, body))
                anything = True
            pending.clear()
        return anything


class Output:
    """Where a mapper puts what it makes of one record."""

    def __init__(self) -> None:
        self.position = 0
        # By entity type: records, and the position that each came from.
        self.produced: dict[str, tuple[list[bytes], list[int]]] = {}
        self.skipped: dict[str, list[int]] = {}
        self.issues: list[tuple[int, Finding]] = []

    def put(self, entity_type: str, record: dict) -> None:
        """Puts a domain record. Numbers that are not whole are Decimals."""
        records, origins = self.produced.setdefault(entity_type, ([], []))
        records.append(write(record).encode())
        origins.append(self.position)

    def skip(self, code: str) -> None:
        """Says that the record is rightly not migrated, and why: a code that the mapper declares."""
        self.skipped.setdefault(code, []).append(self.position)

    def report(self, found: Finding) -> None:
        """Adds what is wrong with the record, beside whatever else becomes of it."""
        self.issues.append((self.position, found))
