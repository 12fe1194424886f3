"""The bank's tables to the platform's, as `plugins/mappers/berka` has it, written as a careful script would."""

from datetime import date
from pathlib import Path

import orjson

from target import KIND, STATUS, ids_of


def day(yymmdd):
    """A day as the old bank wrote it, checked."""
    return date(1900 + yymmdd // 10_000, yymmdd // 100 % 100, yymmdd % 100).isoformat()


def month_after(text):
    """The same day a month later; no day of this bank is beyond its month's 28th."""
    year, month, rest = int(text[:4]), int(text[5:7]), text[7:]
    return f"{year + 1}-01{rest}" if month == 12 else f"{year}-{month + 1:02}{rest}"


def records(folder, table):
    """A table's records, one after the other."""
    with (Path(folder) / f"{table}.jsonl").open("rb") as lines:
        yield from map(orjson.loads, lines)


def text(value):
    """A nested value as JSON."""
    return orjson.dumps(value).decode()


def rows(folder, namespace):
    """Every row of every table: its table and its values, in an order in which nothing is referred to too early."""
    derive = ids_of(namespace)
    yield from counterparties(folder, derive)
    owners = {disp["account_id"]: disp["client_id"] for disp in records(folder, "disp") if disp["type"] == "OWNER"}
    loans = {}
    yield from agreements(folder, derive, owners, loans)
    yield from mandates(folder, derive, owners, loans)
    yield from payments(folder, derive, loans)
    yield from collateral_objects(folder, derive)
    yield from collaterals(folder, derive)


def counterparties(folder, derive):
    """Clients become counterparties."""
    for client in records(folder, "client"):
        number, born = str(client["client_id"]), int(client["birth_number"])
        born = day(born - 5_000 if born // 100 % 100 > 50 else born)
        external = f'[{{"system":"berka","value":"{number}"}}]'
        yield "counterparties", (derive("counterparties:" + number), "person", "C.", number, born, external)


def agreements(folder, derive, owners, loans):
    """Loans become agreements with one facility each; notes the loan on each account."""
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
                "firstRepaymentDate": month_after(start),
                "withdrawal": "single",
            }
        ]
        borrowers = [{"counterpartyReferenceId": owner, "role": "main"}]
        row = agreement, number, STATUS[loan["status"]], start, text(borrowers), text(facilities)
        yield "agreements", row


def mandates(folder, derive, owners, loans):
    """Orders that pay a loan become debit mandates."""
    for order in records(folder, "order"):
        if order["k_symbol"] == "UVER":
            account = order["account_id"]
            owner = derive(f"counterparties:{owners[account]}")
            number = derive(f"debit-mandates:{order['order_id']}")
            row = number, loans[account][0], owner, "DOMESTIC", "b2c", str(account), str(order["amount"]), "CZK"
            yield "debit_mandates", row


def payments(folder, derive, loans):
    """Transactions of a loan become repayments, additional repayments and disbursements."""
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
    """Properties become collateral objects."""
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
        yield "collateral_objects", (number, KIND[item["kind"]], text(address), text(valuations))


def collaterals(folder, derive):
    """Pledges become mortgages with one entry."""
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
                text([derive(f"agreements:{pledge['loan_id']}")]),
                text([derive(f"counterparties:{pledge['client_id']}")]),
                text([entry]),
            ),
        )
