"""Kills during an import into a platform with an API, simulated by mock-mambu. Each entity must exist once."""

import json
import random
import subprocess
import time
import urllib.request
from uuid import UUID, uuid5

from server import MIGRATIONS

from client import ConnectionLost, JobFailed, RequestRejected, Stalled, UploadBody, Workload, request_json, upload
from server_process import ServerProcess
from turn import Turn

#: Settings of mock-mambu.
PRODUCT_KEY = "8a8e867182b1bd0a0182b1c4c3b90001"
USER, PASSWORD = "migration", "mock-mambu-password"
#: Components of the migration.
COMPONENTS = ["Counterparties", "FinancingSolutions", "FinancingExecutions"]


def loan_summary(loan):
    """Returns the state of a loan without the members that differ between equal loans."""
    amounts = sorted((one["type"], str(one["amount"])) for one in loan["transactions"])
    return json.dumps([loan["accountState"], loan["balances"], amounts])


#: Summary of a loan in an undisturbed migration, by flow.
REFERENCE_LOANS = {}


class MockMambu:
    """A process of mock-mambu."""

    def __init__(self, binary):
        self.process = subprocess.Popen(
            [binary, "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self.process.stdout.readline().split("ready at ")[1].strip()

    def get(self, resource):
        """Returns a resource below `/_mock`."""
        with urllib.request.urlopen(f"{self.url}/_mock/{resource}", timeout=60) as response:
            return json.load(response)

    def stop(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def euros(amount):
    """Returns an amount in euros."""
    return {"amount": amount, "currency": "EUR"}


def records(migration, count):
    """Returns records by path: persons, each with a loan and an early repayment with a fee."""
    id_of = lambda kind, number: str(uuid5(UUID(migration), f"{kind}/{number}"))
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
    builders = {
        "counterparty-management/{}/counterparties": person, "financing-solution/{}/agreements": agreement,
        "financing-execution/{}/additional-repayments": early,
    }  # fmt: skip
    staging = f"migrations/{migration}/staging"
    return {
        "/" + path.format(staging): "".join(json.dumps(build(of)) + "\n" for of in range(count)).encode()
        for path, build in builders.items()
    }


class PlatformTurn(Turn):
    """A migration into mock-mambu with kills during the import."""

    def run(self, seed, mock_binary):
        """Runs the turn. Runs an undisturbed migration first if there is none for the flow."""
        rng = random.Random(f"{seed}:{self.part}:{self.turn}")
        kills, count = rng.randint(4, 10), rng.randint(40, 120)
        flow, calls_per_second = rng.choice(["fewest", "every-step"]), rng.choice([400, 2000])
        if flow not in REFERENCE_LOANS:
            self.migrate(mock_binary, rng, 0, 3, flow, calls_per_second)
        self.migrate(mock_binary, rng, kills, count, flow, calls_per_second)

    def migrate(self, mock_binary, rng, kills, count, flow, calls_per_second):
        """Runs one migration into a new mock-mambu."""
        self.directory = self.workspace.new_data_dir("mambu")
        (self.workspace.folder / "password").write_text(PASSWORD)
        mambu = MockMambu(mock_binary)
        config = (
            f'[platforms.mambu]\ntenants = ["default"]\nbase_url = "{mambu.url}/api"\nuser = "{USER}"\n'
            f'password_file = "{self.workspace.folder}/password"\n'
            f"calls_per_second = {calls_per_second}\nparallel_calls = 8\nretry_millis = 5\n"
            f'flow = "{flow}"\n[platforms.mambu.settings]\nproductKey = "{PRODUCT_KEY}"\n'
        )
        try:
            self.run_migration(rng, kills, count, mambu, config, flow)
        except (RequestRejected, ConnectionLost, JobFailed, Stalled) as failure:
            self.add_finding("stuck" if isinstance(failure, Stalled) else "wrong", f"into mock-mambu: {failure}")
        finally:
            mambu.stop()

    def run_migration(self, rng, kills, count, mambu, config, flow):
        """Stages records, imports them with kills, verifies counts, and checks the state of the platform."""
        workload = Workload.__new__(Workload)
        workload.on_step, workload.jobs, workload.rejections, workload.results = lambda moment: None, {}, 0, 0
        with ServerProcess(self.workspace.binary, self.directory, config=config) as server:
            body = {"target": "mambu", "components": COMPONENTS}
            workload.id = request_json(server, "POST", MIGRATIONS, body)["referenceId"]
            for path, lines in records(workload.id, count).items():
                results = []
                upload(server, path, UploadBody([lines], len(lines)), results.append)
                workload.results += len(results)
            self.report.add("records sent", 3 * count)
            self.report.add("results acknowledged", workload.results)
            workload.step = "validate"
            while workload.step == "validate":
                workload.run_job(server, "validate")
        for _ in range(kills):
            server = self.start_server(config=config)
            if server is None:
                return
            with server:
                try:
                    request_json(server, "PUT", f"{workload.path}/jobs/import")
                except RequestRejected as rejection:
                    # The import may have finished before. The final checks find other causes.
                    self.report.note(f"into mock-mambu: {rejection.code}")
                time.sleep(rng.uniform(0, 0.35))
                server.kill()
            self.report.add("kills")
            self.report.add("kills during calls")
        server = self.start_server(config=config)
        if server is None:
            return
        with server:
            workload.step = "import"
            while workload.step != "done":
                workload.run_job(server, workload.step)
        self.compare(mambu.get("state"), count, flow)
        self.report.add("migrations brought to verified counts")

    def compare(self, state, count, flow):
        """Checks that the platform has every entity once, with the expected loans."""
        for resource in ("clients", "loans"):
            if len(state[resource]) != count:
                kind = "lost" if len(state[resource]) < count else "duplicated"
                self.add_finding(kind, f"the platform has {len(state[resource])} {resource}, not {count}")
            ids = [entity["id"] for entity in state[resource]]
            if len(set(ids)) != len(ids):
                duplicates = len(ids) - len(set(ids))
                self.add_finding("duplicated", f"{duplicates} {resource} of the platform have a duplicate id")
        expected = REFERENCE_LOANS.setdefault(flow, loan_summary(state["loans"][0]))
        violations = [loan_summary(loan) for loan in state["loans"] if loan_summary(loan) != expected]
        if violations:
            kind = "duplicated" if max(map(len, violations)) > len(expected) else "lost"
            self.add_finding(
                kind,
                f"{len(violations)} of {count} loans differ from those of an undisturbed migration "
                f"[{violations[0][:300]}, not {expected[:300]}]",
            )


def run(report, workspace, datasets, seed, turns, out_of_time, only=None):
    """Runs turns."""
    mock_binary = workspace.binary.with_name("mock-mambu")
    if not mock_binary.exists():
        report.skip("mambu", f"{mock_binary.name} is not in the folder of the server: build it with `make build`")
        return
    for turn in [only] if only is not None else range(max(1, turns // 20)):
        if out_of_time():
            break
        PlatformTurn("mambu", turn, report, workspace).run(seed, mock_binary)
        report.add("turns with calls")
    workspace.remove("mambu")
