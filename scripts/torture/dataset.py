"""Datasets: the tables of a synthetic bank in memory, and stable names for the records derived from them."""

import json
import re
from uuid import UUID, uuid5

import bank

#: Groups of tables that may be uploaded concurrently. A later group looks up records of the earlier ones.
UPLOAD_PHASES = [["district", "client", "account", "disp"], ["loan", "property", "card"], ["order", "trans", "pledge"]]

UUID_TEXT = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

#: Key of each table and the entity types whose reference ids are derived from it.
DERIVED_IDS = {
    "client": ("client_id", ["counterparties"]),
    "loan": ("loan_id", ["agreements", "facilities"]),
    "order": ("order_id", ["debit-mandates"]),
    "trans": ("trans_id", ["repayments", "additional-repayments", "disbursements"]),
    "property": ("property_id", ["collateral-objects"]),
    "pledge": ("pledge_id", ["collaterals"]),
}


class Dataset:
    """The records of a bank: lines by table."""

    def __init__(self, customers, seed):
        self.customers, self.seed = customers, seed
        tables = bank.tables_of(seed, range(1, customers + 1))
        tables["district"] = "".join(bank.district(seed, key) for key in range(1, bank.DISTRICTS + 1))
        self.lines = {table: text.encode().splitlines() for table, text in tables.items()}
        self.records = sum(map(len, self.lines.values()))
        self._keys = []
        for table, (key, entity_types) in DERIVED_IDS.items():
            for line in self.lines[table]:
                # The mapper skips transactions and orders that belong to no loan.
                if table in ("trans", "order") and b'"k_symbol":"UVER' not in line:
                    continue
                value = json.loads(line)[key]
                self._keys += [f"{entity_type}:{value}" for entity_type in entity_types]

    def tables(self):
        """Returns the names of the tables that are not empty."""
        return [table for table in bank.TABLES if self.lines[table]]

    def names(self, migration):
        """Returns a map from the reference ids of a migration to names that are the same in every migration."""
        namespace, names = UUID(migration), {migration.encode(): b"migration"}
        for name in self._keys:
            derived = str(uuid5(namespace, name))
            names[derived.encode()] = name.encode()
            if name.startswith("facilities:"):
                generated = uuid5(namespace, f"payment-administrations:{derived}")
                names[str(generated).encode()] = f"payment-administrations:{name}".encode()
        return names


def normalize_ids(text, names):
    """Returns a record or row with names in place of reference ids."""
    return UUID_TEXT.sub(lambda match: names.get(match[0], match[0]), text)
