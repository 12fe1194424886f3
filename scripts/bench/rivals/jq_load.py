"""Rival jq with the sqlite3 shell: jq maps records to lines for `.import`.

jq has no hash function to derive reference ids. The ids are the source keys, prefixed with the entity type.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import target

#: Definitions that all programs share.
COMMON = r"""
def pad: tostring | if length < 6 then ("000000" + .)[-6:] else . end;
def day: pad | "19\(.[0:2])-\(.[2:4])-\(.[4:6])";
def next_month: .[0:4] as $y | .[5:7] as $m | .[8:10] as $d |
  if $m == "12" then "\(($y | tonumber) + 1)-01-\($d)"
  else "\($y)-\(("0" + (($m | tonumber) + 1 | tostring))[-2:])-\($d)" end;
def money: {amount: ., currency: "CZK"};
"""

CLIENT = r"""
(.birth_number | tonumber) as $b |
(if ($b / 100 | floor) % 100 > 50 then $b - 5000 else $b end) as $b |
["counterparties", "counterparties:\(.client_id)", "person", "C.", "\(.client_id)", ($b | day),
 ([{system: "berka", value: "\(.client_id)"}] | tojson)] | @csv
"""

LOAN = r"""
{A: "closed", B: "defaulted", C: "active", D: "defaulted"} as $status |
(.date | day) as $start | $owners["\(.account_id)"] as $owner |
["agreements", "agreements:\(.loan_id)", "\(.loan_id)", $status[.status], $start,
 ([{counterpartyReferenceId: "counterparties:\($owner)", role: "main"}] | tojson),
 ([{referenceId: "facilities:\(.loan_id)", amount: (.amount | money), termInMonths: .duration,
    repaymentMethod: "linear", firstRepaymentDate: ($start | next_month), withdrawal: "single"}] | tojson)] | @csv
"""

ORDER = r"""
select(.k_symbol == "UVER") | "\(.account_id)" as $account |
["debit_mandates", "debit-mandates:\(.order_id)", "agreements:\($loans[$account])",
 "counterparties:\($owners[$account])", "DOMESTIC", "b2c", $account, "\(.amount)", "CZK"] | @csv
"""

TRANS = r"""
select(.k_symbol == "UVER" or .k_symbol == "UVER_VYPLATA" or .k_symbol == "UVER_MIMO") |
"\($loans["\(.account_id)"])" as $loan | "agreements:\($loan)" as $agreement |
if .k_symbol == "UVER" then
  ["repayments", "repayments:\(.trans_id)", $agreement, (.date | day), "\(.amount)", "CZK"]
elif .k_symbol == "UVER_VYPLATA" then
  ["disbursements", "disbursements:\(.trans_id)", $agreement, "facilities:\($loan)", (.date | day), "\(.amount)", "CZK"]
else
  ["additional_repayments", "additional-repayments:\(.trans_id)", $agreement, "Final", "early-repayment", (.date | day),
   "\(.amount)", "CZK"]
end | @csv
"""

PROPERTY = r"""
{BYT: "residential-property", DUM: "residential-property", KANCELAR: "commercial-property", POZEMEK: "other"}
as $kinds |
["collateral_objects", "collateral-objects:\(.property_id)", $kinds[.kind],
 ({type: "main", addressLine1: .street, postalCode: .zip, locality: .city, countryCode: "CZ"} | tojson),
 ([{date: (.valued | day), value: (.value | money)}] | tojson)] | @csv
"""

PLEDGE = r"""
["collaterals", "collaterals:\(.pledge_id)", "mortgage", "MORTGAGE", (["agreements:\(.loan_id)"] | tojson),
 (["counterparties:\(.client_id)"] | tojson),
 ([{isAlreadyPledged: (.rank > 1), rank, amount: (.amount | money),
    collateralObjectReferenceId: "collateral-objects:\(.property_id)"}] | tojson)] | @csv
"""

#: Program of each source table.
PROGRAMS = {
    "client": CLIENT, "loan": LOAN, "order": ORDER, "trans": TRANS, "property": PROPERTY, "pledge": PLEDGE,
}  # fmt: skip

#: awk program that splits lines by their first value, which is quoted and contains no quotes.
SPLIT = (
    r"""{ table = substr($0, 2, index($0, "\",") - 2); print substr($0, length(table) + 4) > (out "/" table ".csv") }"""
)


def write_lookup(folder, work, table, filter_program, key, value):
    """Writes a JSON object that maps keys to values of a table. Returns its path."""
    path = Path(work) / f"{value}.json"
    program = f'reduce (inputs | {filter_program}) as $r ({{}}; .["\\($r.{key})"] = $r.{value})'
    with path.open("w") as out:
        subprocess.run(["jq", "-n", "-c", program, f"{folder}/{table}.jsonl"], stdout=out, check=True)
    return path


def map_table(folder, work, table, owners, loans):
    """Maps a table to one CSV file for each table of the platform."""
    lookups = ["--slurpfile", "owner_list", owners, "--slurpfile", "loan_list", loans]
    program = COMMON + "$owner_list[0] as $owners | $loan_list[0] as $loans | " + PROGRAMS[table]
    with subprocess.Popen(["jq", "-r", *lookups, program, f"{folder}/{table}.jsonl"], stdout=subprocess.PIPE) as jq:
        subprocess.run(["awk", "-v", f"out={work}", SPLIT], stdin=jq.stdout, check=True)
    if jq.returncode:
        raise SystemExit(f"jq ended with {jq.returncode}")


def main(folder, database, _namespace):
    """Fills the database. Prints the seconds until the last row is committed, and until ids are unique."""
    started = time.perf_counter()
    work = Path(f"{database}.csv")
    work.mkdir()
    owners = write_lookup(folder, work, "disp", 'select(.type == "OWNER")', "account_id", "client_id")
    loans = write_lookup(folder, work, "loan", ".", "account_id", "loan_id")
    for table in PROGRAMS:
        map_table(folder, work, table, owners, loans)
    columns = {table: ", ".join(f"{name} TEXT" for name in names) for table, names in target.TABLES.items()}
    script = ["PRAGMA journal_mode = WAL;", "PRAGMA synchronous = FULL;", ".mode csv"]
    script += [f"CREATE TABLE {table} ({names});" for table, names in columns.items()]
    script += [f".import {work}/{table}.csv {table}" for table in columns if (work / f"{table}.csv").exists()]
    subprocess.run(
        ["sqlite3", "-bail", database], input="\n".join(script), text=True, stdout=subprocess.DEVNULL, check=True
    )
    inserted = time.perf_counter() - started
    script = [f"CREATE UNIQUE INDEX {table}_by_reference_id ON {table} (reference_id);" for table in columns]
    subprocess.run(["sqlite3", "-bail", database], input="\n".join(script), text=True, check=True)
    print(json.dumps({"inserted": inserted, "whole": time.perf_counter() - started}))


main(*sys.argv[1:])
