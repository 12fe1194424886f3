"""The script that a migration is usually done with: orjson, maps and inserts, 20,000 rows a transaction."""

import json
import sqlite3
import sys
import time

import mapping
import target

ROWS = 20_000


def main(folder, database, namespace):
    """Fills the database; prints seconds until the last row was committed, and until ids were unique."""
    began = time.perf_counter()
    connection = sqlite3.connect(database, isolation_level=None)
    target.create(connection)
    inserts = {
        table: f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})"
        for table, columns in target.TABLES.items()
    }
    waiting = {table: [] for table in target.TABLES}

    def store():
        connection.execute("BEGIN")
        for table, rows in waiting.items():
            connection.executemany(inserts[table], rows)
            rows.clear()
        connection.execute("COMMIT")

    for count, (table, row) in enumerate(mapping.rows(folder, namespace), 1):
        waiting[table].append(row)
        if count % ROWS == 0:
            store()
    store()
    inserted = time.perf_counter() - began
    target.index(connection)
    print(json.dumps({"inserted": inserted, "whole": time.perf_counter() - began}))


main(*sys.argv[1:])
