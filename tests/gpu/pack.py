"""What every part uses: its results, the device, sizes and time."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from tests.gpu.report import FAILED, MEASURED, PASSED, SKIPPED, Row

Value = TypeVar("Value")


class RowFile:
    """Appends a part's results to a file, so that they survive its end by force."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _append(self, record: dict[str, Any]) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def begin(self, device: str, is_small: bool) -> None:
        self._append({"header": {"device": device, "is_small": is_small}})

    def add(self, row: Row) -> None:
        print(row, flush=True)
        self._append({"row": asdict(row)})

    def end(self, status: str, message: str) -> None:
        """status: empty where the rows tell."""
        self._append({"end": {"status": status, "message": message}})


class Pack:
    """folder: for files of this part. device: "cuda" or "cpu". is_small: without a GPU, and on request."""

    def __init__(self, folder: Path, rows: RowFile, small: bool) -> None:
        import torch

        self.folder, self._rows = folder, rows
        self.has_gpu = torch.cuda.is_available()
        self.device = torch.device("cuda" if self.has_gpu else "cpu")
        self.is_small = small or not self.has_gpu
        self.device_name = torch.cuda.get_device_name() if self.has_gpu else "CPU"
        self.synchronize()  # CUDA's context takes its memory now, not while a part measures
        rows.begin(self.device_name, self.is_small)

    # Results

    def check(self, name: str, passed: bool, detail: str = "") -> None:
        """Add a check."""
        self._rows.add(Row(name, PASSED if passed else FAILED, detail=detail))

    def measure(
        self,
        name: str,
        value: float,
        unit: str = "",
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        is_exact: bool = False,
        detail: str = "",
    ) -> None:
        """Add a figure. Its goal counts at full size on a GPU, and with `is_exact` (not a matter of speed) always."""
        goal = f">= {at_least:g}" if at_least is not None else f"<= {at_most:g}" if at_most is not None else ""
        status = MEASURED
        if goal and (is_exact or not self.is_small):
            reached = value >= at_least if at_least is not None else at_most is not None and value <= at_most
            status = PASSED if reached else FAILED
        self._rows.add(Row(name, status, value, unit, goal, detail))

    def skip(self, name: str, reason: str) -> None:
        self._rows.add(Row(name, SKIPPED, detail=reason))

    # Size and time

    def pick(self, full: Value, small: Value) -> Value:
        """Return the value for this size."""
        return small if self.is_small else full

    def synchronize(self) -> None:
        """Wait until the GPU has done its work."""
        if self.has_gpu:
            import torch

            torch.cuda.synchronize()

    def time(self, work: Callable[[], Value], repeat: int = 1) -> tuple[float, Value]:
        """Return the seconds of the fastest of several calls, the GPU's work included, and the last result."""
        seconds = []
        for _ in range(repeat):
            self.synchronize()
            started = time.perf_counter()
            result = work()
            self.synchronize()
            seconds.append(time.perf_counter() - started)
        return min(seconds), result

    # Memory

    def free(self) -> None:
        """Return unused memory to the GPU."""
        gc.collect()
        if self.has_gpu:
            import torch

            torch.cuda.empty_cache()

    def reset_peak(self) -> None:
        self.free()
        if self.has_gpu:
            import torch

            torch.cuda.reset_peak_memory_stats()

    def peak_gb(self) -> float:
        """Return the most memory allocated since `reset_peak`; of the process where there is no GPU."""
        from asrkit.training.arguments import peak_memory_bytes

        return peak_memory_bytes() / 2**30

    def total_gb(self) -> float:
        """Return the GPU's memory, 0 without one."""
        import torch

        return torch.cuda.get_device_properties(0).total_memory / 2**30 if self.has_gpu else 0.0


def asrkit(*arguments: str, timeout_s: float = 300.0, check: bool = True) -> str:
    """Run `python -m asrkit` and return its output; RuntimeError with the end of it where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "asrkit", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
    )
    if check and done.returncode:
        raise RuntimeError(f"asrkit {' '.join(arguments[:2])} failed: {done.stdout[-1500:]}")
    return done.stdout


def set_flags(settings: dict[str, Any]) -> Sequence[str]:
    """Return the flags of `asrkit train` for these settings."""
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
