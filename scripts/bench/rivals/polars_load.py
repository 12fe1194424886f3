"""The same with polars: whole tables as columns, joined, into SQLite through ADBC."""

import json
import sqlite3
import sys
import time

import polars as pl

import target


def read(folder, table):
    """A table, read when it is needed."""
    return pl.scan_ndjson(f"{folder}/{table}.jsonl", infer_schema_length=10_000)


def day(number):
    """A day as the old bank wrote it, checked."""
    return (number + 19_000_000).cast(pl.String).str.to_date("%Y%m%d")


def ids(table, derive, entity, key, name="reference_id"):
    """Adds a column of reference ids, which polars leaves to Python."""
    made = [derive(f"{entity}:{number}") for number in table[key]]
    return table.with_columns(pl.Series(name, made, dtype=pl.String))


def joined(*parts):
    """Text of constants and columns, one after the other."""
    return pl.concat_str([pl.lit(part) if isinstance(part, str) else part.cast(pl.String) for part in parts])


def constant(**values):
    """Columns that hold the same in every row."""
    return [pl.lit(value).alias(name) for name, value in values.items()]


def counterparties(folder, derive):
    """Clients become counterparties."""
    number = pl.col("birth_number").cast(pl.Int64)
    born = pl.when(number // 100 % 100 > 50).then(number - 5_000).otherwise(number)
    table = ids(read(folder, "client").collect(), derive, "counterparties", "client_id")
    client = pl.col("client_id")
    return table.with_columns(
        *constant(type="person", initials="C."),
        surname=client.cast(pl.String),
        birth_date=day(born).cast(pl.String),
        external_references=joined('[{"system":"berka","value":"', client, '"}]'),
    )


def loans(folder, derive):
    """Loans with the ids that others refer to."""
    owners = read(folder, "disp").filter(pl.col("type") == "OWNER").select("account_id", owner="client_id")
    table = read(folder, "loan").join(owners, on="account_id", maintain_order="left").collect()
    table = ids(table, derive, "agreements", "loan_id", "agreement_reference_id")
    table = ids(table, derive, "facilities", "loan_id", "facility_reference_id")
    return ids(table, derive, "counterparties", "owner", "counterparty_reference_id")


def agreements(loan):
    """Loans become agreements with one facility each."""
    start = day(pl.col("date"))
    facilities = joined(
        '[{"referenceId":"', pl.col("facility_reference_id"), '","amount":{"amount":', pl.col("amount"),
        ',"currency":"CZK"},"termInMonths":', pl.col("duration"),
        ',"repaymentMethod":"linear","firstRepaymentDate":"', start.dt.offset_by("1mo"), '","withdrawal":"single"}]',
    )  # fmt: skip
    return loan.with_columns(
        reference_id="agreement_reference_id",
        agreement_number=pl.col("loan_id").cast(pl.String),
        status=pl.col("status").replace_strict(target.STATUS),
        start_date=start.cast(pl.String),
        borrowers=joined('[{"counterpartyReferenceId":"', pl.col("counterparty_reference_id"), '","role":"main"}]'),
        facilities=facilities,
    )


#: What of a loan its payments refer to.
OF_A_LOAN = ["account_id", "agreement_reference_id", "facility_reference_id", "counterparty_reference_id"]


def amounts():
    """An amount as it was written, and the only currency."""
    return [pl.col("amount").cast(pl.String).alias("amount_amount"), *constant(amount_currency="CZK")]


def mandates(folder, derive, loan):
    """Orders that pay a loan become debit mandates."""
    orders = read(folder, "order").filter(pl.col("k_symbol") == "UVER").collect()
    table = ids(orders, derive, "debit-mandates", "order_id")
    table = table.join(loan.select(OF_A_LOAN), on="account_id", how="left", maintain_order="left")
    debtor = pl.col("account_id").cast(pl.String)
    return table.with_columns(*amounts(), *constant(scheme="DOMESTIC", type="b2c"), debtor_account=debtor)


def payments(folder, derive, loan):
    """Transactions of a loan, by the table that they belong to."""
    symbols = {"UVER": "repayments", "UVER_VYPLATA": "disbursements", "UVER_MIMO": "additional-repayments"}
    of_loans = read(folder, "trans").filter(pl.col("k_symbol").is_in(list(symbols)))
    needed = of_loans.select("trans_id", "account_id", "date", "amount", "k_symbol").collect()
    needed = needed.join(loan.select(OF_A_LOAN), on="account_id", how="left", maintain_order="left")
    for symbol, entity in symbols.items():
        table = ids(needed.filter(pl.col("k_symbol") == symbol), derive, entity, "trans_id")
        yield (
            entity.replace("-", "_"),
            table.with_columns(
                *amounts(),
                *constant(status="Final", type="early-repayment"),
                effective_date=day(pl.col("date")).cast(pl.String),
            ),
        )


def collateral_objects(folder, derive):
    """Properties become collateral objects."""
    table = ids(read(folder, "property").collect(), derive, "collateral-objects", "property_id")
    address = joined(
        '{"type":"main","addressLine1":"', pl.col("street"), '","postalCode":"', pl.col("zip"), '","locality":"',
        pl.col("city"), '","countryCode":"CZ"}',
    )  # fmt: skip
    valuations = joined(
        '[{"date":"', day(pl.col("valued")), '","value":{"amount":', pl.col("value"), ',"currency":"CZK"}}]'
    )
    return table.with_columns(type=pl.col("kind").replace_strict(target.KIND), address=address, valuations=valuations)


def collaterals(folder, derive):
    """Pledges become mortgages with one entry."""
    table = ids(read(folder, "pledge").collect(), derive, "collaterals", "pledge_id")
    table = ids(table, derive, "agreements", "loan_id", "agreement")
    table = ids(table, derive, "counterparties", "client_id", "counterparty")
    table = ids(table, derive, "collateral-objects", "property_id", "object")
    first = pl.when(pl.col("rank") > 1).then(pl.lit("true")).otherwise(pl.lit("false"))
    entries = joined(
        '[{"isAlreadyPledged":', first, ',"rank":', pl.col("rank"), ',"amount":{"amount":', pl.col("amount"),
        ',"currency":"CZK"},"collateralObjectReferenceId":"', pl.col("object"), '"}]',
    )  # fmt: skip
    return table.with_columns(
        *constant(type="mortgage", collateral_definition_code="MORTGAGE"),
        agreement_reference_ids=joined('["', pl.col("agreement"), '"]'),
        counterparty_reference_ids=joined('["', pl.col("counterparty"), '"]'),
        registered_mortgage_entries=entries,
    )


def tables(folder, namespace):
    """Every table of the platform."""
    derive = target.ids_of(namespace)
    yield "counterparties", counterparties(folder, derive)
    loan = loans(folder, derive)
    yield "agreements", agreements(loan)
    yield "debit_mandates", mandates(folder, derive, loan)
    yield from payments(folder, derive, loan)
    yield "collateral_objects", collateral_objects(folder, derive)
    yield "collaterals", collaterals(folder, derive)


def connected(database, do):
    """Does something with a connection and closes it: ADBC has an SQLite of its own, and the two share no locks."""
    connection = sqlite3.connect(database, isolation_level=None)
    do(connection)
    connection.close()


def main(folder, database, namespace):
    """Fills the database; prints seconds until the last row was committed, and until ids were unique."""
    began = time.perf_counter()
    connected(database, target.create)
    for name, table in tables(folder, namespace):
        table.select(target.TABLES[name]).write_database(
            name, f"sqlite:///{database}", engine="adbc", if_table_exists="append"
        )
    inserted = time.perf_counter() - began
    connected(database, target.index)
    print(json.dumps({"inserted": inserted, "whole": time.perf_counter() - began}))


main(*sys.argv[1:])
