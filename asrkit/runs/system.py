"""How busy this machine is: processor, memory, and its NVIDIA GPUs where there are any."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psutil

MIN_INTERVAL_S = 2.0
"""Least time between two looks, however many pages ask."""

TIMEOUT_S, RETRY_S = 10.0, 120.0
"""Seconds that a GPU's driver has to answer, and for which one that did not is left alone."""

QUERY = ("name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu")


@dataclass(frozen=True)
class Gpu:
    """utilisation is a share, memory in bytes, temperature in degrees Celsius; None where the driver does not say."""

    name: str
    utilization: float | None
    memory_used_bytes: float | None
    memory_total_bytes: float | None
    temperature_c: float | None


@dataclass(frozen=True)
class SystemLoad:
    """cpu: share of all cores. Memory in bytes; `used` is what is not available."""

    cpu: float
    memory_used_bytes: int
    memory_total_bytes: int
    gpus: list[Gpu] = field(default_factory=list)


class SystemMonitor:
    """The load of a moment ago. A GPU's driver may take seconds to answer, so nobody waits for it: a thread looks."""

    def __init__(self) -> None:
        self._known: SystemLoad | None = None
        self._asked = float("-inf")
        self._lock = threading.Lock()
        self._times = psutil.cpu_times()

    def load(self) -> SystemLoad | None:
        """None before the first look is over."""
        with self._lock:
            stale = time.monotonic() - self._asked > MIN_INTERVAL_S
            if stale:
                self._asked = time.monotonic()
        if stale:
            threading.Thread(target=self._look, daemon=True, name="system").start()
        return self._known

    def _look(self) -> None:
        before, self._times = self._times, psutil.cpu_times()
        self._known = measure_load(cpu_utilization(before, self._times))


def measure_load(cpu: float) -> SystemLoad:
    """The load now, where the share of the processor is known."""
    memory = psutil.virtual_memory()
    return SystemLoad(cpu, memory.total - memory.available, memory.total, query_gpus())


def cpu_utilization(before: Any, now: Any) -> float:
    """Share of the time between two `psutil.cpu_times()` in which the cores worked.

    Not `psutil.cpu_percent`: it remembers for each thread of its own, and ours look once.
    """
    spent = {name: getattr(now, name) - getattr(before, name) for name in now._fields}
    whole = sum(spent.values()) - spent.get("guest", 0.0) - spent.get("guest_nice", 0.0)  # they are in user and nice
    idle = spent["idle"] + spent.get("iowait", 0.0)
    return min(1.0, max(0.0, 1 - idle / whole)) if whole > 0 else 0.0


class NvidiaSmi:
    """`nvidia-smi`, asked by one at a time. One that failed or hangs is taken for no GPU at once, by everybody, and
    asked again every REST_S while nobody waits for it."""

    def __init__(self) -> None:
        self._failed: dict[str, float] = {}
        self._lock = threading.Lock()

    def gpus(self) -> list[Gpu]:
        """What it says; nothing where there is none, or where it fails."""
        program = shutil.which("nvidia-smi")
        if not program:
            return []
        with self._lock:
            failed = self._failed.get(program)
            if failed is None:
                return self._ask(program)
            if time.monotonic() - failed > RETRY_S:
                self._failed[program] = time.monotonic()
                threading.Thread(target=self._ask, args=[program], daemon=True, name="driver").start()
        return []

    def _ask(self, program: str) -> list[Gpu]:
        rows = [[cell.strip() for cell in line.split(",")] for line in _said(program).splitlines()]
        found = [_gpu(row) for row in rows if len(row) == len(QUERY)]
        if found:
            self._failed.pop(program, None)
        else:
            self._failed[program] = time.monotonic()
        return found


query_gpus = NvidiaSmi().gpus


def _said(program: str) -> str:
    """What the driver's program prints; nothing where it fails or has not answered after TIMEOUT_S."""
    command = [program, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return ""
    try:
        told = process.communicate(timeout=TIMEOUT_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        process.stdout.close()
        # One that hangs in the kernel cannot be killed: `subprocess.run` would wait for it for ever.
        threading.Thread(target=process.wait, daemon=True, name="driver").start()
        return ""
    return told if process.returncode == 0 else ""


def _gpu(row: list[str]) -> Gpu:
    busy, used, total, heat = (_number(cell) for cell in row[1:])
    return Gpu(
        row[0],
        None if busy is None else busy / 100,
        None if used is None else used * 2**20,
        None if total is None else total * 2**20,
        heat,
    )


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:  # [N/A], [Not Supported]
        return None
