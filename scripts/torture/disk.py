"""A simulated disk for a data directory: an ext4 file system in a file, whose power can be cut.

A power cut uses the shutdown call of the file system, as `godown` of xfstests does. After it, nothing more is written,
data in memory is lost, and the next mount recovers from the journal of the file system. A copy of the file would mix
states of different times. A kill of the server would keep the page cache and so hide a missing fsync.
"""

import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path

#: `EXT4_IOC_SHUTDOWN` and its flag `EXT4_GOING_FLAGS_NOLOGFLUSH`, which does not flush the file system's journal.
SHUTDOWN, NO_FLUSH_FLAG = 0x8004587D, struct.pack("I", 2)

#: Size of the file in bytes. The file is sparse.
SIZE = 2 << 30

#: Mount options. The long commit interval makes the file system write almost nothing without an fsync.
OPTIONS = "loop,commit=300,noinit_itable"

#: Mount options with which the file system becomes read-only after an error, as is usual.
REMOUNT_OPTIONS = "loop,noinit_itable,errors=remount-ro"


class Disk:
    """A disk in a file, mounted on a folder."""

    def __init__(self, image, folder, options=OPTIONS):
        self.image, self.folder, self.options = image, folder, options
        self.off = False

    def format(self):
        """Creates an empty file system and mounts it."""
        self.unmount()
        self.image.unlink(missing_ok=True)
        with self.image.open("wb") as file:
            file.truncate(SIZE)
        run_command(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.image])
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mount()

    def mount(self):
        """Mounts the file system."""
        run_command(["mount", "-t", "ext4", "-o", self.options, self.image, self.folder])
        self.off = False

    def cut_power(self):
        """Cuts the power."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, NO_FLUSH_FLAG)
        finally:
            os.close(folder)
        self.off = True

    def restore_power(self):
        """Restores the power after a cut, by mounting again. No process may use the disk."""
        if self.off:
            self.unmount()
            self.mount()

    def trigger_error(self):
        """Triggers an error in the file system, which then becomes read-only. The power stays on."""
        device = run_command(["findmnt", "-n", "-o", "SOURCE", "--mountpoint", self.folder]).strip()
        if not device.startswith("/dev/loop"):
            raise OSError(f"{device} is not a loop device")
        Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("1")

    def repair(self):
        """Checks the file system after an error and mounts it again. No process may use the disk."""
        self.unmount()
        subprocess.run(["e2fsck", "-fy", self.image], capture_output=True)
        self.mount()

    def unmount(self):
        """Unmounts the file system. Retries, because a process that just ended may still use it."""
        deadline = time.monotonic() + 10
        while os.path.ismount(self.folder):
            result = subprocess.run(["umount", self.folder], capture_output=True, text=True)
            if result.returncode and time.monotonic() > deadline:
                raise OSError(result.stderr.strip())
            if result.returncode:
                time.sleep(0.02)
        self.off = False

    def remove(self):
        """Unmounts the file system and removes the file."""
        self.unmount()
        self.image.unlink(missing_ok=True)


def run_command(arguments):
    """Runs a command and returns its output. Raises `OSError` if it fails."""
    result = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True)
    if result.returncode:
        raise OSError(f"{arguments[0]}: {result.stderr.strip() or result.returncode}")
    return result.stdout
