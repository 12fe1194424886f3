"""Tables of the platform, and functions that all rivals share."""

from hashlib import sha1
from uuid import UUID

#: Tables of the platform with the columns that this bank fills.
TABLES = {
    "counterparties": ["reference_id", "type", "initials", "surname", "birth_date", "external_references"],
    "agreements": ["reference_id", "agreement_number", "status", "start_date", "borrowers", "facilities"],
    "debit_mandates": [
        "reference_id", "agreement_reference_id", "counterparty_reference_id", "scheme", "type", "debtor_account",
        "amount_amount", "amount_currency",
    ],
    "repayments": [
        "reference_id", "agreement_reference_id", "effective_date", "amount_amount", "amount_currency",
    ],
    "disbursements": [
        "reference_id", "agreement_reference_id", "facility_reference_id", "effective_date", "amount_amount",
        "amount_currency",
    ],
    "additional_repayments": [
        "reference_id", "agreement_reference_id", "status", "type", "effective_date", "amount_amount",
        "amount_currency",
    ],
    "collateral_objects": ["reference_id", "type", "address", "valuations"],
    "collaterals": [
        "reference_id", "type", "collateral_definition_code", "agreement_reference_ids",
        "counterparty_reference_ids", "registered_mortgage_entries",
    ],
}  # fmt: skip

STATUS = {"A": "closed", "B": "defaulted", "C": "active", "D": "defaulted"}
KIND = {
    "BYT": "residential-property", "DUM": "residential-property", "KANCELAR": "commercial-property",
    "POZEMEK": "other",
}  # fmt: skip

VERSION_MASK = ~((0xF000 << 64) | (0xC000 << 48))
VERSION_BITS = (0x5000 << 64) | (0x8000 << 48)


def id_deriver(namespace):
    """Returns a function that derives reference ids, several times as fast as `uuid.uuid5`."""
    prefix = sha1(UUID(namespace).bytes)

    def derive(name):
        hashed = prefix.copy()
        hashed.update(name.encode())
        number = int.from_bytes(hashed.digest()[:16], "big") & VERSION_MASK | VERSION_BITS
        digits = f"{number:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    return derive


def create(connection):
    """Creates the tables without indexes."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for table, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {table} ({', '.join(f'{column} TEXT' for column in columns)})")


def index(connection):
    """Creates unique indexes on reference ids, last because that is fastest."""
    for table in TABLES:
        connection.execute(f"CREATE UNIQUE INDEX {table}_by_reference_id ON {table} (reference_id)")
