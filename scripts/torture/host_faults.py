"""What changes under a running server: its clock jumps, its disk turns read-only."""

import random
import threading
from pathlib import Path

from client import Refused
from disk import CAREFUL, Disk
from server_process import Life
from turn import Turn, fresh_journey, up_to

#: What a clock shows of a sudden.
JUMPS = ["-40d", "-1h", "-10s", "+0", "+10s", "+1h", "+40d"]

#: How often the steps are gone through, or begun again with another token: their jobs fit on one page of a list.
ROUNDS = 30


def faketime():
    """The library that sets a process's clock, if it is here."""
    found = [
        *Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"),
        *Path("/usr/lib").glob("faketime/libfaketimeMT.so.1"),
    ]
    return str(found[0]) if found else None


def clock():
    """What a process with a clock of its own is started with; the machine's stays as it is."""
    return {"LD_PRELOAD": faketime(), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


class Jumping(Turn):
    """A migration on a server whose clock jumps back and forth."""

    def run(self, seed, banks):
        """Goes through it, and once more through its end with a clock that is right."""
        if not faketime():
            self.account.skip("clock that jumps", "libfaketime is not installed")
            return
        chance = random.Random(f"{seed}:{self.part}:{self.turn}")
        self.directory = self.place.fresh("afflicted")
        journey, reference = fresh_journey(banks, chance, 200)
        shown = self.place.folder / "clock"
        shown.write_text("+0")
        environment = {**clock(), "FAKETIME_TIMESTAMP_FILE": str(shown), "FAKETIME_NO_CACHE": "1"}
        over = threading.Event()

        def jump():
            while not over.wait(chance.uniform(0.02, 0.4)):
                following = shown.with_suffix(".next")
                following.write_text(chance.choice(JUMPS))
                following.replace(shown)
                self.account.add("jumps of the clock")

        with Life(self.place.binary, self.directory, environment=environment) as life:
            jumps = threading.Thread(target=jump, daemon=True)
            jumps.start()
            try:
                self.patiently(journey, life)
            finally:
                over.set()
                jumps.join()
        if self.clean:
            self.again(journey, reference, "the clock has jumped, and is right again")

    def patiently(self, journey, life):
        """To the end, with another token whenever a jump has made an end of the last."""
        for _ in range(ROUNDS):
            try:
                journey.go(life)
                # Longer than the steps take, so that some jumps are met by each.
                journey.step = "validate"
            except Refused as refused:
                if refused.status != 401:
                    return self.found("wrong", f"the clock jumps, and {journey.step} is refused [{refused}]")
                life.forget_token()
            except Exception as failure:
                return self.found("wrong", f"the clock jumps, and {journey.step}: {failure!r}")


class ReadOnly(Turn):
    """A migration on a disk that turns read-only in the middle of it, and is mended."""

    def run(self, seed, banks):
        """Goes through it."""
        chance = random.Random(f"{seed}:{self.part}:{self.turn}")
        step = chance.choice(["load", "load", "validate", "import", "import", "counts"])
        journey, reference = fresh_journey(banks, chance, chance.choice([40, 200, 700]))
        self.place.remove("afflicted")
        disk = Disk(self.place.folder / "disk.img", self.place.folder / "afflicted", CAREFUL)
        try:
            disk.make()
        except OSError as refused:
            self.account.skip("disk that turns read-only", f"a disk cannot be made and mounted here: {refused}")
            return
        self.directory = self.place.filled(disk.folder)
        try:
            self.failing(journey, reference, step, chance, disk)
        finally:
            disk.remove()

    def failing(self, journey, reference, step, chance, disk):
        """Up to a step, in which it fails; then with a disk that is mended."""
        told, what = [], f"the disk turned read-only during {step}"
        with Life(self.place.binary, self.directory) as life:
            up_to(journey, life, step)
            timer = threading.Timer(chance.choice([0, 0.01, 0.1, 0.3]), disk.fail)
            timer.start()
            try:
                self.step(journey, life, told.append)
            finally:
                timer.join()
            if not journey.done():
                self.step(journey, life, told.append)
            self.account.add("turns with a disk that turned read-only", not journey.done())
            if life.process.poll() is not None:
                self.found("wrong", f"{what}: the server ended by itself [{life.said()[-300:]}]")
            self.readable(life, journey, what)
            life.kill()
        disk.mend()
        self.again(journey, reference, f"{what} {told}, mended and started again")
