"""Damage to files: the server reports it, serves undamaged migrations, and returns no wrong data."""

import os
import random
import shutil
import sqlite3

from server import UnexpectedResult

import host_faults
import oracle
from client import ConnectionLost, JobFailed, MissingResults, RequestRejected, Stalled, UploadStopped
from host_faults import clock_environment, faketime_library
from kills import list_migrations
from server_process import ServerProcess
from turn import Turn, new_workload, run_until

#: Kinds of damage, one a turn.
DAMAGES = [
    "journal, flipped", "journal, cut", "journal, zeros at the end", "journal, gone", "index, flipped",
    "catalogue.db, flipped",
    "catalogue.db-wal, flipped", "platform.db, flipped", "platform.db-wal, flipped", "key, flipped", "key, gone",
    "master.key, flipped", "plugins, flipped", "plugin-cache, flipped", "read-only", "no permission", "clock set back",
    "clock set forward", "directory, older", "clock that jumps", "disk that turns read-only",
]  # fmt: skip

#: Kinds of damage that must have no effect.
HARMLESS = {"journal, zeros at the end", "clock set back", "clock set forward"}

#: Faults during the run of a server.
RUNTIME_FAULTS = {
    "clock that jumps": host_faults.ClockJumpTurn,
    "disk that turns read-only": host_faults.ReadOnlyDiskTurn,
}

#: Offsets of the clock at the start of a server.
CLOCK_OFFSETS = {"clock set back": "-40d", "clock set forward": "+40d"}

#: Words of which the log contains at least one after a server has detected damage.
DAMAGE_WORDS = ["damage", "torn", "dropped", "cut off", "missing", "corrupt", "malformed"]


def summarize(violations):
    """Returns the number of violations and the first one."""
    return f"{len(violations)} differences, the first: {violations[0][0]}: {violations[0][1]}"


class DamageTurn(Turn):
    """Two migrations. A file of the first one, or a file of both, is damaged."""

    def run(self, seed, datasets):
        """Runs the turn: two migrations, damage, restart, checks."""
        rng = random.Random(f"{seed}:{self.part}:{self.turn}")
        damage = DAMAGES[self.turn % len(DAMAGES)]
        if damage in CLOCK_OFFSETS and not faketime_library():
            self.report.skip(damage, "libfaketime is not installed")
            return
        if damage in ("read-only", "no permission") and os.getuid() == 0 and not shutil.which("setpriv"):
            self.report.skip(damage, "root may write everywhere, and setpriv is not installed")
            return
        self.directory = self.workspace.new_data_dir("afflicted")
        large = damage == "index, flipped"
        workload, reference = new_workload(datasets, rng, 6_500 if large else 200)
        other, other_reference = new_workload(datasets, rng, 40)
        stop_at = "validate" if large else rng.choice(["load", "validate", "import", "counts", "done"])
        # The file contains rows only after an import and a regular stop, which empties the write-ahead log.
        needs_import = damage == "platform.db, flipped"
        if needs_import:
            stop_at = rng.choice(["counts", "done"])
        if damage == "directory, older":
            self.copy_early_state(workload)
        with ServerProcess(self.workspace.binary, self.directory) as server:
            if stop_at == "load":
                self.upload(workload, server, ["district", "client", "account", "disp"])
            else:
                run_until(workload, server, stop_at)
            run_until(other, server, rng.choice(["validate", "done"]))
            if rng.random() < 0.5 and not needs_import:
                server.kill()
        context = f"{damage}, after {stop_at}"
        server_options, undo = {}, None
        if damage == "read-only":
            server_options, undo = self.remove_permissions(0o500)
        elif damage == "no permission":
            server_options, undo = self.remove_permissions(0o000)
        elif damage in CLOCK_OFFSETS:
            server_options = {"environment": {**clock_environment(), "FAKETIME": CLOCK_OFFSETS[damage]}}
        else:
            if not self.damage_file(damage, workload, rng):
                self.report.note(f"no file to damage: {damage}")
                return
        self.report.add("damages")
        try:
            server = ServerProcess(self.workspace.binary, self.directory, **server_options)
        except UnexpectedResult as failure:
            log = str(failure)
            self.report.add("damages that prevent the start with a message")
            self.report.note(f"{damage}: the server does not start: {log[-150:].strip()!r}")
            if "panicked" in log.lower() or "mistake in the server" in log or "ended with -" in log:
                self.add_finding("no start", f"{context}: the server does not start and reports no reason [{log}]")
            if damage.startswith(("journal", "index", "key", "plugin-cache")):
                self.add_finding(
                    "no start", f"{context}: damage to one migration prevents the start for all others [{log}]"
                )
        else:
            with server:
                self.check_after_start(server, workload, reference, other, other_reference, damage, context)
        if undo:
            undo()
            self.recover(workload, reference, f"{context}, repaired")
        elif damage in HARMLESS:
            self.recover(workload, reference, f"{context}, restarted")

    def upload(self, workload, server, tables):
        """Registers a migration unless it is registered, and uploads tables."""
        if workload.id is None:
            workload.register(server)
        for table in tables:
            workload.upload(server, table)

    def copy_early_state(self, workload):
        """Starts a migration and copies its directory, as a backup of files would."""
        with ServerProcess(self.workspace.binary, self.directory) as server:
            self.upload(workload, server, ["district", "client"])
        home = self.directory / "migrations" / workload.id
        shutil.copytree(home, self.directory / "older")

    def remove_permissions(self, mode):
        """Sets the permissions of the data directory.

        Returns options for a server process without the rights of root, and a function that restores the permissions.
        """
        os.chmod(self.directory, mode)
        prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
        return {"prefix": prefix}, lambda: os.chmod(self.directory, 0o700)

    def damage_file(self, damage, workload, rng):
        """Damages a file. Returns false if there is no such file."""
        home = self.directory / "migrations" / workload.id
        target, _, kind = damage.partition(", ")
        if kind == "older":
            shutil.rmtree(home)
            (self.directory / "older").rename(home)
            return True
        files = {
            "journal": lambda: sorted((home / "journal").glob("*.seg")),
            "index": lambda: sorted((home / "index").glob("*.run")),
            "key": lambda: [self.directory / "keys" / f"migration-{workload.id}.key"],
            "plugins": lambda: sorted((self.directory / "plugins").glob("*.wasm")),
            "plugin-cache": lambda: sorted(
                path for path in (self.directory / "plugin-cache").glob("*") if path.is_file()
            ),
        }.get(target, lambda: [self.directory / target])()
        files = [file for file in files if file.exists() and file.stat().st_size]
        if not files:
            return False
        file = rng.choice(files)
        data = bytearray(file.read_bytes())
        if kind == "gone":
            file.unlink()
            return True
        if kind == "cut":
            del data[rng.randrange(len(data)) :]
        elif kind == "zeros at the end":
            data += bytes(rng.choice([1, 40, 4096]))
        else:
            for _ in range(rng.choice([1, 1, 8])):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(data)
        return True

    def check_after_start(self, server, workload, reference, other, other_reference, damage, context):
        """Checks that the server finishes the damaged migration or reports the damage, and finishes the other one."""
        shared = damage.startswith(("catalogue", "platform", "plugins", "master"))
        violations, reported = self.run_and_compare(server, workload, reference)
        self.report.add(
            "damages that were reported"
            if reported
            else "damages without effect"
            if not violations
            else "damages not reported"
        )
        if reported:
            self.report.note(f"{damage}: {reported}")
        if reported and damage in HARMLESS:
            self.add_finding("wrong", f"{context}: harmless damage stops the migration [{reported}]")
        if violations and any(word in server.log_text().lower() for word in DAMAGE_WORDS):
            self.report.note(f"{damage}: reported only in the log")
        elif violations:
            self.add_finding("false success", f"{damage}: not reported [{context}: {summarize(violations)}]")
        violations, reported = self.run_and_compare(server, other, other_reference)
        if not shared and (violations or reported):
            self.add_finding("wrong", f"{context}: another migration does not finish [{violations} {reported}]")
        if shared and violations:
            self.add_finding(
                "false success", f"{damage}: not reported [{context}, another migration: {summarize(violations)}]"
            )

    def run_and_compare(self, server, workload, reference):
        """Finishes a migration. Returns unreported violations, and the error that the server reported or none."""
        try:
            known = {migration["referenceId"] for migration in list_migrations(server)}
            if workload.id not in known:
                return [("lost", "a migration does not exist any more")], None
            sources, records = oracle.staged_sources(server, workload), oracle.staged_records(server, workload)
            violations = oracle.check_sources(sources, workload) + oracle.check_derived(records, workload)
            if violations:
                return violations, None
            if workload.is_done():
                # A finished migration repeats its counts.
                workload.step = "counts"
            workload.run(server)
            return oracle.reconcile(oracle.Observation.read(server, workload), workload, reference), None
        except MissingResults as error:
            return [("false success", str(error))], None
        except Stalled as error:
            return [("stuck", str(error))], None
        except ConnectionLost:
            return [], "the connection is lost"
        except (RequestRejected, UploadStopped, JobFailed) as error:
            return [], f"{type(error).__name__}, {error.code}"
        except sqlite3.DatabaseError as error:
            return [], f"other programs cannot read the target's file either: {error}"


def run(report, workspace, datasets, seed, turns, out_of_time, only=None):
    """Runs turns."""
    for turn in [only] if only is not None else range(turns):
        if out_of_time():
            break
        damage = DAMAGES[turn % len(DAMAGES)]
        RUNTIME_FAULTS.get(damage, DamageTurn)("damage", turn, report, workspace).run(seed, datasets)
        report.add("turns of damage")
    workspace.remove("afflicted")
