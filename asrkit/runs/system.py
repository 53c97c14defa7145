"""The load of this machine: processor, memory, and its NVIDIA GPUs where there are any."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psutil

MIN_INTERVAL_S = 2.0
"""Least time between two measurements, however many pages ask."""

TIMEOUT_S, RETRY_S = 10.0, 120.0
"""Time that the GPU's driver has to answer, and for which it is left alone after it failed."""

QUERY = ("name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu")


@dataclass(frozen=True)
class Gpu:
    """utilization is a share of 1; None where the driver does not report a value."""

    name: str
    utilization: float | None
    memory_used_bytes: float | None
    memory_total_bytes: float | None
    temperature_c: float | None


@dataclass(frozen=True)
class SystemLoad:
    """cpu: busy share of all cores. memory_used_bytes: what is not available."""

    cpu: float
    memory_used_bytes: int
    memory_total_bytes: int
    gpus: list[Gpu] = field(default_factory=list)


BUSY_SHARE = 0.8
"""Of all cores: where so many have had work for a minute, a run gets less than it was measured with."""


def is_busy() -> bool:
    """Whether work has kept most cores of this machine busy for the last minute."""
    return psutil.getloadavg()[0] > BUSY_SHARE * (psutil.cpu_count() or 1)


class SystemMonitor:
    """The latest measured load. A GPU's driver may take seconds to answer, so a thread in the background measures."""

    def __init__(self) -> None:
        self._load: SystemLoad | None = None
        self._measured_at = float("-inf")
        self._lock = threading.Lock()
        self._times = psutil.cpu_times()

    def load(self) -> SystemLoad | None:
        """Return the latest load, None before the first measurement, and start a new one if it is old."""
        with self._lock:
            is_stale = time.monotonic() - self._measured_at > MIN_INTERVAL_S
            if is_stale:
                self._measured_at = time.monotonic()
        if is_stale:
            threading.Thread(target=self._measure, daemon=True, name="system").start()
        return self._load

    def _measure(self) -> None:
        before, self._times = self._times, psutil.cpu_times()
        self._load = measure_load(cpu_utilization(before, self._times))


def measure_load(cpu: float) -> SystemLoad:
    """Measure memory and GPUs; `cpu` is the busy share of the processor."""
    memory = psutil.virtual_memory()
    return SystemLoad(cpu, memory.total - memory.available, memory.total, query_gpus())


def cpu_utilization(before: Any, now: Any) -> float:
    """Return the busy share of the cores between two results of `psutil.cpu_times()`.

    `psutil.cpu_percent` keeps its state for each thread, and every measurement has a thread of its own.
    """
    spent = {name: getattr(now, name) - getattr(before, name) for name in now._fields}
    total = sum(spent.values()) - spent.get("guest", 0.0) - spent.get("guest_nice", 0.0)  # contained in user and nice
    idle = spent["idle"] + spent.get("iowait", 0.0)
    return min(1.0, max(0.0, 1 - idle / total)) if total > 0 else 0.0


class NvidiaSmi:
    """Queries `nvidia-smi`, one call at a time.

    If it fails or hangs, there are no GPUs for all callers from then on, and it is tried again in the background every
    RETRY_S.
    """

    def __init__(self) -> None:
        self._failed_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def gpus(self) -> list[Gpu]:
        """Return the GPUs; an empty list if there are none or the driver fails."""
        program = shutil.which("nvidia-smi")
        if not program:
            return []
        with self._lock:
            failed_at = self._failed_at.get(program)
            if failed_at is None:
                return self._query(program)
            if time.monotonic() - failed_at > RETRY_S:
                self._failed_at[program] = time.monotonic()
                threading.Thread(target=self._query, args=[program], daemon=True, name="driver").start()
        return []

    def _query(self, program: str) -> list[Gpu]:
        rows = [[cell.strip() for cell in line.split(",")] for line in _run(program).splitlines()]
        gpus = [_parse_gpu(row) for row in rows if len(row) == len(QUERY)]
        if gpus:
            self._failed_at.pop(program, None)
        else:
            self._failed_at[program] = time.monotonic()
        return gpus


query_gpus = NvidiaSmi().gpus


def _run(program: str) -> str:
    """Return the output of the driver's program; empty if it fails or does not answer within TIMEOUT_S."""
    command = [program, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
    except OSError:
        return ""
    try:
        output = process.communicate(timeout=TIMEOUT_S)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        if process.stdout:
            process.stdout.close()
        # A process that hangs in the kernel cannot be killed: `subprocess.run` would wait for it forever.
        threading.Thread(target=process.wait, daemon=True, name="driver").start()
        return ""
    return output if process.returncode == 0 else ""


def _parse_gpu(row: list[str]) -> Gpu:
    percent, used, total, temperature_c = (_parse_number(cell) for cell in row[1:])
    return Gpu(
        row[0],
        None if percent is None else percent / 100,
        None if used is None else used * 2**20,
        None if total is None else total * 2**20,
        temperature_c,
    )


def _parse_number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:  # [N/A], [Not Supported]
        return None
