"""Power cuts: the disk loses its power at random times. Everything acknowledged must be on it afterwards."""

import contextlib

from disk import Disk, run_command
from kills import ROUNDS_PER_DIRECTORY, FaultRound, KillTrigger
from server_process import ServerProcess


class PoweredServer(ServerProcess):
    """A server process whose disk loses its power when it is killed."""

    def __init__(self, disk, *arguments, **options):
        self.disk = disk
        super().__init__(*arguments, **options)

    def after_kill_signal(self):
        """Cuts the power of the disk. Unwritten data is lost.

        The signal comes first. The shutdown of the file system lets an fsync that is in flight return success although
        the journal is aborted (`fsync_race.py` shows it), and a server that still ran would then acknowledge what is
        lost. After the signal, a thread in an fsync dies before it can answer anybody.
        """
        if not self.disk.off:
            self.disk.cut_power()


class PowerCutTrigger(KillTrigger):
    """Trigger that cuts the power once, often immediately after a response."""

    def __init__(self, server, rng, durations):
        super().__init__(server, rng, durations)
        if rng.random() < 0.4:
            self.delay = 0


class PowerCutRound(FaultRound):
    """A round with power cuts as faults."""

    FAULT, FAULTS = "power cut", "power cuts"

    def __init__(self, disk, defect, *arguments):
        super().__init__(*arguments)
        self.disk, self.defect = disk, defect
        self.fault_count = self.rng.randint(1, 4)

    def new_server(self, **options):
        """Restores the power and starts a server process on the data directory."""
        self.disk.restore_power()
        return PoweredServer(self.disk, self.workspace.binary, self.directory, config=self.config, **options)

    def new_trigger(self, server):
        """Returns the trigger of the next power cut."""
        return PowerCutTrigger(server, self.rng, self.durations)

    def is_expected(self, error):
        """Returns true: without a disk, any operation may fail."""
        return True

    def run_until_fault(self, server, trigger):
        """Runs all migrations until the power cut, with the deliberate defect if there is one."""
        with self.defect(server, self.workloads) if self.defect else contextlib.nullcontext():
            super().run_until_fault(server, trigger)

    def add_finding(self, kind, message):
        """Records a finding. Keeps a copy of the data directory only while the disk has power."""
        if not self.disk.off:
            super().add_finding(kind, message)
        else:
            self.report.add_finding(kind, self.part, self.turn, message)


def new_disk(workspace, disk):
    """Creates a data directory on a new disk. It contains the compiled plugins, written durably, and nothing else."""
    disk.format()
    data_dir = workspace.with_plugin_cache(disk.folder)
    run_command(["sync", "-f", data_dir])
    return data_dir


def run(report, workspace, datasets, seed, turns, out_of_time, only=None, defect=None):
    """Runs turns, each with some power cuts. `defect` is applied to each server after its start."""
    disk, data_dir, durations = Disk(workspace.folder / "disk.img", workspace.folder / "powercuts"), None, {}
    try:
        for turn in [only] if only is not None else range(turns):
            if out_of_time():
                break
            if data_dir is None or turn % ROUNDS_PER_DIRECTORY == 0:
                try:
                    data_dir = new_disk(workspace, disk)
                except OSError as error:
                    report.skip("powercuts", f"a disk cannot be created and mounted: {error}")
                    return
                workspace.known_migrations = set()
            power_cut_round = PowerCutRound(
                disk, defect, "powercuts", turn, report, workspace, datasets, seed, durations
            )
            if not power_cut_round.run(data_dir):
                data_dir = None
            report.add("turns of power cuts")
            if turn % 10 == 9:
                cuts = report.figures["power cuts"]
                report.log(f"{turn + 1} turns, {cuts:,} power cuts, {len(report.findings)} findings")
    finally:
        disk.remove()
        workspace.remove("powercuts")
