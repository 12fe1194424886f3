"""Comparison of target databases: by SQL queries, and by rows if their reference ids are derived equally."""

import hashlib
import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("rivals")))

from target import TABLES


def cents(amount):
    """Returns SQL for the exact sum of amounts, in hundredths."""
    return f"sum(CAST(round({amount} * 100) AS INTEGER))"


def cents_in(column, path):
    """Returns SQL for the sum of amounts in a JSON column."""
    return cents(f"json_extract({column}, '{path}')")


def referring(table, column, other):
    """Returns SQL that counts rows with a valid reference."""
    return f"SELECT count(*) FROM {table} WHERE {column} IN (SELECT reference_id FROM {other})"


#: Common expressions.
AMOUNT, DAYS = cents("amount_amount"), "min(effective_date), max(effective_date)"

#: Queries whose results must not depend on the tool that filled the tables.
QUERIES = [
    "SELECT type, initials, count(*), min(birth_date), max(birth_date), sum(surname) FROM counterparties GROUP BY 1, 2",
    "SELECT sum(json_extract(external_references, '$[0].value')) FROM counterparties",
    f"SELECT status, count(*), {cents_in('facilities', '$[0].amount.amount')}, min(start_date), max(start_date), "
    "sum(agreement_number), sum(json_extract(facilities, '$[0].termInMonths')) FROM agreements GROUP BY 1",
    f"SELECT amount_currency, count(*), {AMOUNT}, {DAYS} FROM repayments GROUP BY 1",
    f"SELECT amount_currency, count(*), {AMOUNT}, {DAYS} FROM disbursements GROUP BY 1",
    f"SELECT status, type, amount_currency, count(*), {AMOUNT}, {DAYS} FROM additional_repayments GROUP BY 1, 2, 3",
    f"SELECT scheme, type, count(*), {AMOUNT}, sum(debtor_account), min(amount_currency), max(amount_currency) "
    "FROM debit_mandates GROUP BY 1, 2",
    f"SELECT type, count(*), {cents_in('valuations', '$[0].value.amount')} FROM collateral_objects GROUP BY 1",
    "SELECT json_extract(address, '$.locality'), count(*) FROM collateral_objects GROUP BY 1",
    f"SELECT type, count(*), {cents_in('registered_mortgage_entries', '$[0].amount.amount')} "
    "FROM collaterals GROUP BY 1",
    referring("repayments", "agreement_reference_id", "agreements"),
    referring("additional_repayments", "agreement_reference_id", "agreements"),
    referring("disbursements", "agreement_reference_id", "agreements"),
    referring("debit_mandates", "agreement_reference_id", "agreements"),
    referring("debit_mandates", "counterparty_reference_id", "counterparties"),
    referring("agreements", "json_extract(borrowers, '$[0].counterpartyReferenceId')", "counterparties"),
    referring("collaterals", "json_extract(agreement_reference_ids, '$[0]')", "agreements"),
    referring("collaterals", "json_extract(counterparty_reference_ids, '$[0]')", "counterparties"),
    *(f"SELECT count(DISTINCT reference_id) FROM {table}" for table in TABLES),
]


def query_results(database):
    """Returns the results of all queries on a database."""
    connection = sqlite3.connect(database)
    try:
        return [connection.execute(query + " ORDER BY 1, 2" * ("GROUP" in query)).fetchall() for query in QUERIES]
    finally:
        connection.close()


def differences(expected, found):
    """Returns a description of each query with a different result."""
    return [f"{query}: {one}, not {other}" for query, one, other in zip(QUERIES, found, expected) if one != other]


def digests(database):
    """Returns a hash of all rows and columns by table."""
    connection = sqlite3.connect(database)
    hashes = {}
    for name, columns in TABLES.items():
        hashed = hashlib.sha256()
        for row in connection.execute(f"SELECT {', '.join(columns)} FROM {name} ORDER BY reference_id"):
            hashed.update(repr(row).encode())
        hashes[name] = hashed.hexdigest()
    connection.close()
    return hashes
