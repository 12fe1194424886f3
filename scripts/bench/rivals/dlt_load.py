"""Rival dlt: loads pages of rows into SQLite through its SQLAlchemy destination."""

import json
import os
import sqlite3
import sys
import time

# Disables telemetry and progress output.
os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR")

import dlt

import mapping
import target

#: Number of rows of a page.
PAGE = 1_000


@dlt.resource(name="bank", max_table_nesting=0)
def bank(folder, namespace):
    """Yields the rows of the platform, in pages of one table each."""
    pending = {table: [] for table in target.TABLES}
    for table, row in mapping.rows(folder, namespace):
        page = pending[table]
        page.append(dict(zip(target.TABLES[table], row)))
        if len(page) == PAGE:
            yield dlt.mark.with_table_name(page, table)
            pending[table] = []
    for table, page in pending.items():
        if page:
            yield dlt.mark.with_table_name(page, table)


def main(folder, database, namespace):
    """Fills the database. Prints the seconds."""
    started = time.perf_counter()
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    destination = dlt.destinations.sqlalchemy(f"sqlite:///{database}")
    pipeline = dlt.pipeline("bank", destination=destination, dataset_name="main", pipelines_dir=f"{database}.pipelines")
    pipeline.run(bank(folder, namespace))
    took = time.perf_counter() - started
    print(json.dumps({"inserted": took, "whole": took}))


main(*sys.argv[1:])
