"""How busy this machine is: processor, memory, and its NVIDIA GPUs where there are any."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field

import psutil

EVERY_S = 2.0
"""Least time between two looks, however many pages ask."""

QUERY = ("name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu")


@dataclass(frozen=True)
class Gpu:
    """utilisation is a share, memory in bytes, temperature in degrees Celsius; None where the driver does not say."""

    name: str
    utilisation: float | None
    memory_used: float | None
    memory_total: float | None
    temperature: float | None


@dataclass(frozen=True)
class Load:
    """cpu: share of all cores. Memory in bytes; `used` is what is not available."""

    cpu: float
    memory_used: int
    memory_total: int
    gpus: list[Gpu] = field(default_factory=list)


class System:
    """The load of a moment ago. A GPU's driver may take seconds to answer, so nobody waits for it: a thread looks."""

    def __init__(self) -> None:
        self._known: Load | None = None
        self._asked = float("-inf")
        self._lock = threading.Lock()

    def load(self) -> Load | None:
        """None before the first look is over."""
        with self._lock:
            stale = time.monotonic() - self._asked > EVERY_S
            if stale:
                self._asked = time.monotonic()
        if stale:
            threading.Thread(target=self._look, daemon=True, name="system").start()
        return self._known

    def _look(self) -> None:
        self._known = look()


def look() -> Load:
    """The load now; the share of the processor is that since the last look."""
    memory = psutil.virtual_memory()
    return Load(psutil.cpu_percent(interval=None) / 100, memory.total - memory.available, memory.total, gpus())


def gpus() -> list[Gpu]:
    """What `nvidia-smi` says; nothing where there is none, or where it fails."""
    program = shutil.which("nvidia-smi")
    if not program:
        return []
    command = [program, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in told.splitlines()]
    return [_gpu(row) for row in rows if len(row) == len(QUERY)]


def _gpu(row: list[str]) -> Gpu:
    busy, used, total, heat = (_number(cell) for cell in row[1:])
    return Gpu(row[0], None if busy is None else busy / 100, None if used is None else used * 2**20,
               None if total is None else total * 2**20, heat)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:  # [N/A], [Not Supported]
        return None
