"""Self-check: tampers with correct observations. The oracle must detect each change."""

import copy
import json
import random

import oracle
from client import Workload
from kills import check_jobs
from server_process import ServerProcess


def drop_source(observed, workload):
    """Drops a staged source record."""
    observed.sources["client"].pop()


def repeat_source(observed, workload):
    """Duplicates a staged source record."""
    observed.sources["client"].append(observed.sources["client"][0])


def drop_record(observed, workload):
    """Drops a staged domain record."""
    observed.records["repayments"].pop()


def change_record(observed, workload):
    """Changes a staged domain record."""
    observed.records["counterparties"][0] = observed.records["counterparties"][0].replace(b'"C."', b'"D."')


def drop_row(observed, workload):
    """Drops a row of the target."""
    observed.rows["agreements"].pop()


def repeat_row(observed, workload):
    """Duplicates a row of the target."""
    observed.rows["agreements"].append(observed.rows["agreements"][0])


def change_row(observed, workload):
    """Changes a value of a row of the target."""
    observed.rows["disbursements"][0]["amount_amount"] = "1"


def drop_generated(observed, workload):
    """Drops a generated record on both sides."""
    observed.records["payment-administrations"].pop()
    observed.rows["payment-administrations"].pop()


def unequal_counts(observed, workload):
    """Changes the result of a successful counts job so that its sides differ."""
    observed.counts[0]["importedRows"][0][1] = "0"


def no_counts(observed, workload):
    """Removes the successful counts job of a finished migration."""
    observed.counts = None


#: Tampering functions, each with the kinds of violations of which one must be detected.
TAMPERINGS = [
    (drop_source, {"lost"}), (repeat_source, {"duplicated"}), (drop_record, {"lost"}),
    (change_record, {"lost", "wrong"}),
    (drop_row, {"lost"}), (repeat_row, {"duplicated"}), (change_row, {"lost", "wrong"}), (drop_generated, {"lost"}),
    (unequal_counts, {"false success"}), (no_counts, {"false success"}),
]  # fmt: skip


def run(report, workspace, datasets, seed):
    """Runs one migration and tampers with its observation. Returns true if all changes are detected."""
    dataset, reference = datasets.get(200)
    undetected = []
    with ServerProcess(workspace.binary, workspace.new_data_dir("selfcheck")) as server:
        workload = Workload(dataset, random.Random(seed))
        workload.run(server)
        correct = oracle.Observation.read(server, workload)
        if oracle.reconcile(correct, workload, reference):
            undetected.append("the correct observation has violations")
        for tamper, kinds in TAMPERINGS:
            observed = copy.deepcopy(correct)
            tamper(observed, workload)
            found = oracle.reconcile(observed, workload, reference)
            detected = kinds & {kind for kind, _ in found}
            report.log(
                f"{tamper.__doc__} {'detected as ' + ', '.join(sorted(detected)) if detected else 'NOT DETECTED'}"
            )
            if not detected:
                undetected.append(tamper.__doc__)
        undetected += check_acknowledgements(server, workload, correct, report)
    workspace.remove("selfcheck")
    for message in undetected:
        report.add_finding("unclear", "self-check", 0, f"not detected: {message}")
    report.add("tamperings", len(TAMPERINGS) + 3)
    return not undetected


def check_acknowledgements(server, workload, correct, report):
    """Tampers with the acknowledgements of records and jobs. Returns the undetected changes."""
    undetected = []
    sources = {table: list(lines) for table, lines in correct.sources.items()}
    sources["trans"].pop(3)
    derived = {
        name: [record for record in of if json.loads(record)["referenceId"] != workload.derived["loan"][0][1]]
        for name, of in correct.records.items()
    }
    claimed = copy.copy(workload)
    claimed.jobs = {**workload.jobs, "00000000-0000-7000-8000-000000000000": ("import", "succeeded")}
    for message, detected in [
        ("Drops an acknowledged record.", oracle.check_sources(sources, workload)),
        ("Drops a record that a result line names.", oracle.check_derived(derived, workload)),
        ("Adds a successful job that does not exist.", check_jobs(server, claimed)),
    ]:
        report.log(f"{message} {'detected as ' + detected[0][0] if detected else 'NOT DETECTED'}")
        if not detected:
            undetected.append(message)
    return undetected
