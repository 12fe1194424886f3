"""Backups: taken at random times, restored, and continued to verified counts."""

import json
import random
import shutil
import subprocess
import threading
import time

import oracle
from client import ConnectionLost, JobFailed, MissingResults, RequestRejected, Stalled, UploadStopped
from server_process import ServerProcess
from turn import Turn, new_workload


class BackupTurn(Turn):
    """A migration with a backup during it. The original and the restored server both finish it."""

    def run(self, seed, datasets):
        """Runs the turn."""
        rng = random.Random(f"{seed}:{self.part}:{self.turn}")
        workload, reference = new_workload(datasets, rng, rng.choice([40, 200, 700, 700]))
        self.directory = self.workspace.new_data_dir("backed")
        backup, restored = self.workspace.folder / "backup", self.workspace.folder / "restored"
        server = self.start_server()
        if server is None:
            return
        with server:
            moment = rng.choice(["load", "load", "load", "result", "validate", "import", "import", "counts"])
            delay, known, threads = rng.uniform(0, 0.4), {}, []
            started = threading.Event()

            def on_step(step):
                """Starts the backup at the chosen moment."""
                if step == moment and not started.is_set():
                    started.set()
                    thread = threading.Thread(target=take_backup, daemon=True)
                    threads.append(thread)
                    thread.start()

            def take_backup():
                time.sleep(delay)
                known["acknowledged"] = dict(workload.acknowledged)
                known["derived"] = {table: list(records) for table, records in workload.derived.items()}
                known["succeeded"] = self.backup(backup)

            workload.on_step = on_step
            try:
                workload.run(server)
            except (Stalled, MissingResults, RequestRejected, UploadStopped, JobFailed, ConnectionLost) as failure:
                self.add_finding("wrong", f"during a backup: {workload.step}: {failure}")
                return
            for thread in threads:
                thread.join()
            self.compare("during a backup", server, workload, reference)
        if not known.get("succeeded"):
            return
        self.report.add("backups")
        if self.restore(backup, restored):
            self.continue_from_backup(restored, workload, reference, known, moment)

    def backup(self, backup):
        """Takes a backup. Returns true on success."""
        shutil.rmtree(backup, ignore_errors=True)
        return self.command("backup", str(backup), "--data-dir", str(self.directory))

    def restore(self, backup, restored):
        """Restores a backup with the current keys. Returns true on success."""
        shutil.rmtree(restored, ignore_errors=True)
        restored.mkdir()
        shutil.copytree(self.directory / "keys", restored / "keys")
        shutil.copy(self.directory / "master.key", restored)
        if not self.command("restore", str(backup), "--data-dir", str(restored)):
            return False
        shutil.copy(self.directory / "admin-client", restored)
        shutil.copytree(self.workspace.compiled, restored / "plugin-cache")
        return True

    def command(self, *arguments):
        """Runs a command that must succeed. Returns true on success."""
        result = subprocess.run([self.workspace.binary, *arguments, "--json"], capture_output=True, text=True)
        if result.returncode:
            self.add_finding(
                "wrong", f"sluice {arguments[0]} ended with {result.returncode} [{result.stderr.strip()[-300:]}]"
            )
            return False
        damaged = [
            migration for migration in json.loads(result.stdout)["migrations"] if migration["state"] == "damaged"
        ]
        if damaged:
            self.add_finding("wrong", f"sluice {arguments[0]} reports damage [{damaged[0]}]")
        return not damaged

    def continue_from_backup(self, restored, workload, reference, known, moment):
        """Starts a server on the restored data directory, checks durability, and finishes the migration."""
        when = f"restored from a backup at {moment}"
        # The client keeps only the acknowledgements from before the backup.
        workload.acknowledged, workload.derived = known["acknowledged"], known["derived"]
        workload.jobs, workload.step = {}, "load"
        workload.on_step = lambda step: None
        with ServerProcess(self.workspace.binary, restored) as server:
            self.check_durable(server, workload, when)
            self.finish(server, workload, reference, when)
            duplicates = oracle.repeated_rows(server.target)
            if duplicates:
                self.add_finding("duplicated", f"{when}: {duplicates} rows have a reference id that another row has")

    def compare(self, when, server, workload, reference):
        """Reconciles the migration with an undisturbed one."""
        for kind, message in oracle.reconcile(oracle.Observation.read(server, workload), workload, reference):
            self.add_finding(kind, f"{when}: {message}")


def run(report, workspace, datasets, seed, turns, out_of_time, only=None):
    """Runs turns."""
    for turn in [only] if only is not None else range(max(1, turns // 2)):
        if out_of_time():
            break
        BackupTurn("backups", turn, report, workspace).run(seed, datasets)
        for name in ("backup", "restored"):
            workspace.remove(name)
