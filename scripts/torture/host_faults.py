"""Faults of the host of a running server: a clock that jumps, a disk that becomes read-only."""

import random
import threading
from pathlib import Path

from client import RequestRejected
from disk import REMOUNT_OPTIONS, Disk
from server_process import ServerProcess
from turn import Turn, new_workload, run_until

#: Offsets to which the clock jumps.
CLOCK_OFFSETS = ["-40d", "-1h", "-10s", "+0", "+10s", "+1h", "+40d"]

#: Number of runs of the steps, including those with a new token. Their jobs fit on one page of a list.
REPETITIONS = 30


def faketime_library():
    """Returns the path of the library that sets the clock of a process, or none if it is not installed."""
    paths = [
        *Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"),
        *Path("/usr/lib").glob("faketime/libfaketimeMT.so.1"),
    ]
    return str(paths[0]) if paths else None


def clock_environment():
    """Returns the environment of a process with its own clock. The clock of the machine does not change."""
    return {"LD_PRELOAD": faketime_library(), "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


class ClockJumpTurn(Turn):
    """A migration on a server whose clock jumps forward and back."""

    def run(self, seed, datasets):
        """Runs the turn. Finishes the migration with a correct clock."""
        if not faketime_library():
            self.report.skip("clock that jumps", "libfaketime is not installed")
            return
        rng = random.Random(f"{seed}:{self.part}:{self.turn}")
        self.directory = self.workspace.new_data_dir("afflicted")
        workload, reference = new_workload(datasets, rng, 200)
        offset_file = self.workspace.folder / "clock"
        offset_file.write_text("+0")
        environment = {**clock_environment(), "FAKETIME_TIMESTAMP_FILE": str(offset_file), "FAKETIME_NO_CACHE": "1"}
        stop = threading.Event()

        def jump():
            while not stop.wait(rng.uniform(0.02, 0.4)):
                next_offset = offset_file.with_suffix(".next")
                next_offset.write_text(rng.choice(CLOCK_OFFSETS))
                next_offset.replace(offset_file)
                self.report.add("clock jumps")

        with ServerProcess(self.workspace.binary, self.directory, environment=environment) as server:
            jumps = threading.Thread(target=jump, daemon=True)
            jumps.start()
            try:
                self.run_with_new_tokens(workload, server)
            finally:
                stop.set()
                jumps.join()
        if self.clean:
            self.recover(workload, reference, "the clock has jumped and is correct again")

    def run_with_new_tokens(self, workload, server):
        """Runs the migration repeatedly. Fetches a new token when a jump has expired the last one."""
        for _ in range(REPETITIONS):
            try:
                workload.run(server)
                # The steps are repeated so that jumps occur during each of them.
                workload.step = "validate"
            except RequestRejected as rejection:
                if rejection.status != 401:
                    return self.add_finding("wrong", f"the clock jumps, and {workload.step} is rejected [{rejection}]")
                server.forget_token()
            except Exception as failure:
                return self.add_finding("wrong", f"the clock jumps, and {workload.step}: {failure!r}")


class ReadOnlyDiskTurn(Turn):
    """A migration on a disk that becomes read-only during a step and is then repaired."""

    def run(self, seed, datasets):
        """Runs the turn."""
        rng = random.Random(f"{seed}:{self.part}:{self.turn}")
        step = rng.choice(["load", "load", "validate", "import", "import", "counts"])
        workload, reference = new_workload(datasets, rng, rng.choice([40, 200, 700]))
        self.workspace.remove("afflicted")
        disk = Disk(self.workspace.folder / "disk.img", self.workspace.folder / "afflicted", REMOUNT_OPTIONS)
        try:
            disk.format()
        except OSError as error:
            self.report.skip("disk that turns read-only", f"a disk cannot be created and mounted: {error}")
            return
        self.directory = self.workspace.with_plugin_cache(disk.folder)
        try:
            self.run_with_disk_error(workload, reference, step, rng, disk)
        finally:
            disk.remove()

    def run_with_disk_error(self, workload, reference, step, rng, disk):
        """Runs the migration to a step, triggers a disk error during it, and finishes on the repaired disk."""
        outcomes, context = [], f"the disk became read-only during {step}"
        with ServerProcess(self.workspace.binary, self.directory) as server:
            run_until(workload, server, step)
            timer = threading.Timer(rng.choice([0, 0.01, 0.1, 0.3]), disk.trigger_error)
            timer.start()
            try:
                self.advance(workload, server, outcomes.append)
            finally:
                timer.join()
            if not workload.is_done():
                self.advance(workload, server, outcomes.append)
            self.report.add("turns with a disk that became read-only", not workload.is_done())
            if server.process.poll() is not None:
                self.add_finding("wrong", f"{context}: the server ended by itself [{server.log_text()[-300:]}]")
            self.check_readable(server, workload, context)
            server.kill()
        disk.repair()
        self.recover(workload, reference, f"{context} {outcomes}, repaired and restarted")
