"""System calls that fail: the server says so, claims nothing, and goes on once the fault is gone."""

import hashlib
import random
import re
import shutil
import signal
import subprocess
import time

from client import Cut, Journey, Refused, ask, ask_json
from resumable_upload import InParts
from server_process import Life
from turn import Turn, fresh_journey, up_to

#: By class: calls, error, and the files (relative to the data directory) that they are about; none means all.
JOURNAL = ["migrations/{id}/journal/00000000.seg"]
CATALOGUE = ["catalogue.db", "catalogue.db-wal"]
TARGET = ["platform.db", "platform.db-wal"]
CLASSES = {
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

#: Steps that are disturbed, and how often; `open` is the first look at a migration after a restart, `parts` a load with
#: uploads in parts, `push` a plugin that is pushed.
STEPS = [("register", 1), ("load", 4), ("validate", 2), ("import", 4), ("counts", 1), ("open", 3)]

#: What is next where a step is none of a migration's own.
STEP_OF = {"parts": "load", "push": "load", "many": "load"}

#: Where a class has its calls in one step above all.
OFTEN = {
    "read EIO, journal": [("open", 5), ("validate", 1), ("import", 1)],
    "rename EIO": [("register", 1), ("parts", 3), ("push", 2), ("many", 1)],
    "ftruncate EIO": [("open", 2), ("parts", 3)],
    "mkdir ENOSPC": [("load", 1)],
}


#: Whose calls are few: it is one of the first that fails.
SELDOM = {"rename EIO", "ftruncate EIO", "mkdir ENOSPC"}


def available():
    """Why it cannot be done here, or nothing."""
    if not shutil.which("strace"):
        return "strace is not installed"
    sleeper = subprocess.Popen(["sleep", "10"])
    try:
        fault = Fault(sleeper.pid, "fsync", "error=EIO", "1", [], "/dev/null")
        fault.end()
    except OSError as refused:
        return str(refused)
    finally:
        sleeper.kill()
        sleeper.wait()
    return None


def tear(segment, chance):
    """Leaves at a journal's end what a crash leaves of a group: the head of a block, and not all that it is of."""
    torn = segment.read_bytes()[: chance.randint(1, 60)]
    with segment.open("ab") as file:
        file.write(torn)


def another(directory, life, chance):
    """The sample mapper as a component that nobody has seen: with a section more, which says nothing."""
    digest = ask_json(life, "GET", "/migration-assistance/mappers")["items"][0]["digest"]
    return (directory / f"plugins/{digest}.wasm").read_bytes() + b"\0\x0a\x01x" + chance.randbytes(8)


class Fault:
    """Makes calls of a running process come to something else, without being made, until it is ended."""

    def __init__(self, pid, calls, outcome, when, paths, out):
        self.out = out
        inject = f"inject={calls}:{outcome}:when={when}"
        command = ["strace", "-f", "-p", str(pid), "-o", str(out), "-e", f"trace={calls}", "-e", inject]
        for path in paths:
            command += ["-P", str(path)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        told = self.process.stderr.readline()
        while told and b"attached" not in told:
            told = self.process.stderr.readline()
        if not told:
            self.process.wait()
            raise OSError("strace cannot attach to a process here")
        time.sleep(0.02)

    def end(self):
        """Lets calls go through again; how many did not."""
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


class Disturbed(Turn):
    """A migration, one of whose steps is disturbed."""

    def run(self, seed, banks):
        """Goes through it."""
        chance = random.Random(f"{seed}:{self.part}:{self.turn}")
        name = list(CLASSES)[self.turn % len(CLASSES)]
        calls, error, files = CLASSES[name]
        often = OFTEN.get(name, STEPS)
        step = chance.choices([step for step, _ in often], [many for _, many in often])[0]
        always = chance.random() < 0.4
        when = (
            "1+"
            if always
            else str(chance.randint(1, 3) if step in ("parts", "push") else 1)
            if name in SELDOM
            else chance.choice([str(chance.randint(1, 4)), str(chance.randint(1, 30)), f"{chance.randint(1, 6)}+"])
        )
        what = f"{name}, when={when}, during {step}"
        self.directory = self.place.fresh("syscalls")
        # Of so many records an index has runs.
        customers = 6_500 if step == "many" else chance.choice([40, 200])
        journey, reference = fresh_journey(banks, chance, customers, InParts if step == "parts" else Journey)
        restarted = step == "open" or (step == "parts" and chance.random() < 0.5)
        with Life(self.place.binary, self.directory) as life:
            if step == "open":
                # Few groups in the journal, so that each of them is met.
                up_to(journey, life, "load")
                for table in chance.sample(["district", "client", "account", "disp"], chance.randint(1, 4)):
                    journey.upload(life, table)
                life.kill()
                if "ftruncate" in name:
                    tear(self.directory / JOURNAL[0].format(id=journey.id), chance)
            elif restarted:
                up_to(journey, life, "load")
                for table in ["district", "client"]:
                    journey.upload(life, table, chance.randint(1, 3))
                life.kill()
            else:
                up_to(journey, life, STEP_OF.get(step, step))
        if restarted:
            life = self.start()
            if life is None:
                return
        else:
            life = Life(self.place.binary, self.directory)
        before = dict(journey.acknowledged)
        paths = [self.directory / file.format(id=journey.id) for file in files or []]
        told = []
        if step == "open" and name.startswith("read"):
            life.stop()
            self.looks(journey, calls, error, paths, chance, what)
            self.again(journey, reference, what)
            return
        with life:
            fault = Fault(life.pid, calls, f"error={error}", when, paths, self.place.folder / "strace.out")
            try:
                if step == "open":
                    self.readable(life, journey, what)
                if step == "push":
                    component = another(self.directory, life, chance)
                    self.push(life, component, what)
                self.step(journey, life, told.append)
            finally:
                failed = fault.end()
            self.account.add("faults", failed)
            self.account.add(f"faults: {name}", failed)
            self.claims(journey, before, name, always and failed, step, what)
            if life.process.poll() is not None:
                self.found(
                    "wrong", f"{what}: the server ended by itself with {life.process.returncode} [{life.said()[-300:]}]"
                )
            elif failed and not journey.done():
                self.step(
                    journey,
                    life,
                    lambda words: self.account.add(
                        "went on without a restart" if "end" in words else "needed a restart"
                    ),
                )
            if step == "push" and life.process.poll() is None and not self.push(life, component, what):
                self.found("wrong", f"{what}: a plugin cannot be pushed once the fault is gone")
            if chance.random() < 0.7:
                life.kill()
        if failed:
            self.account.add("turns with failing calls")
        self.again(journey, reference, f"{what} [{told}]" if told else what)

    def push(self, life, component, what):
        """Pushes a plugin; whether it was taken. What was taken is there."""
        try:
            ask(life, "POST", "/plugins", component, {"Content-Type": "application/wasm"})
        except (Refused, Cut):
            return False
        digest = hashlib.sha256(component).hexdigest()
        file = self.directory / f"plugins/{digest}.wasm"
        if not file.exists() or file.read_bytes() != component:
            self.found("false success", f"{what}: a plugin was taken, and is not there")
        ask_json(life, "GET", f"/plugins/{digest}")
        return True

    def looks(self, journey, calls, error, paths, chance, what):
        """Opens copies of what a killed server left, while one read of each fails; afterwards all is still there."""
        here = self.directory
        for when in chance.sample(range(1, 25), 8):
            self.directory = self.place.folder / "opened"
            self.place.remove("opened")
            shutil.copytree(here, self.directory, symlinks=True)
            with Life(self.place.binary, self.directory) as life:
                there = [self.directory / path.relative_to(here) for path in paths]
                out = self.place.folder / "strace.out"
                fault = Fault(life.pid, calls, f"error={error}", str(when), there, out)
                try:
                    self.readable(life, journey, f"{what}, at read {when}")
                finally:
                    failed = fault.end()
                self.account.add("faults", failed)
                self.account.add(f"faults: {what.partition(', when')[0]}", failed)
                life.kill()
            with Life(self.place.binary, self.directory) as life:
                self.durable(life, journey, f"{what}, at read {when}, and then without a fault")
        self.place.remove("opened")
        self.directory = here

    def claims(self, journey, before, name, always, step, what):
        """Where nothing could be made durable, nothing was said to be."""
        if not always or not re.match("(fsync|write)", name):
            return
        if "journal" in name or "all files" in name:
            more = sum(journey.acknowledged.values()) - sum(before.values())
            if step in ("load", "parts", "many") and more:
                self.found("false success", f"{what}: {more} results were acknowledged, and nothing could be written")
        if "target" in name and step == "import" and journey.step in ("counts", "done"):
            self.found("false success", f"{what}: the import is said to have succeeded")
        if (
            "catalogue" in name
            and step in ("validate", "import", "counts")
            and any(state == "succeeded" and kind == step for kind, state in journey.jobs.values())
        ):
            self.found("false success", f"{what}: the job is said to have succeeded, and that cannot have been kept")


def run(account, place, banks, seed, turns, out_of_time, only=None):
    """So many turns, each class in turn."""
    why = available()
    if why:
        account.skip("syscalls", why)
        return
    for turn in [only] if only is not None else range(turns):
        if out_of_time():
            break
        Disturbed("syscalls", turn, account, place).run(seed, banks)
        account.add("turns of syscalls")
        if turn % 20 == 19:
            account.say(f"{turn + 1} turns, {account.figures['faults']:,} faults, {len(account.findings)} findings")
    place.remove("syscalls")
