"""How much memory a run will need and how long it will take, before it starts: to the nearest half or double.

Memory: 4 bytes a weight, and 12 more for each that is trained (its gradient and Adam's two moments), all in float32;
and what the forward pass keeps for the backward pass: a Transformer layer about 16 hidden-sized and 3
intermediate-sized values a frame, the convolutions, where they are trained, 2.5 values an output. Counted with
PyTorch's hooks on wav2vec2 base and on a small one, in float32: 0.7 to 1.1 of what they kept.

Time: what the latest run of the same base model did here; without one, two processor cores take about 5e8 / weights
seconds of audio a second (measured at 94 M, 5.6 M and 1 M weights: 5.7e8, 3.7e8, 1.7e8). For a GPU only a run can tell.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError
from asrkit.models import checkpoints, resolution
from asrkit.runs import events
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore

FRAMES_A_SECOND = 50
SPEED_PER_CORE = 2.5e8  # weights x seconds of audio a second, for one core
MAX_SPEED_PER_CORE = 85.0  # seconds of audio a second a core: small models wait for other things
MAX_RUNS_READ = 20


@dataclass(frozen=True)
class Estimate:
    """steps: of the whole run, and seconds, None where nobody can tell yet. basis: where the time comes from."""

    memory_bytes: int
    steps: int
    seconds: float | None
    basis: str

    def describe(self) -> str:
        """For the page."""
        time = "" if self.seconds is None else f", {_duration(self.seconds)}"
        return (
            f"About {self.steps:,} step{'s' * (self.steps > 1)}{time} ({self.basis}), and "
            f"{self.memory_bytes / 2**30:.1f} GB of memory for the model and a batch."
        )


def estimate_run(config: TrainConfig, clips_s: list[float], store: RunStore) -> Estimate | None:
    """For training on clips of these lengths; None for a base model that is not on this machine. ModelError for a
    damaged one."""
    path = resolution.resolve(config.model, store)
    if path is None:
        return None
    told, weights = checkpoints.read_config(path), count_parameters(path)
    if not told or not weights or not clips_s:
        return None
    batch_s = config.batch_seconds or config.train_batch_size * max(clips_s)
    update_s = config.gradient_accumulation_steps * (
        config.batch_seconds or config.train_batch_size * sum(clips_s) / len(clips_s)
    )
    speed, basis = _speed(config.model, weights, store)
    epoch = max(1, math.ceil(sum(clips_s) / update_s))
    steps = config.max_steps or max(1, math.ceil(epoch * config.num_epochs))
    return Estimate(
        round(_memory(config, told, weights, min(batch_s, sum(clips_s)))),
        steps,
        steps / epoch * sum(clips_s) / speed if speed else None,
        basis,
    )


def _duration(seconds: float) -> str:
    """As exact as such a guess can be: 40 s, 12 min, 3.5 hours, 2 days."""
    for unit, length, least in (("days", 86_400, 2 * 86_400), ("hours", 3600, 5400), ("min", 60, 90)):
        if seconds >= least:
            return f"{seconds / length:.2g} {unit}"
    return f"{max(1, round(seconds))} s"


def count_parameters(path: Path) -> int:
    """Numbers in the checkpoint's safetensors files, by their headers; 0 where there are none."""
    total = 0
    for file in path.glob("*.safetensors"):
        with open(file, "rb") as opened:
            head = json.loads(opened.read(struct.unpack("<Q", opened.read(8))[0]))
        total += sum(math.prod(tensor["shape"]) for name, tensor in head.items() if name != "__metadata__")
    return total


def _memory(config: TrainConfig, told: dict[str, Any], weights: int, batch_s: float) -> float:
    hidden, layers = told.get("hidden_size", 768), told.get("num_hidden_layers", 12)
    inner = told.get("intermediate_size", 4 * hidden)
    width = 4 if config.mixed_precision == "no" else 2
    trained = weights if config.freeze in ("nothing", "feature-encoder") else 0.02 * weights
    kept = batch_s * FRAMES_A_SECOND * layers * (16 * hidden + 3 * inner) * width
    if config.gradient_checkpointing:
        kept = kept / layers + batch_s * FRAMES_A_SECOND * layers * hidden * width
    if config.freeze == "nothing":
        kept += 2.5 * width * _convolution_outputs(told, batch_s)
    if config.freeze == "all-but-head":
        kept = batch_s * FRAMES_A_SECOND * hidden * width
    return 4 * weights + 12 * trained + kept


def _convolution_outputs(told: dict[str, Any], batch_s: float) -> float:
    samples, total = 16_000 * batch_s, 0.0
    for channels, stride in zip(told.get("conv_dim", ()), told.get("conv_stride", ()), strict=False):
        samples /= stride
        total += channels * samples
    return total


def _base(run: Run) -> str | None:
    """The base model of a run, None where its configuration cannot be read (by this version)."""
    try:
        return run.config().model
    except ConfigError:
        return None


def _speed(model: str, weights: int, store: RunStore) -> tuple[float | None, str]:
    for run in store.all()[:MAX_RUNS_READ]:
        if _base(run) == model:
            rates = [
                told.data.get("audio_seconds_per_second") for told in run.last_events() if told.kind == events.TRAIN
            ]
            known = [rate for rate in rates if rate]
            if known:
                return sum(known) / len(known), f"as run {run.id} went"
    if shutil.which("nvidia-smi"):
        return None, "a run on this GPU will tell"
    cores = os.cpu_count() or 1
    return min(SPEED_PER_CORE / weights, MAX_SPEED_PER_CORE) * cores, f"for {cores} processor cores"
