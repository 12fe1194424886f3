"""What the figures were measured on."""

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
    """The filesystem that a folder is on, and what kind of device holds it."""
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
    return f"{kind} on {known.get(turning, 'some device')}"


def describe(folder):
    """Processor, cores, memory, disk and kernel, in words."""
    kib = int(_first("/proc/meminfo", r"^MemTotal:\s+(\d+)", "0"))
    return {
        "processor": _first("/proc/cpuinfo", r"^model name\s*:\s*(.*)$", platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{kib / (1 << 20):.1f} GiB",
        "disk": _disk(folder),
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def sentence(machine, load):
    """The same in a line, with how busy the machine was before."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, {machine['disk']}, "
        f"{machine['kernel']}; load before: {load:.1f}"
    )


class Others:
    """How much of the processors went to others while we measured."""

    def __init__(self):
        self.began = self._now()

    @staticmethod
    def _now():
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        idle = fields[3] + fields[4]
        own = sum(os.times()[:4])
        return sum(fields[:8]), sum(fields[:8]) - idle, own * os.sysconf("SC_CLK_TCK")

    def share(self):
        """Of all processor time since the beginning, what others and the hypervisor took."""
        whole, busy, own = (now - then for now, then in zip(self._now(), self.began))
        return max(0.0, (busy - own) / whole) if whole else 0.0
