"""Rival polars: maps and joins whole tables as columns, and loads them into SQLite through ADBC."""

import json
import sqlite3
import sys
import time

import polars as pl

import target


def scan(folder, table):
    """Returns a lazily read table."""
    return pl.scan_ndjson(f"{folder}/{table}.jsonl", infer_schema_length=10_000)


def day(number):
    """Parses a date of the source as YYMMDD."""
    return (number + 19_000_000).cast(pl.String).str.to_date("%Y%m%d")


def add_ids(table, derive, entity, key, name="reference_id"):
    """Adds a column of reference ids, computed in Python because polars has no UUID function."""
    values = [derive(f"{entity}:{number}") for number in table[key]]
    return table.with_columns(pl.Series(name, values, dtype=pl.String))


def concat(*parts):
    """Concatenates constants and columns as text."""
    return pl.concat_str([pl.lit(part) if isinstance(part, str) else part.cast(pl.String) for part in parts])


def constants(**values):
    """Returns constant columns."""
    return [pl.lit(value).alias(name) for name, value in values.items()]


def counterparties(folder, derive):
    """Maps clients to counterparties."""
    number = pl.col("birth_number").cast(pl.Int64)
    born = pl.when(number // 100 % 100 > 50).then(number - 5_000).otherwise(number)
    table = add_ids(scan(folder, "client").collect(), derive, "counterparties", "client_id")
    client = pl.col("client_id")
    return table.with_columns(
        *constants(type="person", initials="C."),
        surname=client.cast(pl.String),
        birth_date=day(born).cast(pl.String),
        external_references=concat('[{"system":"berka","value":"', client, '"}]'),
    )


def loans(folder, derive):
    """Returns loans with the ids that other tables refer to."""
    owners = scan(folder, "disp").filter(pl.col("type") == "OWNER").select("account_id", owner="client_id")
    table = scan(folder, "loan").join(owners, on="account_id", maintain_order="left").collect()
    table = add_ids(table, derive, "agreements", "loan_id", "agreement_reference_id")
    table = add_ids(table, derive, "facilities", "loan_id", "facility_reference_id")
    return add_ids(table, derive, "counterparties", "owner", "counterparty_reference_id")


def agreements(loan):
    """Maps loans to agreements with one facility each."""
    start = day(pl.col("date"))
    facilities = concat(
        '[{"referenceId":"', pl.col("facility_reference_id"), '","amount":{"amount":', pl.col("amount"),
        ',"currency":"CZK"},"termInMonths":', pl.col("duration"),
        ',"repaymentMethod":"linear","firstRepaymentDate":"', start.dt.offset_by("1mo"), '","withdrawal":"single"}]',
    )  # fmt: skip
    return loan.with_columns(
        reference_id="agreement_reference_id",
        agreement_number=pl.col("loan_id").cast(pl.String),
        status=pl.col("status").replace_strict(target.STATUS),
        start_date=start.cast(pl.String),
        borrowers=concat('[{"counterpartyReferenceId":"', pl.col("counterparty_reference_id"), '","role":"main"}]'),
        facilities=facilities,
    )


#: Columns of a loan that its payments need.
LOAN_COLUMNS = ["account_id", "agreement_reference_id", "facility_reference_id", "counterparty_reference_id"]


def amounts():
    """Returns columns with the amount and the only currency."""
    return [pl.col("amount").cast(pl.String).alias("amount_amount"), *constants(amount_currency="CZK")]


def mandates(folder, derive, loan):
    """Maps orders that repay a loan to debit mandates."""
    orders = scan(folder, "order").filter(pl.col("k_symbol") == "UVER").collect()
    table = add_ids(orders, derive, "debit-mandates", "order_id")
    table = table.join(loan.select(LOAN_COLUMNS), on="account_id", how="left", maintain_order="left")
    debtor = pl.col("account_id").cast(pl.String)
    return table.with_columns(*amounts(), *constants(scheme="DOMESTIC", type="b2c"), debtor_account=debtor)


def payments(folder, derive, loan):
    """Yields tables mapped from transactions of loans."""
    symbols = {"UVER": "repayments", "UVER_VYPLATA": "disbursements", "UVER_MIMO": "additional-repayments"}
    of_loans = scan(folder, "trans").filter(pl.col("k_symbol").is_in(list(symbols)))
    needed = of_loans.select("trans_id", "account_id", "date", "amount", "k_symbol").collect()
    needed = needed.join(loan.select(LOAN_COLUMNS), on="account_id", how="left", maintain_order="left")
    for symbol, entity in symbols.items():
        table = add_ids(needed.filter(pl.col("k_symbol") == symbol), derive, entity, "trans_id")
        yield (
            entity.replace("-", "_"),
            table.with_columns(
                *amounts(),
                *constants(status="Final", type="early-repayment"),
                effective_date=day(pl.col("date")).cast(pl.String),
            ),
        )


def collateral_objects(folder, derive):
    """Maps properties to collateral objects."""
    table = add_ids(scan(folder, "property").collect(), derive, "collateral-objects", "property_id")
    address = concat(
        '{"type":"main","addressLine1":"', pl.col("street"), '","postalCode":"', pl.col("zip"), '","locality":"',
        pl.col("city"), '","countryCode":"CZ"}',
    )  # fmt: skip
    valuations = concat(
        '[{"date":"', day(pl.col("valued")), '","value":{"amount":', pl.col("value"), ',"currency":"CZK"}}]'
    )
    return table.with_columns(type=pl.col("kind").replace_strict(target.KIND), address=address, valuations=valuations)


def collaterals(folder, derive):
    """Maps pledges to mortgages with one entry."""
    table = add_ids(scan(folder, "pledge").collect(), derive, "collaterals", "pledge_id")
    table = add_ids(table, derive, "agreements", "loan_id", "agreement")
    table = add_ids(table, derive, "counterparties", "client_id", "counterparty")
    table = add_ids(table, derive, "collateral-objects", "property_id", "object")
    first = pl.when(pl.col("rank") > 1).then(pl.lit("true")).otherwise(pl.lit("false"))
    entries = concat(
        '[{"isAlreadyPledged":', first, ',"rank":', pl.col("rank"), ',"amount":{"amount":', pl.col("amount"),
        ',"currency":"CZK"},"collateralObjectReferenceId":"', pl.col("object"), '"}]',
    )  # fmt: skip
    return table.with_columns(
        *constants(type="mortgage", collateral_definition_code="MORTGAGE"),
        agreement_reference_ids=concat('["', pl.col("agreement"), '"]'),
        counterparty_reference_ids=concat('["', pl.col("counterparty"), '"]'),
        registered_mortgage_entries=entries,
    )


def tables(folder, namespace):
    """Yields all tables of the platform."""
    derive = target.id_deriver(namespace)
    yield "counterparties", counterparties(folder, derive)
    loan = loans(folder, derive)
    yield "agreements", agreements(loan)
    yield "debit_mandates", mandates(folder, derive, loan)
    yield from payments(folder, derive, loan)
    yield "collateral_objects", collateral_objects(folder, derive)
    yield "collaterals", collaterals(folder, derive)


def with_connection(database, action):
    """Calls a function with a connection and closes it. ADBC's own SQLite shares no locks with that of Python."""
    connection = sqlite3.connect(database, isolation_level=None)
    action(connection)
    connection.close()


def main(folder, database, namespace):
    """Fills the database. Prints the seconds until the last row is committed, and until ids are unique."""
    started = time.perf_counter()
    with_connection(database, target.create)
    for name, table in tables(folder, namespace):
        table.select(target.TABLES[name]).write_database(
            name, f"sqlite:///{database}", engine="adbc", if_table_exists="append"
        )
    inserted = time.perf_counter() - started
    with_connection(database, target.index)
    print(json.dumps({"inserted": inserted, "whole": time.perf_counter() - started}))


main(*sys.argv[1:])
