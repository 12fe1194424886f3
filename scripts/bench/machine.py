"""Description of the machine and of its load by other processes."""

import os
import platform
import re
from pathlib import Path


def _first(path, pattern, default="unknown"):
    try:
        found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    except OSError:
        return default
    return found[1].strip() if found else default


def _disk(folder):
    """Returns the file system of a folder and the kind of its device."""
    kind, point, device = "unknown", "", ""
    for line in Path("/proc/mounts").read_text().splitlines():
        of_device, at, of_kind = line.split()[:3]
        inside = f"{Path(folder).resolve()}/".startswith(at.rstrip("/") + "/")
        if inside and len(at) >= len(point):
            kind, point, device = of_kind, at, Path(of_device).resolve().name
    if device.startswith(("vd", "xvd")):
        return f"{kind} on a virtual disk"
    if device.startswith("nvme"):
        return f"{kind} on NVMe"
    turning = _first(f"/sys/block/{device.rstrip('0123456789')}/queue/rotational", r"(\d)")
    known = {"0": "a solid state disk", "1": "a spinning disk"}
    return f"{kind} on {known.get(turning, 'an unknown device')}"


def describe(folder):
    """Returns processor, cores, memory, disk and kernel."""
    kib = int(_first("/proc/meminfo", r"^MemTotal:\s+(\d+)", "0"))
    return {
        "processor": _first("/proc/cpuinfo", r"^model name\s*:\s*(.*)$", platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{kib / (1 << 20):.1f} GiB",
        "disk": _disk(folder),
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def summary_line(machine, load):
    """Returns the description in one line, with the load before the run."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, {machine['disk']}, "
        f"{machine['kernel']}; load before: {load:.1f}"
    )


class OtherLoad:
    """Measurement of the processor time used by other processes."""

    def __init__(self):
        self.start = self._now()

    @staticmethod
    def _now():
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        idle = fields[3] + fields[4]
        own = sum(os.times()[:4])
        return sum(fields[:8]), sum(fields[:8]) - idle, own * os.sysconf("SC_CLK_TCK")

    def share(self):
        """Returns the share of other processes and the hypervisor in the processor time since the start."""
        whole, busy, own = (now - then for now, then in zip(self._now(), self.start))
        return max(0.0, (busy - own) / whole) if whole else 0.0
