"""The same with dlt: a page of rows at a time, into SQLite through its SQLAlchemy destination."""

import json
import os
import sqlite3
import sys
import time

# Nothing is told to anybody, and nothing is drawn while it works.
os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR")

import dlt

import mapping
import target

#: Rows that are handed over at once.
PAGE = 1_000


@dlt.resource(name="bank", max_table_nesting=0)
def bank(folder, namespace):
    """The platform's rows, in pages of one table each."""
    waiting = {table: [] for table in target.TABLES}
    for table, row in mapping.rows(folder, namespace):
        page = waiting[table]
        page.append(dict(zip(target.TABLES[table], row)))
        if len(page) == PAGE:
            yield dlt.mark.with_table_name(page, table)
            waiting[table] = []
    for table, page in waiting.items():
        if page:
            yield dlt.mark.with_table_name(page, table)


def main(folder, database, namespace):
    """Fills the database; prints seconds."""
    began = time.perf_counter()
    made = sqlite3.connect(database)
    made.execute("PRAGMA journal_mode = WAL")
    made.close()
    destination = dlt.destinations.sqlalchemy(f"sqlite:///{database}")
    pipeline = dlt.pipeline("bank", destination=destination, dataset_name="main", pipelines_dir=f"{database}.pipelines")
    pipeline.run(bank(folder, namespace))
    took = time.perf_counter() - began
    print(json.dumps({"inserted": took, "whole": took}))


main(*sys.argv[1:])
