"""Exports of the component: they call the mapper. Do not change this file."""

import sys
from collections.abc import Callable
from typing import TypeVar

from sluice import Finding, Output
from sluice import batch
from sluice.exceptions import describe
from wit_world import exports
from wit_world.exports.mapping import Description, Skipped, Source, Transformed
from wit_world.imports import log, source_lookup
from wit_world.imports.types import Batch, Context, Issue, Produced, Severity

from mapper import mapper

_SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING}


class _Host:
    """Imports of the component, for the SDK."""

    def find(self, source: str, field: str, keys: list[bytes]) -> list[tuple[int, bytes]]:
        found = source_lookup.find(source, field, Batch(*batch.pack(keys)))
        return list(zip(found.answers, batch.unpack(found.records.bytes, found.records.ends)))


class _NoOutput:
    """Standard output and error of the sandbox: it drops the text. Without it, `print` would break the component."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Does nothing."""


T = TypeVar("T")


def _reporting(call: Callable[[], T]) -> T:
    """Returns the result of a call. Passes the text of an exception to the host before the component breaks."""
    sys.stdout = sys.stderr = _NoOutput()
    try:
        return call()
    except BaseException as error:
        log.panicked(describe(error))
        raise


class Mapping(exports.Mapping):
    """The interface `mapping`, which the host calls."""

    def describe(self) -> Description:
        return _reporting(_describe)

    def transform(self, context: Context, source: str, records: Batch) -> Transformed:
        return _reporting(lambda: _transform(context, source, records))


def _describe() -> Description:
    sources = [Source(name, of.key, of.lookups, of.fields) for name, of in mapper.sources.items()]
    return Description(mapper.name, mapper.version, sources, mapper.produces, mapper.codes)


def _transform(context: Context, source: str, records: Batch) -> Transformed:
    bodies = batch.unpack(records.bytes, records.ends)
    return _transformed(mapper.transform(context.migration, context.registered_on, source, bodies, _Host()))


def _transformed(out: Output) -> Transformed:
    """Returns the output in the contract's types."""
    produced = [
        Produced(entity_type, Batch(*batch.pack(records)), origins)
        for entity_type, (records, origins) in out.produced.items()
    ]
    skipped = [Skipped(code, positions) for code, positions in out.skipped.items()]
    return Transformed(produced, skipped, [_issue(position, finding) for position, finding in out.issues])


def _issue(position: int, finding: Finding) -> Issue:
    """Returns a finding in the contract's type."""
    return Issue(position, _SEVERITIES[finding.severity], finding.code, finding.field, finding.rule)
