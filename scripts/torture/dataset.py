"""What a migration is made of: a synthetic bank's tables in memory, and the names of all that is made of them."""

import json
import re
from uuid import UUID, uuid5

import bank

#: Tables that may be loaded at the same time, and then those that look up what is in them.
WAVES = [["district", "client", "account", "disp"], ["loan", "property", "card"], ["order", "trans", "pledge"]]

UUID_TEXT = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

#: By table: its key, and the entity types whose reference ids are derived from it.
DERIVED = {
    "client": ("client_id", ["counterparties"]),
    "loan": ("loan_id", ["agreements", "facilities"]),
    "order": ("order_id", ["debit-mandates"]),
    "trans": ("trans_id", ["repayments", "additional-repayments", "disbursements"]),
    "property": ("property_id", ["collateral-objects"]),
    "pledge": ("pledge_id", ["collaterals"]),
}


class Books:
    """A bank's records: by table, a line each."""

    def __init__(self, customers, seed):
        self.customers, self.seed = customers, seed
        made = bank.tables_of(seed, range(1, customers + 1))
        made["district"] = "".join(bank.district(seed, key) for key in range(1, bank.DISTRICTS + 1))
        self.lines = {table: text.encode().splitlines() for table, text in made.items()}
        self.records = sum(map(len, self.lines.values()))
        self._keys = []
        for table, (key, entity_types) in DERIVED.items():
            for line in self.lines[table]:
                # Only transactions and orders of a loan become anything.
                if table in ("trans", "order") and b'"k_symbol":"UVER' not in line:
                    continue
                value = json.loads(line)[key]
                self._keys += [f"{entity_type}:{value}" for entity_type in entity_types]

    def tables(self):
        """Names of the tables that have any records."""
        return [table for table in bank.TABLES if self.lines[table]]

    def names(self, migration):
        """From each reference id of a migration of these books to its name, which is the same in every migration."""
        namespace, names = UUID(migration), {migration.encode(): b"migration"}
        for name in self._keys:
            derived = str(uuid5(namespace, name))
            names[derived.encode()] = name.encode()
            if name.startswith("facilities:"):
                generated = uuid5(namespace, f"payment-administrations:{derived}")
                names[str(generated).encode()] = f"payment-administrations:{name}".encode()
        return names


def named(text, names):
    """A record or row in which reference ids are replaced by their names."""
    return UUID_TEXT.sub(lambda found: names.get(found[0], found[0]), text)
