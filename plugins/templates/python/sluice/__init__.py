"""SDK for Sluice mappers in Python. See README.md. Do not change the files of this folder."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date as Date
from typing import Protocol

from .countries import is_country
from .currencies import fraction_digits
from .dates import date, months_after, yymmdd
from .fields import Finding, Type, amount, array, boolean, finding, integer, invalid, missing, optional
from .fields import record as nested
from .fields import number, rule, text, unsigned
from .ids import reference_id, uuid
from .json import parse, write
from .money import from_minor_units, minor_units, rounded

__all__ = [
    "Finding", "Mapper", "Output", "Record", "Source", "Wanted", "amount", "array", "boolean", "date", "finding",
    "fraction_digits", "from_minor_units", "integer", "invalid", "is_country", "minor_units", "missing", "months_after",
    "nested", "number", "optional", "rounded", "rule", "text", "unsigned", "uuid", "yymmdd",
]  # fmt: skip


class Host(Protocol):
    """The host: that of the sandbox, or that of a test."""

    def find(self, source: str, field: str, keys: list[bytes]) -> list[tuple[int, bytes]]:
        """Returns the loaded records that answer these keys, each with the index of its key."""


@dataclass
class Source:
    """A table of the old system.

    `key` has the fields that identify a record, `reads` the fields that are read and their types, and `lookups` further
    fields by which its records can be looked up.
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

    `name` is in lower case, and the mapper's own codes start with it in upper case. `sources` are in the order of
    upload. `produces` has the entity types. `map` maps one record. `codes` has the mapper's own codes, of issues, rules
    and skips. `lookups` requests the loaded records that a record needs.
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
        batch = _Batch(self, migration, registered_on, host)
        bodies = [Record(batch, source, body) for body in records]
        out = Output()
        if self.lookups is not None:
            batch.look_up_all(bodies, self.lookups)
        for out.position, body in enumerate(bodies):
            try:
                self.map(body, out)
            except Finding as finding:
                out.report(finding)
        return out


class Record:
    """A source record."""

    __slots__ = ("_batch", "source", "body")

    def __init__(self, batch: "_Batch", source: str, body: bytes) -> None:
        self._batch = batch
        self.source = source
        self.body = body

    def parse(self) -> dict:
        """Returns the fields that the source declares under `reads`.

        Raises a finding at the field that does not fit.
        """
        return self.read(self._batch.mapper.sources[self.source].type)

    def read(self, as_type: Type) -> dict:
        """Returns the record read as another type, made with `nested`.

        Raises a finding at the field that does not fit.
        """
        try:
            value = parse(self.body.decode())
        except UnicodeDecodeError:
            raise finding("INVALID_ENCODING") from None
        except (ValueError, RecursionError):
            raise finding("INVALID_JSON") from None
        return as_type.read(value, "")

    def reference_id(self, entity_type: str, key: object) -> str:
        """Returns the reference id, in this migration, of the record of an entity type with this natural key."""
        return reference_id(self._batch.migration, entity_type, key)

    @property
    def registered_on(self) -> Date | None:
        """Day on which the migration was registered. A mapper has no other "today"."""
        return date(self._batch.registered_on)

    def find(self, source: str, field: str, key: object) -> list["Record"]:
        """Returns the loaded records of a source whose field has this value, if `lookups` has requested them."""
        self._batch.consulted = True
        return self._batch.results.get((source, field), {}).get(str(key), [])


class Wanted:
    """The lookups that a batch requests."""

    def __init__(self) -> None:
        # By source and field: all requested keys, and those that have not been looked up yet.
        self.lookups: dict[tuple[str, str], tuple[set[str], list[str]]] = {}

    def find(self, source: str, field: str, key: object) -> None:
        """Requests the loaded records of a source whose field has this value."""
        known, pending = self.lookups.setdefault((source, field), (set(), []))
        if (text := str(key)) not in known:
            known.add(text)
            pending.append(text)


_MAX_ROUNDS = 4
"""Maximum number of rounds of lookups that depend on one another."""
_MAX_KEYS = 4096
"""Maximum number of keys in one call. The host's default limit is 10,000."""


@dataclass
class _Batch:
    """The state of one batch."""

    mapper: Mapper
    migration: bytes
    registered_on: str
    host: Host
    results: dict[tuple[str, str], dict[str, list[Record]]] = field(default_factory=dict)
    consulted: bool = False

    def look_up_all(self, bodies: list[Record], lookups: Callable[[Record, Wanted], None]) -> None:
        """Looks up all records that the batch requests."""
        wanted = Wanted()
        for _ in range(_MAX_ROUNDS):
            # Only a record that read an answer in this round can have a lookup that depends on it.
            pending = []
            for body in bodies:
                self.consulted = False
                lookups(body, wanted)
                if self.consulted:
                    pending.append(body)
            bodies = pending
            if not self.fetch(wanted):
                return

    def fetch(self, wanted: Wanted) -> bool:
        """Looks up the requested keys that have not been looked up yet. Returns True if there were any."""
        any_keys = False
        for (source, of), (_, pending) in wanted.lookups.items():
            answers = self.results.setdefault((source, of), {})
            for start in range(0, len(pending), _MAX_KEYS):
                keys = pending[start : start + _MAX_KEYS]
                for index, body in self.host.find(source, of, [key.encode() for key in keys]):
                    answers.setdefault(keys[index], []).append(Record(self, source, body))
                any_keys = True
            pending.clear()
        return any_keys


class Output:
    """The output of a mapper."""

    def __init__(self) -> None:
        self.position = 0
        # By entity type: records, and the position of the source record of each.
        self.produced: dict[str, tuple[list[bytes], list[int]]] = {}
        self.skipped: dict[str, list[int]] = {}
        self.issues: list[tuple[int, Finding]] = []

    def put(self, entity_type: str, record: dict) -> None:
        """Adds a domain record. Numbers that are not whole must be Decimals."""
        records, origins = self.produced.setdefault(entity_type, ([], []))
        records.append(write(record).encode())
        origins.append(self.position)

    def skip(self, code: str) -> None:
        """Skips the source record: it is deliberately not migrated. The mapper declares `code`, the reason."""
        self.skipped.setdefault(code, []).append(self.position)

    def report(self, found: Finding) -> None:
        """Adds a finding about the source record. It does not affect other output for the record."""
        self.issues.append((self.position, found))
