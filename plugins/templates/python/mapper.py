"""Maps clients of the old bank to counterparties."""

from datetime import date as Date

from sluice import Mapper, Output, Record, Source, finding, text, unsigned, yymmdd


def map_record(record: Record, out: Output) -> None:
    client = record.parse()
    birth_date = day_of_birth(client["birth_number"])
    if birth_date is None:
        raise finding("INVALID_FORMAT", "birth_number")
    number = str(client["client_id"])
    out.put("counterparties", {
        "referenceId": record.reference_id("counterparties", number),
        "type": "person",
        "initials": "C.",
        "surname": number,
        "birthDate": birth_date,
        "externalReferences": [{"system": "{{name}}", "value": number}],
    })  # fmt: skip


def day_of_birth(birth_number: str) -> Date | None:
    """Returns the day in a birth number, YYMMDD. For a woman, the month is increased by 50."""
    if len(birth_number) != 6 or not (birth_number.isascii() and birth_number.isdigit()):
        return None
    number = int(birth_number)
    woman = number // 100 % 100 > 50
    return yymmdd(number - 5000 if woman else number)


mapper = Mapper(
    name="{{name}}",
    version="0.1.0",
    sources={"client": Source(key=["client_id"], reads={"client_id": unsigned, "birth_number": text})},
    produces=["counterparties"],
    map=map_record,
)
