"""Whether the torture would notice: what was read is tampered with, and each comparison has to say so."""

import copy
import json
import random

import oracle
from client import Journey
from kills import jobs_at_rest
from server_process import Life


def drop_source(seen, journey):
    """A staged source record less."""
    seen.sources["client"].pop()


def repeat_source(seen, journey):
    """A staged source record twice."""
    seen.sources["client"].append(seen.sources["client"][0])


def drop_record(seen, journey):
    """A staged domain record less."""
    seen.records["repayments"].pop()


def change_record(seen, journey):
    """A staged domain record that says something else."""
    seen.records["counterparties"][0] = seen.records["counterparties"][0].replace(b'"C."', b'"D."')


def drop_row(seen, journey):
    """A row of the target less."""
    seen.rows["agreements"].pop()


def repeat_row(seen, journey):
    """A row of the target twice."""
    seen.rows["agreements"].append(seen.rows["agreements"][0])


def change_row(seen, journey):
    """A row of the target with another value."""
    seen.rows["disbursements"][0]["amount_amount"] = "1"


def drop_generated(seen, journey):
    """A generated record less, on both sides."""
    seen.records["payment-administrations"].pop()
    seen.rows["payment-administrations"].pop()


def unequal_counts(seen, journey):
    """A counts job that succeeded, and whose sides differ."""
    seen.counts[0]["importedRows"][0][1] = "0"


def no_counts(seen, journey):
    """A migration that is done, without any counts job that succeeded."""
    seen.counts = None


#: What is tampered with, and the kinds of findings of which one has to come of it.
TAMPERINGS = [
    (drop_source, {"lost"}), (repeat_source, {"duplicated"}), (drop_record, {"lost"}),
    (change_record, {"lost", "wrong"}),
    (drop_row, {"lost"}), (repeat_row, {"duplicated"}), (change_row, {"lost", "wrong"}), (drop_generated, {"lost"}),
    (unequal_counts, {"false success"}), (no_counts, {"false success"}),
]  # fmt: skip


def run(account, place, banks, seed):
    """One migration that comes out right, and then each tampering; whether all were noticed."""
    books, reference = banks.get(200)
    blind = []
    with Life(place.binary, place.fresh("selfcheck")) as life:
        journey = Journey(books, random.Random(seed))
        journey.go(life)
        right = oracle.Seen.read(life, journey)
        if oracle.whole(right, journey, reference):
            blind.append("what is right is said to be wrong")
        for tamper, kinds in TAMPERINGS:
            seen = copy.deepcopy(right)
            tamper(seen, journey)
            found = oracle.whole(seen, journey, reference)
            noticed = kinds & {kind for kind, _ in found}
            account.say(f"{tamper.__doc__} {'noticed as ' + ', '.join(sorted(noticed)) if noticed else 'NOT NOTICED'}")
            if not noticed:
                blind.append(tamper.__doc__)
        blind += of_answers(life, journey, right, account)
    place.remove("selfcheck")
    for words in blind:
        account.found("unclear", "self-check", 0, f"not noticed: {words}")
    account.add("tamperings", len(TAMPERINGS) + 3)
    return not blind


def of_answers(life, journey, right, account):
    """What was answered and is not so: an acknowledged record, a made record, a job."""
    blind = []
    sources = {table: list(lines) for table, lines in right.sources.items()}
    sources["trans"].pop(3)
    made = {
        name: [record for record in of if json.loads(record)["referenceId"] != journey.made["loan"][0][1]]
        for name, of in right.records.items()
    }
    claimed = copy.copy(journey)
    claimed.jobs = {**journey.jobs, "00000000-0000-7000-8000-000000000000": ("import", "succeeded")}
    for words, noticed in [
        ("An acknowledged record that is not staged.", oracle.durable(sources, journey)),
        ("A record that a result line named and that is not staged.", oracle.made_there(made, journey)),
        ("A job that is claimed to have succeeded and is not there.", jobs_at_rest(life, claimed)),
    ]:
        account.say(f"{words} {'noticed as ' + noticed[0][0] if noticed else 'NOT NOTICED'}")
        if not noticed:
            blind.append(words)
    return blind
