"""The component's door: it hands the mapper over to the host. There is nothing here to change."""

from sluice import Finding, Output
from sluice import batch
from wit_world import exports
from wit_world.exports.mapping import Description, Skipped, Source, Transformed
from wit_world.imports import log, source_lookup
from wit_world.imports.types import Batch, Context, Issue, Produced, Severity

from mapper import mapper

_SEVERITIES = {"error": Severity.ERROR, "warning": Severity.WARNING}


class _Host:
    def find(self, source: str, field: str, keys: list[bytes]) -> list[tuple[int, bytes]]:
        found = source_lookup.find(source, field, Batch(*batch.pack(keys)))
        return list(zip(found.answers, batch.unpack(found.records.bytes, found.records.ends)))

    def panicked(self, message: str) -> None:
        log.panicked(message)


class Mapping(exports.Mapping):
    """The interface that the host calls."""

    def describe(self) -> Description:
        sources = [Source(name, of.key, of.lookups, of.fields) for name, of in mapper.sources.items()]
        return Description(mapper.name, mapper.version, sources, mapper.produces, mapper.codes)

    def transform(self, context: Context, source: str, records: Batch) -> Transformed:
        bodies = batch.unpack(records.bytes, records.ends)
        return _returned(mapper.transform(context.migration, context.registered_on, source, bodies, _Host()))


def _returned(out: Output) -> Transformed:
    produced = [
        Produced(entity_type, Batch(*batch.pack(records)), origins)
        for entity_type, (records, origins) in out.produced.items()
    ]
    skipped = [Skipped(code, positions) for code, positions in out.skipped.items()]
    return Transformed(produced, skipped, [_issue(position, found) for position, found in out.issues])


def _issue(position: int, found: Finding) -> Issue:
    return Issue(position, _SEVERITIES[found.severity], found.code, found.field, found.rule)
