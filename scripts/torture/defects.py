"""Deliberate defects: servers with one defect each. The torture is valid only if it finds every defect."""

import contextlib

import damage
import kills
import powercuts
from report import Report
from server_process import Workspace
from syscalls import CATALOGUE, JOURNAL, TARGET, SyscallFault, unavailable_reason

#: Turns or kills after which a defect counts as not found. The first few usually find it.
MAX_TURNS = 200

#: Environment variable that selects a defect. Only a binary with defects contains its name.
DEFECT_VARIABLE = "SLUICE_DEFECT"


def skip_fsync(files):
    """Returns a defect for a running server: each fsync of these files is skipped and reported as successful."""

    @contextlib.contextmanager
    def defect(server, workloads):
        for workload in workloads:
            if workload.id is None:
                workload.register(server)
        paths = [server.data_dir / file.format(id=workload.id) for file in files for workload in workloads]
        out = server.data_dir.with_suffix(".strace")
        fault = SyscallFault(server.pid, "fsync,fdatasync", "retval=0", "1+", paths, out)
        try:
            yield
        finally:
            fault.remove()
            out.unlink(missing_ok=True)

    return defect


#: Description of each defect, its injection (a function for a running server, or a value of the environment variable),
#: and the part that must find it.
DEFECTS = [
    ("each fsync of the journal is skipped", skip_fsync(JOURNAL), powercuts),
    ("each fsync of the target is skipped", skip_fsync(TARGET), powercuts),
    ("each fsync of the catalogue is skipped", skip_fsync(CATALOGUE), powercuts),
    ("an import's position is one record too far", "position-ahead", kills),
    ("an incomplete block at the end of the journal is not truncated", "torn-tail", damage),
]


def with_defect(workspace, binary, name):
    """Returns a workspace whose servers have this defect."""
    defective = Workspace(workspace.binary, workspace.folder / name)
    defective.folder.mkdir()
    defective.binary, defective.compiled = defective.folder / "server", workspace.compiled
    defective.binary.write_text(f'#!/bin/sh\n{DEFECT_VARIABLE}={name} exec "{binary.resolve()}" "$@"\n')
    defective.binary.chmod(0o755)
    return defective


def silent_report(report):
    """Returns a separate report that prints nothing."""
    inner = Report(report.command, report.folder / "defects")
    inner.log = lambda message: None
    return inner


def run(report, workspace, datasets, seed, binary):
    """Runs each defect until it is found or the maximum of turns is reached. Returns true if all were found.

    The turn that finds a defect must find nothing on a server without it.
    """
    if DEFECT_VARIABLE.encode() in workspace.binary.read_bytes():
        report.add_finding("unclear", "defects", 0, f"{workspace.binary} must not contain {DEFECT_VARIABLE}")
    for description, defect, part in DEFECTS:
        if callable(defect) and unavailable_reason():
            report.skip(description, unavailable_reason())
            continue
        inner, control = silent_report(report), silent_report(report)
        is_finished = lambda: bool(inner.findings or inner.skipped)
        if callable(defect):
            part.run(inner, workspace, datasets, seed, MAX_TURNS, is_finished, defect=defect)
        else:
            part.run(inner, with_defect(workspace, binary, defect), datasets, seed, MAX_TURNS, is_finished)
        name = part.__name__
        if inner.findings:
            kind, _, turn, finding, _ = inner.findings[0]
            report.log(f"{description}: found by {name} after {turn + 1} turns: {kind}: {finding.partition(' [')[0]}")
            report.add("deliberate defects that were found")
            part.run(control, workspace, datasets, seed, 1, lambda: bool(control.findings), turn)
            for kind, _, turn, finding, _ in control.findings:
                report.add_finding(
                    kind, name, turn, f"{description}: a server without the defect has a finding too: {finding}"
                )
        elif inner.skipped:
            for subject, reason in inner.skipped.items():
                report.skip(f"{description}: {subject}", reason)
        else:
            report.add_finding("unclear", name, 0, f"{description}: not detected")
    return report.passed()
