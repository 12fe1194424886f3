"""A platform that is entered call by call, played by a stand-in: each thing is there once."""

import json
import random
import subprocess
import time
import urllib.request
from uuid import UUID, uuid5

from server import MIGRATIONS

from client import Cut, Failure, Journey, Refused, Sending, Stuck, ask_json, upload
from server_process import Life
from turn import Turn

PRODUCT_KEY = "8a8e867182b1bd0a0182b1c4c3b90001"
USER, PASSWORD = "migration", "mock-mambu-password"
COMPONENTS = ["Counterparties", "FinancingSolutions", "FinancingExecutions"]


def brief(loan):
    """What a loan has come to there, without what differs from one to the next."""
    amounts = sorted((one["type"], str(one["amount"])) for one in loan["transactions"])
    return json.dumps([loan["accountState"], loan["balances"], amounts])


#: What a loan comes to in an undisturbed migration, by flow.
UNDISTURBED = {}


class StandIn:
    """The stand-in as a process of its own."""

    def __init__(self, binary):
        self.process = subprocess.Popen(
            [binary, "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().split("ready at ")[1].strip()

    def ask(self, what):
        """What it has counted, or what it has."""
        with urllib.request.urlopen(f"{self.url}/_mock/{what}", timeout=60) as answer:
            return json.load(answer)

    def stop(self):
        """Ends it."""
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def euros(amount):
    """An amount."""
    return {"amount": amount, "currency": "EUR"}


def records(migration, count):
    """Persons with a loan each, paid out, charged and repaid once: by path."""
    id_of = lambda what, number: str(uuid5(UUID(migration), f"{what}/{number}"))
    person = lambda of: {"referenceId": id_of("client", of), "type": "person", "initials": "J.", "surname": "Novák"}
    agreement = lambda of: {
        "referenceId": id_of("agreement", of), "agreementNumber": str(of), "status": "active",
        "startDate": "2020-01-31",
        "borrowers": [{"counterpartyReferenceId": id_of("client", of), "role": "main"}],
        "facilities": [{
            "referenceId": id_of("loan", of), "amount": euros(1000.0), "termInMonths": 7, "repaymentMethod": "linear",
        }],
    }  # fmt: skip
    early = lambda of: {
        "referenceId": id_of("early", of), "agreementReferenceId": id_of("agreement", of), "status": "Final",
        "type": "early-repayment", "effectiveDate": "2020-03-15", "amount": euros(50.05),
        "administrationFee": euros(12.34),
    }  # fmt: skip
    made = {
        "counterparty-management/{}/counterparties": person, "financing-solution/{}/agreements": agreement,
        "financing-execution/{}/additional-repayments": early,
    }  # fmt: skip
    where = f"migrations/{migration}/staging"
    return {
        "/" + path.format(where): "".join(json.dumps(make(of)) + "\n" for of in range(count)).encode()
        for path, make in made.items()
    }


class Called(Turn):
    """One migration into the stand-in, and the kills on its way."""

    def run(self, seed, stand_in):
        """Goes through it."""
        chance = random.Random(f"{seed}:{self.part}:{self.turn}")
        kills, count = chance.randint(4, 10), chance.randint(40, 120)
        flow, pace = chance.choice(["fewest", "every-step"]), chance.choice([400, 2000])
        if flow not in UNDISTURBED:
            self.into(stand_in, chance, 0, 3, flow, pace)
        self.into(stand_in, chance, kills, count, flow, pace)

    def into(self, stand_in, chance, kills, count, flow, pace):
        """One migration into a stand-in of its own."""
        self.directory = self.place.fresh("mambu")
        (self.place.folder / "password").write_text(PASSWORD)
        mambu = StandIn(stand_in)
        config = (
            f'[platforms.mambu]\nbase_url = "{mambu.url}/api"\nuser = "{USER}"\n'
            f'password_file = "{self.place.folder}/password"\n'
            f"calls_per_second = {pace}\nparallel_calls = 8\nretry_millis = 5\n"
            f'flow = "{flow}"\n[platforms.mambu.settings]\nproductKey = "{PRODUCT_KEY}"\n'
        )
        try:
            self.way(chance, kills, count, mambu, config, flow)
        except (Refused, Cut, Failure, Stuck) as failure:
            self.found("stuck" if isinstance(failure, Stuck) else "wrong", f"into the stand-in: {failure}")
        finally:
            mambu.stop()

    def way(self, chance, kills, count, mambu, config, flow):
        """Stages, imports with kills, goes on to counts, and looks at what the platform has."""
        journey = Journey.__new__(Journey)
        journey.hit, journey.jobs, journey.refusals, journey.results = lambda moment: None, {}, 0, 0
        with Life(self.place.binary, self.directory, config=config) as life:
            body = {"target": "mambu", "components": COMPONENTS}
            journey.id = ask_json(life, "POST", MIGRATIONS, body)["referenceId"]
            for path, lines in records(journey.id, count).items():
                heard = []
                upload(life, path, Sending([lines], len(lines)), heard.append)
                journey.results += len(heard)
            self.account.add("records sent", 3 * count)
            self.account.add("results acknowledged", journey.results)
            journey.step = "validate"
            while journey.step == "validate":
                journey.job(life, "validate")
        for _ in range(kills):
            life = self.start(config=config)
            if life is None:
                return
            with life:
                try:
                    ask_json(life, "PUT", f"{journey.path}/jobs/import")
                except Refused as refused:
                    # It may have come to its end before; anything else is told at the end.
                    self.account.note(f"into the stand-in: {refused.code}")
                time.sleep(chance.uniform(0, 0.35))
                life.kill()
            self.account.add("kills")
            self.account.add("kills while calls are made")
        life = self.start(config=config)
        if life is None:
            return
        with life:
            journey.step = "import"
            while journey.step != "done":
                journey.job(life, journey.step)
        self.compare(mambu.ask("state"), count, flow)
        self.account.add("migrations brought to verified counts")

    def compare(self, state, count, flow):
        """What the platform has: everything, each once."""
        for what in ("clients", "loans"):
            if len(state[what]) != count:
                kind = "lost" if len(state[what]) < count else "duplicated"
                self.found(kind, f"the platform has {len(state[what])} {what}, and should have {count}")
            ids = [thing["id"] for thing in state[what]]
            if len(set(ids)) != len(ids):
                self.found("duplicated", f"of the platform's {what} {len(ids) - len(set(ids))} have the id of another")
        right = UNDISTURBED.setdefault(flow, brief(state["loans"][0]))
        wrong = [brief(loan) for loan in state["loans"] if brief(loan) != right]
        if wrong:
            kind = "duplicated" if max(map(len, wrong)) > len(right) else "lost"
            self.found(
                kind,
                f"{len(wrong)} of {count} loans are not as in an undisturbed migration "
                f"[{wrong[0][:300]}, and not {right[:300]}]",
            )


def run(account, place, banks, seed, turns, out_of_time, only=None):
    """Some turns."""
    stand_in = place.binary.with_name("mock-mambu")
    if not stand_in.exists():
        account.skip("mambu", f"{stand_in.name} is not beside the server: `make build` makes it")
        return
    for turn in [only] if only is not None else range(max(1, turns // 20)):
        if out_of_time():
            break
        Called("mambu", turn, account, place).run(seed, stand_in)
        account.add("turns with calls")
    place.remove("mambu")
