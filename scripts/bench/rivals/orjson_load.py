"""Rival script, as often used for a migration: orjson, dictionaries and inserts, 20,000 rows a transaction."""

import json
import sqlite3
import sys
import time

import mapping
import target

#: Number of rows of a transaction.
TRANSACTION_ROWS = 20_000


def main(folder, database, namespace):
    """Fills the database. Prints the seconds until the last row is committed, and until ids are unique."""
    started = time.perf_counter()
    connection = sqlite3.connect(database, isolation_level=None)
    target.create(connection)
    inserts = {
        table: f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})"
        for table, columns in target.TABLES.items()
    }
    pending = {table: [] for table in target.TABLES}

    def insert_pending():
        connection.execute("BEGIN")
        for table, rows in pending.items():
            connection.executemany(inserts[table], rows)
            rows.clear()
        connection.execute("COMMIT")

    for count, (table, row) in enumerate(mapping.rows(folder, namespace), 1):
        pending[table].append(row)
        if count % TRANSACTION_ROWS == 0:
            insert_pending()
    insert_pending()
    inserted = time.perf_counter() - started
    target.index(connection)
    print(json.dumps({"inserted": inserted, "whole": time.perf_counter() - started}))


main(*sys.argv[1:])
