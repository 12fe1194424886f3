"""Backups taken at random moments of a server's life, restored, and gone on with: nothing lost, nothing twice."""

import json
import random
import shutil
import subprocess
import threading
import time

import oracle
from client import Cut, Failure, Refused, Short, Stopped, Stuck
from server_process import Life
from turn import Turn, fresh_journey


class Backed(Turn):
    """A migration on a server, a backup in the middle of it, and both of what goes on from there."""

    def run(self, seed, banks):
        """Goes through it."""
        chance = random.Random(f"{seed}:{self.part}:{self.turn}")
        journey, reference = fresh_journey(banks, chance, chance.choice([40, 200, 700, 700]))
        self.directory = self.place.fresh("backed")
        backup, restored = self.place.folder / "backup", self.place.folder / "restored"
        life = self.start()
        if life is None:
            return
        with life:
            moment = chance.choice(["load", "load", "load", "result", "validate", "import", "import", "counts"])
            delay, known, taken = chance.uniform(0, 0.4), {}, []
            begun = threading.Event()

            def hit(what):
                """Begins a backup at its moment, from what was acknowledged just then."""
                if what == moment and not begun.is_set():
                    begun.set()
                    taker = threading.Thread(target=take, daemon=True)
                    taken.append(taker)
                    taker.start()

            def take():
                time.sleep(delay)
                known["acknowledged"] = dict(journey.acknowledged)
                known["made"] = {table: list(made) for table, made in journey.made.items()}
                known["done"] = self.backup(backup)

            journey.hit = hit
            try:
                journey.go(life)
            except (Stuck, Short, Refused, Stopped, Failure, Cut) as failure:
                self.found("wrong", f"beside a backup: {journey.step}: {failure}")
                return
            for taker in taken:
                taker.join()
            self.compare("beside a backup", life, journey, reference)
        if not known.get("done"):
            return
        self.account.add("backups")
        if self.restore(backup, restored):
            self.go_on(restored, journey, reference, known, moment)

    def backup(self, backup):
        """Takes one; whether that worked."""
        shutil.rmtree(backup, ignore_errors=True)
        return self.command("backup", str(backup), "--data-dir", str(self.directory))

    def restore(self, backup, restored):
        """Restores it with the keys that there are; whether that worked."""
        shutil.rmtree(restored, ignore_errors=True)
        restored.mkdir()
        shutil.copytree(self.directory / "keys", restored / "keys")
        shutil.copy(self.directory / "master.key", restored)
        if not self.command("restore", str(backup), "--data-dir", str(restored)):
            return False
        shutil.copy(self.directory / "admin-client", restored)
        shutil.copytree(self.place.compiled, restored / "plugin-cache")
        return True

    def command(self, *arguments):
        """Runs a command that has to succeed."""
        done = subprocess.run([self.place.binary, *arguments, "--json"], capture_output=True, text=True)
        if done.returncode:
            self.found("wrong", f"sluice {arguments[0]} ended with {done.returncode} [{done.stderr.strip()[-300:]}]")
            return False
        damaged = [found for found in json.loads(done.stdout)["migrations"] if found["state"] == "damaged"]
        if damaged:
            self.found("wrong", f"sluice {arguments[0]} says that there is damage [{damaged[0]}]")
        return not damaged

    def go_on(self, restored, journey, reference, known, moment):
        """A server on what was restored: all that was acknowledged is there, and it goes to verified counts."""
        when = f"restored from a backup at {moment}"
        # Its client knows no more than it did at that moment.
        journey.acknowledged, journey.made = known["acknowledged"], known["made"]
        journey.jobs, journey.step = {}, "load"
        journey.hit = lambda what: None
        with Life(self.place.binary, restored) as life:
            self.durable(life, journey, when)
            self.to_the_end(life, journey, reference, when)
            twice = oracle.repeated_rows(life.target)
            if twice:
                self.found("duplicated", f"{when}: {twice} rows have a reference id that another row has")

    def compare(self, when, life, journey, reference):
        """Everything, against an undisturbed migration."""
        for kind, words in oracle.whole(oracle.Seen.read(life, journey), journey, reference):
            self.found(kind, f"{when}: {words}")


def run(account, place, banks, seed, turns, out_of_time, only=None):
    """Some turns."""
    for turn in [only] if only is not None else range(max(1, turns // 2)):
        if out_of_time():
            break
        Backed("backups", turn, account, place).run(seed, banks)
        for name in ("backup", "restored"):
            place.remove(name)
