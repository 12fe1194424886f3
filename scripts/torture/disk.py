"""A disk of its own for a data directory, that can lose its power: an ext4 file system in a file.

The power is cut by the file system's own call for it, as xfstests' `godown` does: at one moment nothing more is
written, what is only in memory is lost, and the next mount recovers from the file system's journal. Copying the file
meanwhile would mix moments; and a killed server leaves the page cache, so that a forgotten fsync is never noticed.
"""

import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path

#: `EXT4_IOC_SHUTDOWN`, and its flag `EXT4_GOING_FLAGS_NOLOGFLUSH`: without writing out the file system's journal.
SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, struct.pack("I", 2)

#: Of the file, which has holes.
BYTES = 2 << 30

#: The file system writes out what it holds of its own accord every so many seconds; here hardly ever.
OPTIONS = "loop,commit=300,noinit_itable"

#: After a mistake in itself it turns read-only, as most are told to.
CAREFUL = "loop,noinit_itable,errors=remount-ro"


class Disk:
    """A disk in a file, mounted on a folder."""

    def __init__(self, image, folder, options=OPTIONS):
        self.image, self.folder, self.options = image, folder, options
        self.off = False

    def make(self):
        """Makes it anew, mounted and empty."""
        self.unmount()
        self.image.unlink(missing_ok=True)
        with self.image.open("wb") as file:
            file.truncate(BYTES)
        command(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", self.image])
        self.folder.mkdir(parents=True, exist_ok=True)
        self.mount()

    def mount(self):
        """Mounts it, whatever was done to it."""
        command(["mount", "-t", "ext4", "-o", self.options, self.image, self.folder])
        self.off = False

    def cut(self):
        """Takes the power away."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, WITHOUT_FLUSH)
        finally:
            os.close(folder)
        self.off = True

    def restore(self):
        """Power again, if it was taken away: nobody uses the disk any more."""
        if self.off:
            self.unmount()
            self.mount()

    def fail(self):
        """Makes the file system find a mistake in itself, for which it turns read-only; the power stays."""
        device = command(["findmnt", "-n", "-o", "SOURCE", "--mountpoint", self.folder]).strip()
        if not device.startswith("/dev/loop"):
            raise OSError(f"{device} is no disk in a file")
        Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("1")

    def mend(self):
        """Checked and mounted again, after it has failed: nobody uses the disk any more."""
        self.unmount()
        subprocess.run(["e2fsck", "-fy", self.image], capture_output=True)
        self.mount()

    def unmount(self):
        """Takes it away; whoever was ended a moment ago may still hold it."""
        until = time.monotonic() + 10
        while os.path.ismount(self.folder):
            done = subprocess.run(["umount", self.folder], capture_output=True, text=True)
            if done.returncode and time.monotonic() > until:
                raise OSError(done.stderr.strip())
            if done.returncode:
                time.sleep(0.02)
        self.off = False

    def remove(self):
        """Nothing of it is left."""
        self.unmount()
        self.image.unlink(missing_ok=True)


def command(words):
    """Runs it; what it says. Where it fails, an `OSError` says that."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{words[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout
