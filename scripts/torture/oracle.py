"""What is there: staged records and rows, read back and compared by identity and content with what has to be there."""

import hashlib
import json
import re
import sqlite3
from collections import Counter

from client import Refused, ask_json, lines_of
from dataset import named

#: Entity types of each domain, by its path.
DOMAINS = {
    "counterparty-management": ["counterparties"],
    "collateral-management": ["collateral-objects", "collaterals"],
    "financing-solution": ["agreements"],
    "financing-execution": ["debit-mandates", "repayments", "disbursements", "additional-repayments"],
    "administrate": ["payment-administrations"],
}
ENTITY_TYPES = {entity_type: domain for domain, types in DOMAINS.items() for entity_type in types}


def staged_sources(life, journey):
    """Source records as they are staged, by table."""
    return {table: lines_of(life, f"{journey.path}/sources/{table}/records") for table in journey.acknowledged}


def staged_records(life, journey):
    """Domain records as they are staged, by entity type."""
    migration = journey.id
    return {
        entity_type: lines_of(life, f"/{domain}/migrations/{migration}/staging/{entity_type}/stream")
        for entity_type, domain in ENTITY_TYPES.items()
    }


def rows(database, migration):
    """A migration's rows in the target, by entity type: each as column and value."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        found = {}
        for entity_type in ENTITY_TYPES:
            table = entity_type.replace("-", "_")
            cursor = connection.execute(
                f"SELECT * FROM {table} WHERE sluice_origin IN (SELECT number FROM sluice_origins WHERE migration = ?)",
                [migration],
            )
            names = [column[0] for column in cursor.description]
            found[entity_type] = [dict(zip(names, row)) for row in cursor]
        return found
    finally:
        connection.close()


def repeated_rows(database):
    """How many rows of all tables have a reference id that another row has."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)
    try:
        count = "SELECT count(*) - count(DISTINCT reference_id) FROM {}"
        tables = [entity_type.replace("-", "_") for entity_type in ENTITY_TYPES]
        return sum(connection.execute(count.format(table)).fetchone()[0] for table in tables)
    finally:
        connection.close()


def content_hash(record):
    """A record's hash, as rows have it."""
    return hashlib.sha256(record).digest()[:16]


def key_of(record):
    """A record's reference id."""
    return json.loads(record)["referenceId"]


class Seen:
    """Everything that is there of a migration at its end."""

    def __init__(self, sources, records, rows, counts):
        self.sources, self.records, self.rows, self.counts = sources, records, rows, counts

    @classmethod
    def read(cls, life, journey):
        """Reads it through the API, and the rows from the target's own file."""
        jobs = [job for job, (kind, state) in journey.jobs.items() if kind == "counts" and state == "succeeded"]
        counts = ask_json(life, "GET", f"{journey.path}/jobs/{jobs[-1]}")["result"] if jobs else None
        return cls(
            staged_sources(life, journey), staged_records(life, journey), rows(life.target, journey.id), counts
        )  # fmt: skip


def durable(sources, journey):
    """What is wrong with staged source records, as it has to be at any moment: pairs of a kind and words."""
    wrong = []
    for table, known in journey.acknowledged.items():
        there, lines = Counter(sources.get(table, [])), journey.books.lines[table]
        gone = [line for line in lines[:known] if line not in there]
        if gone:
            wrong.append(
                ("lost", f"{len(gone)} of {known} acknowledged records of {table} are not staged [{gone[0]!r}]")
            )
        twice = [line for line, many in there.items() if many > 1]
        if twice:
            wrong.append(("duplicated", f"{len(twice)} records of {table} are staged more than once [{twice[0]!r}]"))
        foreign = there.keys() - set(lines)
        if foreign:
            wrong.append(
                ("wrong", f"{len(foreign)} staged records of {table} were never sent [{next(iter(foreign))!r}]")
            )
    return wrong


def made_there(records, journey):
    """What is wrong with records that result lines said were made: they have to be staged at any moment."""
    wrong, ids = [], {entity_type: {key_of(record) for record in of} for entity_type, of in records.items()}
    for table, made in journey.made.items():
        gone = [one for one in made if one[1] not in ids.get(one[0], ())]
        if gone:
            wrong.append(
                (
                    "lost",
                    f"{len(gone)} of {len(made)} records that {table} was said to have become are not staged "
                    f"[{gone[0]}]",
                )
            )
    return wrong


def imported(records, there, journey):
    """What is wrong with rows, once an import was said to have succeeded: each staged record has one."""
    if ("import", "succeeded") not in journey.jobs.values():
        return []
    wrong = [against_target(entity_type, of, there[entity_type]) for entity_type, of in records.items()]
    return [(kind, f"after an import that succeeded: {words}") for of in wrong for kind, words in of]


def kept(life, journey):
    """What is wrong with all that was ever answered, as it has to be at any moment."""
    records = staged_records(life, journey)
    wrong = durable(staged_sources(life, journey), journey) + made_there(records, journey)
    return wrong + imported(records, rows(life.target, journey.id), journey)


def whole(seen, journey, reference):
    """What is wrong at the end: against what was sent, against an undisturbed migration, staging against the target."""
    books, names, wrong = journey.books, journey.books.names(journey.id), []
    for table in journey.acknowledged:
        wrong += differing(f"source records of {table}", Counter(books.lines[table]), Counter(seen.sources[table]))
    for entity_type in ENTITY_TYPES:
        records = seen.records[entity_type]
        found = Counter(named(record, names) for record in records)
        wrong += differing(f"staged {entity_type}", reference.records[entity_type], found)
        wrong += against_target(entity_type, records, seen.rows[entity_type])
        found = Counter(named(shown(row), names) for row in seen.rows[entity_type])
        wrong += differing(f"rows of {entity_type}", reference.rows[entity_type], found)
    wrong += against_counts(seen)
    return wrong


def against_target(entity_type, records, there):
    """Staged records and rows, by reference id and content hash."""
    staged = Counter((key_of(record), content_hash(record)) for record in records)
    imported = Counter((row["reference_id"], row["sluice_hash"]) for row in there)
    return differing(f"{entity_type} in the target, by id and hash", staged, imported)


def differing(what, wanted, found):
    """Multisets compared: what is missing, what is there too often, what should not be there at all."""
    wrong = []
    missing, more = wanted - found, found - wanted
    if missing:
        wrong.append(
            ("lost", f"{missing.total()} of {wanted.total()} {what} are not there [{str(next(iter(missing)))[:300]}]")
        )
    twice = Counter({one: many for one, many in more.items() if one in wanted})
    if twice:
        wrong.append(
            ("duplicated", f"{twice.total()} {what} are there more than once [{str(next(iter(twice)))[:300]}]")
        )
    foreign = Counter({one: many for one, many in more.items() if one not in wanted})
    if foreign:
        wrong.append(
            ("wrong", f"{foreign.total()} {what} are there that should not be [{str(next(iter(foreign)))[:300]}]")
        )
    return wrong


def against_counts(seen):
    """A counts job that succeeded says what is there."""
    if seen.counts is None:
        return [("false success", "the migration is said to be done, and no counts job has succeeded")]
    wrong = []
    for count in seen.counts:
        if count["stagedRows"] != count["importedRows"]:
            wrong.append(
                ("false success", f"a counts job succeeded, and its two sides differ [{json.dumps(count)[:300]}]")
            )
    total = next((count for count in seen.counts if count["type"] == "TotalEntity"), None)
    said = {row[0]: int(row[1]) for row in total["importedRows"]} if total else {}
    there = {entity_type: len(of) for entity_type, of in seen.rows.items() if of or entity_type in said}
    if {name: many for name, many in said.items() if many} != {name: many for name, many in there.items() if many}:
        wrong.append(("false success", f"a counts job says {said}, and the target has {there}"))
    return wrong


#: Columns that are about how a row came to be.
OWN = re.compile("sluice_(origin|position|hash|check)")


def shown(row):
    """A row as text, but for how it came to be."""
    return json.dumps({name: value for name, value in row.items() if not OWN.fullmatch(name)}, sort_keys=True).encode()


class Reference:
    """What an undisturbed migration of the same records came to, with names for reference ids."""

    def __init__(self, seen, journey):
        names = journey.books.names(journey.id)
        self.records = {name: Counter(named(record, names) for record in of) for name, of in seen.records.items()}
        self.rows = {name: Counter(named(shown(row), names) for row in of) for name, of in seen.rows.items()}
        self.many = sum(of.total() for of in self.records.values())


def quietly(read):
    """What was read, or none where the server refuses it."""
    try:
        return read()
    except Refused as refused:
        return refused
