"""What processes cost, as the kernel counts it, and what figures are taken from many samples."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import psutil


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used by itself, without its children, in seconds."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def pss_kib(pid: int) -> int:
    """Proportional set size in KiB: private memory, and of shared memory the process's part (man 5 proc)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0])
    raise ValueError(f"the kernel tells no Pss of process {pid}")


def settled_pss_kib(pid: int, seconds: float = 5.0) -> int:
    """The same after some quiet seconds."""
    time.sleep(seconds)
    return pss_kib(pid)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which so many hundredths of all values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share / 100 * (len(ordered) - 1)))]


def median(values: Sequence[float]) -> float:
    """The value in the middle."""
    return statistics.median(values)


class CpuShare:
    """Processor time of some processes between two moments."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._begun = time.monotonic()
        self._before = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def seconds(self) -> dict[str, float]:
        """Since the beginning, by name."""
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}

    def percent_of_a_core(self) -> dict[str, float]:
        """The same as a share of one core, in per cent."""
        passed = time.monotonic() - self._begun
        return {name: 100 * used / passed for name, used in self.seconds().items()}
