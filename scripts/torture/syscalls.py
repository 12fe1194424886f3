"""Failing system calls: the server reports the failure, acknowledges nothing, and continues after the fault."""

import hashlib
import random
import re
import shutil
import signal
import subprocess
import time

from client import ConnectionLost, RequestRejected, Workload, request_bytes, request_json
from resumable_upload import ResumableWorkload
from server_process import ServerProcess
from turn import Turn, new_workload, run_until

#: Files of the journal, the catalogue and the target, relative to the data directory.
JOURNAL = ["migrations/{id}/journal/00000000.seg"]
CATALOGUE = ["catalogue.db", "catalogue.db-wal"]
TARGET = ["platform.db", "platform.db-wal"]
#: Fault classes: system calls, error, and the affected files or none for all files.
FAULT_CLASSES = {
    "fsync EIO, journal": ("fsync,fdatasync", "EIO", JOURNAL),
    "fsync EIO, catalogue": ("fsync,fdatasync", "EIO", CATALOGUE),
    "fsync EIO, target": ("fsync,fdatasync", "EIO", TARGET),
    "fsync EIO, all files": ("fsync,fdatasync", "EIO", None),
    "write ENOSPC, journal": ("pwrite64,write", "ENOSPC", JOURNAL),
    "write EIO, journal": ("pwrite64,write", "EIO", JOURNAL),
    "write ENOSPC, catalogue": ("pwrite64,write", "ENOSPC", CATALOGUE),
    "write EIO, target": ("pwrite64,write", "EIO", TARGET),
    "write ENOSPC, target": ("pwrite64,write", "ENOSPC", TARGET),
    "write ENOSPC, all files": ("pwrite64", "ENOSPC", None),
    "read EIO, journal": ("pread64,read", "EIO", JOURNAL),
    "read EIO, catalogue": ("pread64,read", "EIO", CATALOGUE),
    "read EIO, target": ("pread64,read", "EIO", TARGET),
    "open EMFILE": ("openat,openat2", "EMFILE", None),
    "rename EIO": ("rename,renameat,renameat2,link,linkat", "EIO", None),
    "ftruncate EIO": ("ftruncate", "EIO", None),
    "mkdir ENOSPC": ("mkdir,mkdirat", "ENOSPC", None),
}

#: Steps during which calls fail, with their weights. `open` is the first access to a migration after a restart, `parts`
#: a load with resumable uploads, `push` the upload of a plugin, `many` a load of many records.
STEP_WEIGHTS = [("register", 1), ("load", 4), ("validate", 2), ("import", 4), ("counts", 1), ("open", 3)]

#: Next step of the migration for steps that are not its own.
PREPARED_STEP = {"parts": "load", "push": "load", "many": "load"}

#: Weights of classes whose calls occur mainly in some steps.
CLASS_STEP_WEIGHTS = {
    "read EIO, journal": [("open", 5), ("validate", 1), ("import", 1)],
    "rename EIO": [("register", 1), ("parts", 3), ("push", 2), ("many", 1)],
    "ftruncate EIO": [("open", 2), ("parts", 3)],
    "mkdir ENOSPC": [("load", 1)],
}


#: Classes with few calls. One of the first calls fails.
RARE_CLASSES = {"rename EIO", "ftruncate EIO", "mkdir ENOSPC"}


def unavailable_reason():
    """Returns the reason why this part cannot run here, or none."""
    if not shutil.which("strace"):
        return "strace is not installed"
    sleeper = subprocess.Popen(["sleep", "10"])
    try:
        fault = SyscallFault(sleeper.pid, "fsync", "error=EIO", "1", [], "/dev/null")
        fault.remove()
    except OSError as error:
        return str(error)
    finally:
        sleeper.kill()
        sleeper.wait()
    return None


def append_torn_block(segment, rng):
    """Appends to a journal an incomplete block, as a crash during the write of a group leaves it."""
    torn = segment.read_bytes()[: rng.randint(1, 60)]
    with segment.open("ab") as file:
        file.write(torn)


def new_component(directory, server, rng):
    """Returns the sample mapper as an unknown component, with an additional custom section."""
    digest = request_json(server, "GET", "/migration-assistance/mappers")["items"][0]["digest"]
    return (directory / f"plugins/{digest}.wasm").read_bytes() + b"\0\x0a\x01x" + rng.randbytes(8)


class SyscallFault:
    """A fault injected into a running process: selected system calls are not executed but return another outcome."""

    def __init__(self, pid, calls, outcome, when, paths, out):
        self.out = out
        inject = f"inject={calls}:{outcome}:when={when}"
        command = ["strace", "-f", "-p", str(pid), "-o", str(out), "-e", f"trace={calls}", "-e", inject]
        for path in paths:
            command += ["-P", str(path)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        line = self.process.stderr.readline()
        while line and b"attached" not in line:
            line = self.process.stderr.readline()
        if not line:
            self.process.wait()
            raise OSError("strace cannot attach to a process")
        time.sleep(0.02)

    def remove(self):
        """Removes the fault. Returns the number of injected outcomes."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.stderr.read()
        self.process.wait()
        self.process.stderr.close()
        try:
            with open(self.out, errors="replace") as file:
                return sum(line.count("(INJECTED)") for line in file)
        except OSError:
            return 0


class SyscallTurn(Turn):
    """A migration with failing system calls during one step."""

    def run(self, seed, datasets):
        """Runs the turn."""
        rng = random.Random(f"{seed}:{self.part}:{self.turn}")
        name = list(FAULT_CLASSES)[self.turn % len(FAULT_CLASSES)]
        calls, error, files = FAULT_CLASSES[name]
        weights = CLASS_STEP_WEIGHTS.get(name, STEP_WEIGHTS)
        step = rng.choices([step for step, _ in weights], [weight for _, weight in weights])[0]
        fails_always = rng.random() < 0.4
        when = (
            "1+"
            if fails_always
            else str(rng.randint(1, 3) if step in ("parts", "push") else 1)
            if name in RARE_CLASSES
            else rng.choice([str(rng.randint(1, 4)), str(rng.randint(1, 30)), f"{rng.randint(1, 6)}+"])
        )
        context = f"{name}, when={when}, during {step}"
        self.directory = self.workspace.new_data_dir("syscalls")
        # The index of so many records has sorted runs.
        customers = 6_500 if step == "many" else rng.choice([40, 200])
        workload, reference = new_workload(datasets, rng, customers, ResumableWorkload if step == "parts" else Workload)
        restarted = step == "open" or (step == "parts" and rng.random() < 0.5)
        with ServerProcess(self.workspace.binary, self.directory) as server:
            if step == "open":
                # The journal has few groups, so that the faults reach each of them.
                run_until(workload, server, "load")
                for table in rng.sample(["district", "client", "account", "disp"], rng.randint(1, 4)):
                    workload.upload(server, table)
                server.kill()
                if "ftruncate" in name:
                    append_torn_block(self.directory / JOURNAL[0].format(id=workload.id), rng)
            elif restarted:
                run_until(workload, server, "load")
                for table in ["district", "client"]:
                    workload.upload(server, table, rng.randint(1, 3))
                server.kill()
            else:
                run_until(workload, server, PREPARED_STEP.get(step, step))
        if restarted:
            server = self.start_server()
            if server is None:
                return
        else:
            server = ServerProcess(self.workspace.binary, self.directory)
        before = dict(workload.acknowledged)
        paths = [self.directory / file.format(id=workload.id) for file in files or []]
        outcomes = []
        if step == "open" and name.startswith("read"):
            server.stop()
            self.check_read_faults(workload, calls, error, paths, rng, context)
            self.recover(workload, reference, context)
            return
        with server:
            fault = SyscallFault(server.pid, calls, f"error={error}", when, paths, self.workspace.folder / "strace.out")
            try:
                if step == "open":
                    self.check_readable(server, workload, context)
                if step == "push":
                    component = new_component(self.directory, server, rng)
                    self.push(server, component, context)
                self.advance(workload, server, outcomes.append)
            finally:
                failed = fault.remove()
            self.report.add("faults", failed)
            self.report.add(f"faults: {name}", failed)
            self.check_claims(workload, before, name, fails_always and failed, step, context)
            if server.process.poll() is not None:
                self.add_finding(
                    "wrong",
                    f"{context}: the server ended by itself with {server.process.returncode} "
                    f"[{server.log_text()[-300:]}]",
                )
            elif failed and not workload.is_done():
                self.advance(
                    workload,
                    server,
                    lambda message: self.report.add(
                        "turns continued without a restart" if "end" in message else "turns that needed a restart"
                    ),
                )
            if step == "push" and server.process.poll() is None and not self.push(server, component, context):
                self.add_finding("wrong", f"{context}: a plugin cannot be pushed after the fault")
            if rng.random() < 0.7:
                server.kill()
        if failed:
            self.report.add("turns with failing calls")
        self.recover(workload, reference, f"{context} [{outcomes}]" if outcomes else context)

    def push(self, server, component, context):
        """Pushes a plugin. Returns true if the server accepted it. Checks that an accepted plugin is stored."""
        try:
            request_bytes(server, "POST", "/plugins", component, {"Content-Type": "application/wasm"})
        except (RequestRejected, ConnectionLost):
            return False
        digest = hashlib.sha256(component).hexdigest()
        file = self.directory / f"plugins/{digest}.wasm"
        if not file.exists() or file.read_bytes() != component:
            self.add_finding("false success", f"{context}: an accepted plugin is not stored")
        request_json(server, "GET", f"/plugins/{digest}")
        return True

    def check_read_faults(self, workload, calls, error, paths, rng, context):
        """Opens copies of the data directory, each with one failing read. Checks that no record is lost."""
        original = self.directory
        for when in rng.sample(range(1, 25), 8):
            self.directory = self.workspace.folder / "opened"
            self.workspace.remove("opened")
            shutil.copytree(original, self.directory, symlinks=True)
            with ServerProcess(self.workspace.binary, self.directory) as server:
                copied_paths = [self.directory / path.relative_to(original) for path in paths]
                out = self.workspace.folder / "strace.out"
                fault = SyscallFault(server.pid, calls, f"error={error}", str(when), copied_paths, out)
                try:
                    self.check_readable(server, workload, f"{context}, at read {when}")
                finally:
                    failed = fault.remove()
                self.report.add("faults", failed)
                self.report.add(f"faults: {context.partition(', when')[0]}", failed)
                server.kill()
            with ServerProcess(self.workspace.binary, self.directory) as server:
                self.check_durable(server, workload, f"{context}, at read {when}, then without a fault")
        self.workspace.remove("opened")
        self.directory = original

    def check_claims(self, workload, before, name, fails_always, step, context):
        """Checks that the server acknowledged nothing as durable while all writes failed."""
        if not fails_always or not re.match("(fsync|write)", name):
            return
        if "journal" in name or "all files" in name:
            acknowledged_count = sum(workload.acknowledged.values()) - sum(before.values())
            if step in ("load", "parts", "many") and acknowledged_count:
                self.add_finding(
                    "false success",
                    f"{context}: {acknowledged_count} results were acknowledged although no write succeeded",
                )
        if "target" in name and step == "import" and workload.step in ("counts", "done"):
            self.add_finding("false success", f"{context}: the import succeeded although no write succeeded")
        if (
            "catalogue" in name
            and step in ("validate", "import", "counts")
            and any(state == "succeeded" and kind == step for kind, state in workload.jobs.values())
        ):
            self.add_finding("false success", f"{context}: the job succeeded although its state could not be stored")


def run(report, workspace, datasets, seed, turns, out_of_time, only=None):
    """Runs turns, one fault class a turn."""
    reason = unavailable_reason()
    if reason:
        report.skip("syscalls", reason)
        return
    for turn in [only] if only is not None else range(turns):
        if out_of_time():
            break
        SyscallTurn("syscalls", turn, report, workspace).run(seed, datasets)
        report.add("turns of syscalls")
        if turn % 20 == 19:
            report.log(f"{turn + 1} turns, {report.figures['faults']:,} faults, {len(report.findings)} findings")
    workspace.remove("syscalls")
