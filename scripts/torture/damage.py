"""Damage on disk: what is wrong is told, what is sound goes on, and nobody is given wrong data for right."""

import os
import random
import shutil
import sqlite3

from server import Failed

import host_faults
import oracle
from client import Cut, Failure, Refused, Short, Stopped, Stuck
from host_faults import clock, faketime
from kills import listed
from server_process import Life
from turn import Turn, fresh_journey, up_to

#: What is damaged, each in turn.
WAYS = [
    "journal, flipped", "journal, cut", "journal, zeros at the end", "journal, gone", "index, flipped",
    "catalogue.db, flipped",
    "catalogue.db-wal, flipped", "platform.db, flipped", "platform.db-wal, flipped", "key, flipped", "key, gone",
    "master.key, flipped", "plugins, flipped", "plugin-cache, flipped", "read-only", "no permission", "clock set back",
    "clock set forward", "directory, older", "clock that jumps", "disk that turns read-only",
]  # fmt: skip

#: Of these nobody is to notice anything, once more started or not.
HARMLESS = {"journal, zeros at the end", "clock set back", "clock set forward"}

#: What happens under a running server.
UNDERNEATH = {"clock that jumps": host_faults.Jumping, "disk that turns read-only": host_faults.ReadOnly}

#: How far a clock is off from the start on.
CLOCKS = {"clock set back": "-40d", "clock set forward": "+40d"}

#: One of these is in what a server says of damage that it has found.
SAID = ["damage", "torn", "dropped", "cut off", "missing", "corrupt", "malformed"]


def summed(wrong):
    """The first of several findings, and how many there are."""
    return f"{len(wrong)} differences, the first: {wrong[0][0]}: {wrong[0][1]}"


class Damaged(Turn):
    """Two migrations; something of the first, or of what both need, is damaged."""

    def run(self, seed, banks):
        """Does it, and looks what the server makes of it."""
        chance = random.Random(f"{seed}:{self.part}:{self.turn}")
        way = WAYS[self.turn % len(WAYS)]
        if way in CLOCKS and not faketime():
            self.account.skip(way, "libfaketime is not installed")
            return
        if way in ("read-only", "no permission") and os.getuid() == 0 and not shutil.which("setpriv"):
            self.account.skip(way, "root may write everywhere, and there is no setpriv")
            return
        self.directory = self.place.fresh("afflicted")
        large = way == "index, flipped"
        one, reference = fresh_journey(banks, chance, 6_500 if large else 200)
        other, other_reference = fresh_journey(banks, chance, 40)
        stop_at = "validate" if large else chance.choice(["load", "validate", "import", "counts", "done"])
        # Only what was imported, and moved out of the write-ahead log as the server ended, is in the file itself.
        imported = way == "platform.db, flipped"
        if imported:
            stop_at = chance.choice(["counts", "done"])
        if way == "directory, older":
            self.begin(one)
        with Life(self.place.binary, self.directory) as life:
            if stop_at == "load":
                self.upload(one, life, ["district", "client", "account", "disp"])
            else:
                up_to(one, life, stop_at)
            up_to(other, life, chance.choice(["validate", "done"]))
            if chance.random() < 0.5 and not imported:
                life.kill()
        what = f"{way}, after {stop_at}"
        how, undo = {}, None
        if way == "read-only":
            how, undo = self.unwritable(0o500)
        elif way == "no permission":
            how, undo = self.unwritable(0o000)
        elif way in CLOCKS:
            how = {"environment": {**clock(), "FAKETIME": CLOCKS[way]}}
        else:
            if not self.spoil(way, one, chance):
                self.account.note(f"there was nothing to damage: {way}")
                return
        self.account.add("damages")
        try:
            life = Life(self.place.binary, self.directory, **how)
        except Failed as failure:
            said = str(failure)
            self.account.add("damages that keep the server from starting, with a sentence")
            self.account.note(f"{way}: the server does not start: {said[-150:].strip()!r}")
            if "panicked" in said.lower() or "mistake in the server" in said or "ended with -" in said:
                self.found("no start", f"{what}: it does not start and does not say why [{said}]")
            if way.startswith(("journal", "index", "key", "plugin-cache")):
                self.found("no start", f"{what}: one migration's damage keeps all others from their server [{said}]")
        else:
            with life:
                self.look(life, one, reference, other, other_reference, way, what)
        if undo:
            undo()
            self.again(one, reference, f"{what}, and mended")
        elif way in HARMLESS:
            self.again(one, reference, f"{what}, and started once more")

    def upload(self, journey, life, tables):
        """Registers a migration, unless it is, and uploads some of its tables."""
        if journey.id is None:
            journey.register(life)
        for table in tables:
            journey.upload(life, table)

    def begin(self, journey):
        """Begins a migration and puts a copy of its directory aside, as a backup would."""
        with Life(self.place.binary, self.directory) as life:
            self.upload(journey, life, ["district", "client"])
        home = self.directory / "migrations" / journey.id
        shutil.copytree(home, self.directory / "older")

    def unwritable(self, mode):
        """Takes rights from the data directory, and starts as somebody who has no others; and what gives them back."""
        os.chmod(self.directory, mode)
        prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
        return {"prefix": prefix}, lambda: os.chmod(self.directory, 0o700)

    def spoil(self, way, journey, chance):
        """Damages a file; whether there was one."""
        home = self.directory / "migrations" / journey.id
        kind, _, what = way.partition(", ")
        if what == "older":
            shutil.rmtree(home)
            (self.directory / "older").rename(home)
            return True
        files = {
            "journal": lambda: sorted((home / "journal").glob("*.seg")),
            "index": lambda: sorted((home / "index").glob("*.run")),
            "key": lambda: [self.directory / "keys" / f"migration-{journey.id}.key"],
            "plugins": lambda: sorted((self.directory / "plugins").glob("*.wasm")),
            "plugin-cache": lambda: sorted(
                path for path in (self.directory / "plugin-cache").glob("*") if path.is_file()
            ),
        }.get(kind, lambda: [self.directory / kind])()
        files = [file for file in files if file.exists() and file.stat().st_size]
        if not files:
            return False
        file = chance.choice(files)
        data = bytearray(file.read_bytes())
        if what == "gone":
            file.unlink()
            return True
        if what == "cut":
            del data[chance.randrange(len(data)) :]
        elif what == "zeros at the end":
            data += bytes(chance.choice([1, 40, 4096]))
        else:
            for _ in range(chance.choice([1, 1, 8])):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        return True

    def look(self, life, one, reference, other, other_reference, way, what):
        """It has started: what is wrong is told, or nothing is; the other migration goes on."""
        shared = way.startswith(("catalogue", "platform", "plugins", "master"))
        wrong, told = self.whatever(life, one, reference)
        self.account.add(
            "damages that were told" if told else "damages that did no harm" if not wrong else "damages not told"
        )
        if told:
            self.account.note(f"{way}: {told}")
        if told and way in HARMLESS:
            self.found("wrong", f"{what}: nothing is wrong, and it does not go on [{told}]")
        if wrong and any(word in life.said().lower() for word in SAID):
            self.account.note(f"{way}: told in the log alone")
        elif wrong:
            self.found("false success", f"{way}: nothing is said of it [{what}: {summed(wrong)}]")
        wrong, told = self.whatever(life, other, other_reference)
        if not shared and (wrong or told):
            self.found("wrong", f"{what}: another migration does not go on [{wrong} {told}]")
        if shared and wrong:
            self.found("false success", f"{way}: nothing is said of it [{what}, another migration: {summed(wrong)}]")

    def whatever(self, life, journey, reference):
        """What is wrong without a word, and the word that was said instead of going on."""
        try:
            known = {migration["referenceId"] for migration in listed(life)}
            if journey.id not in known:
                return [("lost", "a migration is not there any more")], None
            sources, records = oracle.staged_sources(life, journey), oracle.staged_records(life, journey)
            wrong = oracle.durable(sources, journey) + oracle.made_there(records, journey)
            if wrong:
                return wrong, None
            if journey.done():
                # What was done is asked again: whether it still is.
                journey.step = "counts"
            journey.go(life)
            return oracle.whole(oracle.Seen.read(life, journey), journey, reference), None
        except Short as short:
            return [("false success", str(short))], None
        except Stuck as stuck:
            return [("stuck", str(stuck))], None
        except Cut:
            return [], "the answer breaks off"
        except (Refused, Stopped, Failure) as refused:
            return [], f"{type(refused).__name__.lower()}, {refused.code}"
        except sqlite3.DatabaseError as error:
            return [], f"the target's file cannot be read by others either: {error}"


def run(account, place, banks, seed, turns, out_of_time, only=None):
    """Some turns."""
    for turn in [only] if only is not None else range(turns):
        if out_of_time():
            break
        way = WAYS[turn % len(WAYS)]
        UNDERNEATH.get(way, Damaged)("damage", turn, account, place).run(seed, banks)
        account.add("turns of damage")
    place.remove("afflicted")
