"""The steps between two `train` events: losses, clips without a loss, and speed."""

from __future__ import annotations

import time
from typing import Any

import torch

from asrkit.training.arguments import peak_memory_bytes
from asrkit.training.findings import find_infeasible_clips


class StepLog:
    """The batches of this process since the last `train` event.

    losses: of each batch, with its clips. infeasible: of each batch, which clips have labels that need more frames than
    they have (clips,), with the clips. Neither is read from the GPU before the next event.
    """

    def __init__(self) -> None:
        self.losses: list[tuple[torch.Tensor, list[int]]] = []
        self.infeasible: list[tuple[torch.Tensor, list[int]]] = []
        self._num_steps, self._steps_s, self._first_step_s = 0, 0.0, 0.0
        self.restart_clock()

    def add(self, clips: list[int], loss: torch.Tensor, infeasible: torch.Tensor, audio_s: float) -> None:
        """Add a batch."""
        self.losses.append((loss, clips))
        self.infeasible.append((infeasible, clips))
        self._audio_s += audio_s

    def restart_clock(self) -> None:
        """Measure training speed from now on; evaluations and checkpoints do not count."""
        self._audio_s, self._since = 0.0, time.monotonic()
        self._step_since = self._since

    def end_step(self) -> None:
        """Count an optimizer step. The time of the first one, which allocates, only counts until there is another."""
        now = time.monotonic()
        self._num_steps, self._steps_s = self._num_steps + 1, self._steps_s + now - self._step_since
        if self._num_steps == 1:
            self._first_step_s = self._steps_s
        self._step_since = now

    @property
    def step_s(self) -> float:
        """Mean time of a step, in seconds, without evaluations and checkpoints; 0 before the first one."""
        if self._num_steps < 2:
            return self._steps_s
        return (self._steps_s - self._first_step_s) / (self._num_steps - 1)

    def make_metrics(self, logs: dict[str, float], num_processes: int, loss_scale: float | None) -> dict[str, Any]:
        """Return the data of a `train` event from Trainer's report and these batches, and measure speed anew."""
        speed = self._audio_s / max(time.monotonic() - self._since, 1e-6)
        self.restart_clock()
        metrics = {
            "loss": float(logs["loss"]),
            "learning_rate": logs["learning_rate"],
            "audio_seconds_per_second": round(speed * num_processes, 2),
        }
        if "grad_norm" in logs:
            metrics["grad_norm"] = float(logs["grad_norm"])
        metrics["memory_gb"] = round(peak_memory_bytes() / 2**30, 3)
        if loss_scale is not None:
            metrics["loss_scale"] = loss_scale
        return metrics

    def take_losses(self) -> list[tuple[torch.Tensor, list[int]]]:
        """Return the losses, and forget them."""
        losses, self.losses = self.losses, []
        return losses

    def take_infeasible_clips(self) -> list[int]:
        """Return the clips whose labels need more frames than they have, and forget them."""
        infeasible, self.infeasible = self.infeasible, []
        return find_infeasible_clips(infeasible)
