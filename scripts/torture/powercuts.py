"""Power that fails at random moments: whatever was answered is on the disk, and the careful client goes on."""

import contextlib

from disk import Disk, command
from kills import ROUNDS_A_DIRECTORY, Reaper, Round
from server_process import Life


class Powered(Life):
    """A server whose end is that of its disk too."""

    def __init__(self, disk, *given, **how):
        self.disk = disk
        super().__init__(*given, **how)

    def kill(self):
        """No power: what is not on the disk is lost, and the server with it."""
        if not self.killed:
            self.disk.cut()
        super().kill()


class Switch(Reaper):
    """Cuts the power at a moment that chance has chosen, often just when something was answered."""

    def __init__(self, life, chance, usual):
        super().__init__(life, chance, usual)
        if chance.random() < 0.4:
            self.delay = 0


class Outages(Round):
    """Some migrations on one server, and the power cuts on their way."""

    ENDING, ENDINGS = "power cut", "power cuts"

    def __init__(self, disk, defect, *given):
        super().__init__(*given)
        self.disk, self.defect = disk, defect
        self.kills = self.chance.randint(1, 4)

    def life(self, **how):
        """A server on what the disk has kept."""
        self.disk.restore()
        return Powered(self.disk, self.place.binary, self.directory, config=self.config, **how)

    def reaper(self, life):
        """Who cuts the power."""
        return Switch(life, self.chance, self.usual)

    def excused(self, refused):
        """Without a disk anything may fail."""
        return True

    def go(self, life, reaper):
        """As with kills, with a defect in the server if it was given one."""
        with self.defect(life, self.journeys) if self.defect else contextlib.nullcontext():
            super().go(life, reaper)

    def found(self, kind, words):
        """Notes a finding; the directory can be kept only while there is power."""
        if not self.disk.off:
            super().found(kind, words)
        else:
            self.account.found(kind, self.part, self.turn, words)


def fresh(place, disk):
    """An empty data directory on a disk of its own, but for compiled plugins, which are on it for good."""
    disk.make()
    data_dir = place.filled(disk.folder)
    command(["sync", "-f", data_dir])
    return data_dir


def run(account, place, banks, seed, turns, out_of_time, only=None, defect=None):
    """So many turns, each with some power cuts; `defect` is done to each server, when it has started."""
    disk, data_dir, usual = Disk(place.folder / "disk.img", place.folder / "powercuts"), None, {}
    try:
        for turn in [only] if only is not None else range(turns):
            if out_of_time():
                break
            if data_dir is None or turn % ROUNDS_A_DIRECTORY == 0:
                try:
                    data_dir = fresh(place, disk)
                except OSError as refused:
                    account.skip("powercuts", f"a disk cannot be made and mounted here: {refused}")
                    return
                place.known_migrations = set()
            outages = Outages(disk, defect, "powercuts", turn, account, place, banks, seed, usual)
            if not outages.run(data_dir):
                data_dir = None
            account.add("turns of power cuts")
            if turn % 10 == 9:
                cuts = account.figures["power cuts"]
                account.say(f"{turn + 1} turns, {cuts:,} power cuts, {len(account.findings)} findings")
    finally:
        disk.remove()
        place.remove("powercuts")
