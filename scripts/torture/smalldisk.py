"""A disk of 8 MB that fills up: clear errors and no false success; enlarged, it goes on to verified counts."""

import os
import random
import shutil
import subprocess

from server_process import Life
from turn import Turn, fresh_journey, up_to

#: Of the disk: and what it is enlarged to.
SIZE, ENLARGED = "8m", "256m"

#: Steps in the middle of which it fills up.
STEPS = ["load", "load", "validate", "import", "import", "counts"]


def mount(folder, size):
    """Mounts a disk of this size; what went wrong, if anything."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "torture", str(folder)], capture_output=True, text=True
    )
    return done.stderr.strip() if done.returncode else None


def unmount(folder):
    """Takes it away again."""
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=False)
        if os.path.ismount(folder):
            subprocess.run(["umount", "-l", str(folder)], check=False)


class Full(Turn):
    """A migration on a disk that is too small for it."""

    def run(self, seed, banks):
        """Goes through it."""
        chance = random.Random(f"{seed}:{self.part}:{self.turn}")
        step = STEPS[self.turn % len(STEPS)]
        disk = self.place.folder / "disk"
        unmount(disk)
        self.directory = disk
        # Compiled and kept plugins alone are larger than this disk: they stand elsewhere.
        aside = self.place.fresh("aside")
        (aside / "plugins").mkdir()
        journey, reference = fresh_journey(banks, chance, 2_500 if step == "load" else chance.choice([40, 200, 700]))
        why = mount(disk, SIZE)
        if why:
            raise OSError(f"a disk of {SIZE} cannot be mounted: {why}")
        try:
            for folder in ("plugins", "plugin-cache"):
                (disk / folder).symlink_to(aside / folder)
            self.filled(journey, reference, step, chance, disk)
        finally:
            unmount(disk)
            self.place.remove("aside")
            shutil.rmtree(disk, ignore_errors=True)

    def filled(self, journey, reference, step, chance, disk):
        """Up to a step, with next to nothing left from there on."""
        told, what = [], f"disk full during {step}"
        life = self.start()
        if life is None:
            return
        with life:
            up_to(journey, life, step)
            left = shutil.disk_usage(disk).free
            keep = chance.choice([0, 4 << 10, 64 << 10, 300 << 10, 1 << 20])
            if step != "load" or chance.random() < 0.5:
                fill(disk / "filler", max(0, left - keep))
            self.step(journey, life, told.append)
            # Once more, as somebody would who does not believe it.
            if not journey.done():
                self.step(journey, life, told.append)
            full = not journey.done()
            self.account.add("turns with a full disk", full)
            if life.process.poll() is not None:
                self.found("wrong", f"{what}: the server ended by itself [{life.said()[-300:]}]")
            restarted_full = full and chance.random() < 0.4
            if full and not restarted_full and chance.random() < 0.6:
                self.enlarged_under_it(life, journey, disk, what)
            if restarted_full:
                life.kill()
        if restarted_full:
            self.started_full(journey, what)
        if mount_larger(disk):
            raise OSError("a disk cannot be enlarged")
        (disk / "filler").unlink(missing_ok=True)
        self.again(journey, reference, f"{what} {told}, enlarged and started again")

    def enlarged_under_it(self, life, journey, disk, what):
        """It gets its room back while the server runs: it goes on, or says that it has to be started again."""
        if mount_larger(disk):
            raise OSError("a disk cannot be enlarged")
        (disk / "filler").unlink(missing_ok=True)
        ended = []
        self.step(journey, life, ended.append)
        self.account.add("went on without a restart" if journey.done() else "needed a restart")
        if any(stuck in ended[0] for stuck in ["nobody works on it", "no job runs", "runs and runs"]):
            self.found("stuck", f"{what}, and there is room again: {ended[0]}")

    def started_full(self, journey, what):
        """A start while the disk is full: it starts and says what is there, or ends with a sentence."""
        try:
            life = Life(self.place.binary, self.directory)
        except Exception as failure:
            self.account.note(f"on a full disk the server does not start: {str(failure)[-160:]!r}")
            return
        with life:
            self.durable(life, journey, f"{what}, started while it is full")
            self.step(journey, life, lambda words: None)
            life.kill()


def mount_larger(disk):
    """Enlarges it."""
    return subprocess.run(["mount", "-o", f"remount,size={ENLARGED}", str(disk)], capture_output=True).returncode


def fill(path, many):
    """Takes so many bytes of a disk, or all that there are."""
    with open(path, "wb", buffering=0) as file:
        try:
            while many > 0:
                many -= file.write(b"\0" * min(many, 1 << 16))
        except OSError:
            pass


def run(account, place, banks, seed, turns, out_of_time, only=None):
    """Some turns."""
    for turn in [only] if only is not None else range(max(1, turns // 5)):
        if out_of_time():
            break
        try:
            Full("smalldisk", turn, account, place).run(seed, banks)
        except OSError as refused:
            account.skip("smalldisk", str(refused))
            return
        account.add("turns on a disk of 8 MB")
