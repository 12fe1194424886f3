#!/usr/bin/env python3
"""Shows that the shutdown of ext4 lets an fsync that is in flight return success for data that it then loses.

A child process has some threads. Each appends to a file of its own, calls fsync, and counts the appends whose fsync
succeeded in shared memory. The parent cuts the power and kills the child, in one of two orders, and compares the counts
with the files after the next mount:

- `cut-first`: the shutdown, then SIGKILL. Acknowledged appends are missing now and then: fsync found its transaction
  already finished, and does not see that it was aborted.
- `kill-first`: SIGKILL, then the shutdown. No thread returns from an fsync, so nothing false is counted. The part
  `powercuts` uses this order.

Usage: fsync_race.py [ROUNDS]. Needs root. Exits with 1 if the order `kill-first` lost an append.
"""

import mmap
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from disk import Disk

#: Threads of the child; a file each.
THREADS = 8

#: Bytes of an append.
APPEND = 64

#: Bytes of a count.
COUNT = 8


def append_for_ever(path, counts, thread):
    """Appends and syncs until the file system fails. Counts each append whose fsync succeeded."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    done = 0
    while True:
        os.write(file, b"x" * APPEND)
        os.fsync(file)
        done += 1
        counts[thread * COUNT : (thread + 1) * COUNT] = done.to_bytes(COUNT, "little")


def append_until_killed(folder, counts):
    """Runs all threads in the child process. A thread that fails ends alone."""
    threading.excepthook = lambda _: None
    for thread in range(THREADS):
        arguments = (folder / str(thread), counts, thread)
        threading.Thread(target=append_for_ever, args=arguments, daemon=True).start()
    signal.pause()


def run_round(disk, order):
    """Runs one child until a cut. Returns how many appends it acknowledged and how many of them are lost."""
    for thread in range(THREADS):
        (disk.folder / str(thread)).write_bytes(b"")
    os.sync()
    counts = mmap.mmap(-1, THREADS * COUNT)
    child = os.fork()
    if child == 0:
        append_until_killed(disk.folder, counts)
    time.sleep(random.uniform(0.02, 0.08))
    if order == "cut-first":
        disk.cut_power()
        os.kill(child, signal.SIGKILL)
    else:
        os.kill(child, signal.SIGKILL)
        disk.cut_power()
    os.waitpid(child, 0)
    disk.restore_power()
    acknowledged = lost = 0
    for thread in range(THREADS):
        count = int.from_bytes(counts[thread * COUNT : (thread + 1) * COUNT], "little")
        acknowledged += count
        lost += max(0, count - (disk.folder / str(thread)).stat().st_size // APPEND)
    return acknowledged, lost


def main():
    """Runs both orders and prints a line for each; returns the exit code."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    lost_in_last_order = 0
    with tempfile.TemporaryDirectory() as folder:
        for order in ["cut-first", "kill-first"]:
            disk = Disk(Path(folder, "disk.img"), Path(folder, "mount"))
            try:
                disk.format()
                results = [run_round(disk, order) for _ in range(rounds)]
            finally:
                disk.remove()
            acknowledged, lost = (sum(column) for column in zip(*results, strict=True))
            print(f"{order}: {rounds} cuts, {acknowledged:,} acknowledged appends, {lost} lost")
            lost_in_last_order = lost
    return 1 if lost_in_last_order else 0


if __name__ == "__main__":
    sys.exit(main())
