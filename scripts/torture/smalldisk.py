"""A full disk: a disk of 8 MB fills up. The server reports errors, and finishes the migration on the enlarged disk."""

import os
import random
import shutil
import subprocess

from server_process import ServerProcess
from turn import Turn, new_workload, run_until

#: Size of the disk before and after its enlargement.
SIZE, ENLARGED = "8m", "256m"

#: Steps during which the disk fills up, one a turn.
STEPS = ["load", "load", "validate", "import", "import", "counts"]


def mount(folder, size):
    """Mounts a disk of this size. Returns the error or none."""
    folder.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "torture", str(folder)], capture_output=True, text=True
    )
    return result.stderr.strip() if result.returncode else None


def unmount(folder):
    """Unmounts the disk."""
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=False)
        if os.path.ismount(folder):
            subprocess.run(["umount", "-l", str(folder)], check=False)


class FullDiskTurn(Turn):
    """A migration on a disk that is too small for it."""

    def run(self, seed, datasets):
        """Runs the turn."""
        rng = random.Random(f"{seed}:{self.part}:{self.turn}")
        step = STEPS[self.turn % len(STEPS)]
        disk = self.workspace.folder / "disk"
        unmount(disk)
        self.directory = disk
        # The plugins alone are larger than this disk, so they are stored elsewhere.
        plugin_dir = self.workspace.new_data_dir("aside")
        (plugin_dir / "plugins").mkdir()
        workload, reference = new_workload(datasets, rng, 2_500 if step == "load" else rng.choice([40, 200, 700]))
        error = mount(disk, SIZE)
        if error:
            raise OSError(f"a disk of {SIZE} cannot be mounted: {error}")
        try:
            for folder in ("plugins", "plugin-cache"):
                (disk / folder).symlink_to(plugin_dir / folder)
            self.run_with_full_disk(workload, reference, step, rng, disk)
        finally:
            unmount(disk)
            self.workspace.remove("aside")
            shutil.rmtree(disk, ignore_errors=True)

    def run_with_full_disk(self, workload, reference, step, rng, disk):
        """Runs the migration to a step and then with almost no free space."""
        outcomes, context = [], f"disk full during {step}"
        server = self.start_server()
        if server is None:
            return
        with server:
            run_until(workload, server, step)
            free = shutil.disk_usage(disk).free
            keep_free = rng.choice([0, 4 << 10, 64 << 10, 300 << 10, 1 << 20])
            if step != "load" or rng.random() < 0.5:
                fill(disk / "filler", max(0, free - keep_free))
            self.advance(workload, server, outcomes.append)
            # Retries once, as a client would.
            if not workload.is_done():
                self.advance(workload, server, outcomes.append)
            full = not workload.is_done()
            self.report.add("turns with a full disk", full)
            if server.process.poll() is not None:
                self.add_finding("wrong", f"{context}: the server ended by itself [{server.log_text()[-300:]}]")
            restarted_full = full and rng.random() < 0.4
            if full and not restarted_full and rng.random() < 0.6:
                self.check_enlarged(server, workload, disk, context)
            if restarted_full:
                server.kill()
        if restarted_full:
            self.check_start_on_full_disk(workload, context)
        if enlarge(disk):
            raise OSError("a disk cannot be enlarged")
        (disk / "filler").unlink(missing_ok=True)
        self.recover(workload, reference, f"{context} {outcomes}, enlarged and restarted")

    def check_enlarged(self, server, workload, disk, context):
        """Enlarges the disk while the server runs. The server must continue or report that it needs a restart."""
        if enlarge(disk):
            raise OSError("a disk cannot be enlarged")
        (disk / "filler").unlink(missing_ok=True)
        outcome_after = []
        self.advance(workload, server, outcome_after.append)
        self.report.add("turns continued without a restart" if workload.is_done() else "turns that needed a restart")
        if any(
            message in outcome_after[0] for message in ["no worker runs it", "no job runs", "exceeds the time limit"]
        ):
            self.add_finding("stuck", f"{context}, then enlarged: {outcome_after[0]}")

    def check_start_on_full_disk(self, workload, context):
        """Starts a server while the disk is full. It must serve the acknowledged records or end with a message."""
        try:
            server = ServerProcess(self.workspace.binary, self.directory)
        except Exception as failure:
            self.report.note(f"on a full disk the server does not start: {str(failure)[-160:]!r}")
            return
        with server:
            self.check_durable(server, workload, f"{context}, restarted on the full disk")
            self.advance(workload, server, lambda message: None)
            server.kill()


def enlarge(disk):
    """Enlarges the disk. Returns 0 on success."""
    return subprocess.run(["mount", "-o", f"remount,size={ENLARGED}", str(disk)], capture_output=True).returncode


def fill(path, count):
    """Writes this number of bytes to a file, or fewer if the disk is full before."""
    with open(path, "wb", buffering=0) as file:
        try:
            while count > 0:
                count -= file.write(b"\0" * min(count, 1 << 16))
        except OSError:
            pass


def run(report, workspace, datasets, seed, turns, out_of_time, only=None):
    """Runs turns."""
    for turn in [only] if only is not None else range(max(1, turns // 5)):
        if out_of_time():
            break
        try:
            FullDiskTurn("smalldisk", turn, report, workspace).run(seed, datasets)
        except OSError as error:
            report.skip("smalldisk", str(error))
            return
        report.add("turns on a disk of 8 MB")
