"""Mapping of the bank's tables to the platform's, equal to `plugins/mappers/berka`, as an efficient script."""

from datetime import date
from pathlib import Path

import orjson

from target import KIND, STATUS, id_deriver


def day(yymmdd):
    """Parses a date of the source as YYMMDD."""
    return date(1900 + yymmdd // 10_000, yymmdd // 100 % 100, yymmdd % 100).isoformat()


def add_month(text):
    """Returns the same day of the next month. Days of this bank never exceed 28."""
    year, month, rest = int(text[:4]), int(text[5:7]), text[7:]
    return f"{year + 1}-01{rest}" if month == 12 else f"{year}-{month + 1:02}{rest}"


def records(folder, table):
    """Yields the records of a table."""
    with (Path(folder) / f"{table}.jsonl").open("rb") as lines:
        yield from map(orjson.loads, lines)


def to_json(value):
    """Returns a nested value as JSON."""
    return orjson.dumps(value).decode()


def rows(folder, namespace):
    """Yields all rows as table and values. A row follows the rows that it refers to."""
    derive = id_deriver(namespace)
    yield from counterparties(folder, derive)
    owners = {disp["account_id"]: disp["client_id"] for disp in records(folder, "disp") if disp["type"] == "OWNER"}
    loans = {}
    yield from agreements(folder, derive, owners, loans)
    yield from mandates(folder, derive, owners, loans)
    yield from payments(folder, derive, loans)
    yield from collateral_objects(folder, derive)
    yield from collaterals(folder, derive)


def counterparties(folder, derive):
    """Maps clients to counterparties."""
    for client in records(folder, "client"):
        number, born = str(client["client_id"]), int(client["birth_number"])
        born = day(born - 5_000 if born // 100 % 100 > 50 else born)
        external = f'[{{"system":"berka","value":"{number}"}}]'
        yield "counterparties", (derive("counterparties:" + number), "person", "C.", number, born, external)


def agreements(folder, derive, owners, loans):
    """Maps loans to agreements with one facility each. Adds the loan of each account to `loans`."""
    for loan in records(folder, "loan"):
        number, start = str(loan["loan_id"]), day(loan["date"])
        agreement, facility = derive("agreements:" + number), derive("facilities:" + number)
        loans[loan["account_id"]] = agreement, facility
        owner = derive(f"counterparties:{owners[loan['account_id']]}")
        facilities = [
            {
                "referenceId": facility,
                "amount": {"amount": loan["amount"], "currency": "CZK"},
                "termInMonths": loan["duration"],
                "repaymentMethod": "linear",
                "firstRepaymentDate": add_month(start),
                "withdrawal": "single",
            }
        ]
        borrowers = [{"counterpartyReferenceId": owner, "role": "main"}]
        row = agreement, number, STATUS[loan["status"]], start, to_json(borrowers), to_json(facilities)
        yield "agreements", row


def mandates(folder, derive, owners, loans):
    """Maps orders that repay a loan to debit mandates."""
    for order in records(folder, "order"):
        if order["k_symbol"] == "UVER":
            account = order["account_id"]
            owner = derive(f"counterparties:{owners[account]}")
            number = derive(f"debit-mandates:{order['order_id']}")
            row = number, loans[account][0], owner, "DOMESTIC", "b2c", str(account), str(order["amount"]), "CZK"
            yield "debit_mandates", row


def payments(folder, derive, loans):
    """Maps transactions of loans to repayments, additional repayments and disbursements."""
    for trans in records(folder, "trans"):
        symbol = trans["k_symbol"]
        if symbol == "UVER":
            number, agreement = derive(f"repayments:{trans['trans_id']}"), loans[trans["account_id"]][0]
            yield "repayments", (number, agreement, day(trans["date"]), str(trans["amount"]), "CZK")
        elif symbol == "UVER_VYPLATA":
            number = derive(f"disbursements:{trans['trans_id']}")
            row = number, *loans[trans["account_id"]], day(trans["date"]), str(trans["amount"]), "CZK"
            yield "disbursements", row
        elif symbol == "UVER_MIMO":
            number, agreement = derive(f"additional-repayments:{trans['trans_id']}"), loans[trans["account_id"]][0]
            row = number, agreement, "Final", "early-repayment", day(trans["date"]), str(trans["amount"]), "CZK"
            yield "additional_repayments", row


def collateral_objects(folder, derive):
    """Maps properties to collateral objects."""
    for item in records(folder, "property"):
        address = {
            "type": "main",
            "addressLine1": item["street"],
            "postalCode": item["zip"],
            "locality": item["city"],
            "countryCode": "CZ",
        }
        valuations = [{"date": day(item["valued"]), "value": {"amount": item["value"], "currency": "CZK"}}]
        number = derive(f"collateral-objects:{item['property_id']}")
        yield "collateral_objects", (number, KIND[item["kind"]], to_json(address), to_json(valuations))


def collaterals(folder, derive):
    """Maps pledges to mortgages with one entry."""
    for pledge in records(folder, "pledge"):
        entry = {
            "isAlreadyPledged": pledge["rank"] > 1,
            "rank": pledge["rank"],
            "amount": {"amount": pledge["amount"], "currency": "CZK"},
            "collateralObjectReferenceId": derive(f"collateral-objects:{pledge['property_id']}"),
        }
        yield (
            "collaterals",
            (
                derive(f"collaterals:{pledge['pledge_id']}"),
                "mortgage",
                "MORTGAGE",
                to_json([derive(f"agreements:{pledge['loan_id']}")]),
                to_json([derive(f"counterparties:{pledge['client_id']}")]),
                to_json([entry]),
            ),
        )
