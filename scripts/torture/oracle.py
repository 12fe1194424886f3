"""The oracle: reconciles staged records and target rows, by identity and content, with the expected ones.

A violation is a pair of a kind of finding and a message.
"""

import hashlib
import json
import re
import sqlite3
from collections import Counter

from client import RequestRejected, request_json, request_lines
from dataset import normalize_ids

#: Entity types by path of the domain.
DOMAINS = {
    "counterparty-management": ["counterparties"],
    "collateral-management": ["collateral-objects", "collaterals"],
    "financing-solution": ["agreements"],
    "financing-execution": ["debit-mandates", "repayments", "disbursements", "additional-repayments"],
    "administrate": ["payment-administrations"],
}
#: Path of the domain by entity type.
ENTITY_TYPES = {entity_type: domain for domain, types in DOMAINS.items() for entity_type in types}


def staged_sources(server, workload):
    """Returns the staged source records by table."""
    return {table: request_lines(server, f"{workload.path}/sources/{table}/records") for table in workload.acknowledged}


def staged_records(server, workload):
    """Returns the staged domain records by entity type."""
    migration = workload.id
    return {
        entity_type: request_lines(server, f"/{domain}/migrations/{migration}/staging/{entity_type}/stream")
        for entity_type, domain in ENTITY_TYPES.items()
    }


def rows(database, migration):
    """Returns the rows of a migration in the target, by entity type. A row is a map from columns to values."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        by_entity_type = {}
        for entity_type in ENTITY_TYPES:
            table = entity_type.replace("-", "_")
            cursor = connection.execute(
                f"SELECT * FROM {table} WHERE sluice_origin IN (SELECT number FROM sluice_origins WHERE migration = ?)",
                [migration],
            )
            names = [column[0] for column in cursor.description]
            by_entity_type[entity_type] = [dict(zip(names, row)) for row in cursor]
        return by_entity_type
    finally:
        connection.close()


def repeated_rows(database):
    """Returns the number of rows whose reference id another row of the same table has."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        count = "SELECT count(*) - count(DISTINCT reference_id) FROM {}"
        tables = [entity_type.replace("-", "_") for entity_type in ENTITY_TYPES]
        return sum(connection.execute(count.format(table)).fetchone()[0] for table in tables)
    finally:
        connection.close()


def content_hash(record):
    """Returns the hash of a record in the format of the target's rows."""
    return hashlib.sha256(record).digest()[:16]


def key_of(record):
    """Returns the reference id of a record."""
    return json.loads(record)["referenceId"]


class Observation:
    """The staged records, target rows and counts of a migration at its end."""

    def __init__(self, sources, records, rows, counts):
        self.sources, self.records, self.rows, self.counts = sources, records, rows, counts

    @classmethod
    def read(cls, server, workload):
        """Reads records and counts through the API, and rows from the database file of the target."""
        jobs = [job for job, (kind, state) in workload.jobs.items() if kind == "counts" and state == "succeeded"]
        counts = request_json(server, "GET", f"{workload.path}/jobs/{jobs[-1]}")["result"] if jobs else None
        return cls(
            staged_sources(server, workload), staged_records(server, workload), rows(server.target, workload.id), counts
        )  # fmt: skip


def check_sources(sources, workload):
    """Returns violations of staged source records. The check applies at any time."""
    violations = []
    for table, known in workload.acknowledged.items():
        stored, lines = Counter(sources.get(table, [])), workload.dataset.lines[table]
        missing = [line for line in lines[:known] if line not in stored]
        if missing:
            violations.append(
                ("lost", f"{len(missing)} of {known} acknowledged records of {table} are not staged [{missing[0]!r}]")
            )
        duplicates = [line for line, count in stored.items() if count > 1]
        if duplicates:
            violations.append(
                ("duplicated", f"{len(duplicates)} records of {table} are staged more than once [{duplicates[0]!r}]")
            )
        unknown = stored.keys() - set(lines)
        if unknown:
            violations.append(
                ("wrong", f"{len(unknown)} staged records of {table} were never sent [{next(iter(unknown))!r}]")
            )
    return violations


def check_derived(records, workload):
    """Returns violations of derived records. Records named by a result line must be staged at any time."""
    violations, ids = [], {entity_type: {key_of(record) for record in of} for entity_type, of in records.items()}
    for table, derived in workload.derived.items():
        missing = [
            (entity_type, reference_id)
            for entity_type, reference_id in derived
            if reference_id not in ids.get(entity_type, ())
        ]
        if missing:
            violations.append(
                (
                    "lost",
                    f"{len(missing)} of {len(derived)} records that results of {table} name are not staged "
                    f"[{missing[0]}]",
                )
            )
    return violations


def check_imported(records, stored, workload):
    """Returns violations of target rows. After a successful import each staged record must have a row."""
    if ("import", "succeeded") not in workload.jobs.values():
        return []
    violations = [compare_with_target(entity_type, of, stored[entity_type]) for entity_type, of in records.items()]
    return [(kind, f"after a successful import: {message}") for of in violations for kind, message in of]


def check_durable(server, workload):
    """Returns violations of everything that the server has acknowledged. The check applies at any time."""
    records = staged_records(server, workload)
    violations = check_sources(staged_sources(server, workload), workload) + check_derived(records, workload)
    return violations + check_imported(records, rows(server.target, workload.id), workload)


def reconcile(observed, workload, reference):
    """Returns violations at the end of a migration.

    Compares staged source records with the sent ones, records and rows with those of an undisturbed migration, and rows
    with staged records.
    """
    dataset, names, violations = workload.dataset, workload.dataset.names(workload.id), []
    for table in workload.acknowledged:
        violations += compare_multisets(
            f"source records of {table}", Counter(dataset.lines[table]), Counter(observed.sources[table])
        )
    for entity_type in ENTITY_TYPES:
        records = observed.records[entity_type]
        found = Counter(normalize_ids(record, names) for record in records)
        violations += compare_multisets(f"staged {entity_type}", reference.records[entity_type], found)
        violations += compare_with_target(entity_type, records, observed.rows[entity_type])
        found = Counter(normalize_ids(row_text(row), names) for row in observed.rows[entity_type])
        violations += compare_multisets(f"rows of {entity_type}", reference.rows[entity_type], found)
    violations += check_counts(observed)
    return violations


def compare_with_target(entity_type, records, stored):
    """Compares staged records with target rows, by reference id and content hash."""
    staged = Counter((key_of(record), content_hash(record)) for record in records)
    imported = Counter((row["reference_id"], row["sluice_hash"]) for row in stored)
    return compare_multisets(f"{entity_type} in the target, by id and hash", staged, imported)


def compare_multisets(subject, expected, found):
    """Compares multisets. Returns violations for missing, duplicate and unexpected elements."""
    violations = []
    missing, surplus = expected - found, found - expected
    if missing:
        violations.append(
            (
                "lost",
                f"{missing.total()} of {expected.total()} {subject} are missing [{str(next(iter(missing)))[:300]}]",
            )
        )
    duplicates = Counter({value: count for value, count in surplus.items() if value in expected})
    if duplicates:
        violations.append(
            (
                "duplicated",
                f"{duplicates.total()} {subject} are duplicates [{str(next(iter(duplicates)))[:300]}]",
            )
        )
    unknown = Counter({value: count for value, count in surplus.items() if value not in expected})
    if unknown:
        violations.append(("wrong", f"{unknown.total()} {subject} are unexpected [{str(next(iter(unknown)))[:300]}]"))
    return violations


def check_counts(observed):
    """Returns violations of the result of the counts job, which must match the target."""
    if observed.counts is None:
        return [("false success", "the migration is done without a successful counts job")]
    violations = []
    for count in observed.counts:
        if count["stagedRows"] != count["importedRows"]:
            violations.append(
                ("false success", f"a counts job succeeded although its two sides differ [{json.dumps(count)[:300]}]")
            )
    total = next((count for count in observed.counts if count["type"] == "TotalEntity"), None)
    reported = {row[0]: int(row[1]) for row in total["importedRows"]} if total else {}
    stored = {entity_type: len(of) for entity_type, of in observed.rows.items() if of or entity_type in reported}
    if {name: count for name, count in reported.items() if count} != {
        name: count for name, count in stored.items() if count
    }:
        violations.append(("false success", f"a counts job reports {reported}, and the target has {stored}"))
    return violations


#: Columns that describe the import of a row.
METADATA_COLUMNS = re.compile("sluice_(origin|position|hash|check|tenant)")


def row_text(row):
    """Returns a row as text, without the columns that describe its import."""
    return json.dumps(
        {name: value for name, value in row.items() if not METADATA_COLUMNS.fullmatch(name)}, sort_keys=True
    ).encode()


class Reference:
    """Records and rows of an undisturbed migration, with names in place of reference ids."""

    def __init__(self, observed, workload):
        names = workload.dataset.names(workload.id)
        self.records = {
            name: Counter(normalize_ids(record, names) for record in of) for name, of in observed.records.items()
        }
        self.rows = {
            name: Counter(normalize_ids(row_text(row), names) for row in of) for name, of in observed.rows.items()
        }
        self.record_count = sum(of.total() for of in self.records.values())


def read_or_rejection(read):
    """Returns the result of `read`, or the rejection by the server."""
    try:
        return read()
    except RequestRejected as rejection:
        return rejection
