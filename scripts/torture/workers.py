"""Workers: processes that run plugins are killed at random times. No record may be lost, doubled or blamed."""

import os
import random
import signal
import threading
from pathlib import Path

from client import Workload
from kills import draw_size
from server_process import ServerProcess
from turn import Turn

#: Number of worker kills in a turn, and the longest pause between two of them in seconds.
KILLS, LONGEST_PAUSE = 40, 0.05

#: Small batches, so that a kill more often falls between two of them. Idle workers are killed as well.
CONFIG = "[upload]\nbatch_records = 50\n"


def worker_processes(server):
    """Returns the ids of the server's child processes."""
    children = []
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        try:
            children += [int(child) for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            # The thread has ended.
            pass
    return children


class WorkerKiller(threading.Thread):
    """A thread that kills random workers until it is stopped."""

    def __init__(self, server, rng):
        super().__init__(daemon=True)
        self.server, self.rng = server, rng
        self.killed, self.stopped = 0, threading.Event()

    def run(self):
        """Kills workers with random pauses."""
        while not self.stopped.wait(self.rng.uniform(0, LONGEST_PAUSE)):
            workers = worker_processes(self.server)
            if not workers:
                continue
            try:
                os.kill(self.rng.choice(workers), signal.SIGKILL)
                self.killed += 1
            except ProcessLookupError:
                pass


class WorkersTurn(Turn):
    """Migrations on one server whose workers are killed."""

    def run(self, seed, datasets):
        """Runs migrations while workers are killed, and reconciles them."""
        rng = random.Random(f"{seed}:{self.part}:{self.turn}")
        self.directory = self.workspace.new_data_dir("workers")
        with ServerProcess(self.workspace.binary, self.directory, config=CONFIG) as server:
            samples, killed = [], 0
            while killed < KILLS:
                dataset, reference = datasets.get(min(draw_size(rng), 700), rng.randrange(2))
                workload = Workload(dataset, random.Random(rng.random()))
                killer = WorkerKiller(server, random.Random(rng.random()))
                killer.start()
                completed = self.run_workload(server, workload, "with killed workers")
                killer.stopped.set()
                killer.join()
                killed += killer.killed
                self.report.add("worker kills", killer.killed)
                if not completed:
                    return
                samples.append((workload, reference))
            self.reconcile_all(server, samples, "with killed workers")


def run(report, workspace, datasets, seed, turns, out_of_time, only=None):
    """Runs turns."""
    for turn in [only] if only is not None else range(max(1, turns // 4)):
        if out_of_time():
            break
        WorkersTurn("workers", turn, report, workspace).run(seed, datasets)
        report.add("turns of worker kills")
        if turn % 5 == 4:
            report.log(f"{report.figures['worker kills']:,} worker kills, {len(report.findings)} findings")
    workspace.remove("workers")
