"""Estimate the memory and the time of a run before it starts, to within a factor of two.

Memory: 4 bytes a weight, and 12 more for each trained one (its gradient and Adam's two moments), all in float32, or 6
with Adam's moments in 8 bits; and the activations kept for the backward pass: a Transformer layer keeps about 16
hidden-sized and 3 intermediate-sized values a frame, a trained convolution 2.5 values an output. Counted with PyTorch's
hooks on wav2vec2 base and on a small model, in float32: 0.7 to 1.1 of what they kept.

Time: as the latest run of the same base model on this machine; without one, two processor cores take about
5e8 / weights seconds of audio a second (measured at 94 M, 5.6 M and 1 M weights: 5.7e8, 3.7e8, 1.7e8). The time on a
GPU is unknown before the first run.
"""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np

from asrkit.audio import SAMPLING_RATE
from asrkit.config import TrainConfig
from asrkit.data.batch_cuts import cut_batches
from asrkit.errors import ConfigError
from asrkit.models import checkpoints, frames, resolution
from asrkit.models.frames import FrameGeometry
from asrkit.models.precision import has_native_bf16
from asrkit.runs import devices, events
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.units import format_rough_duration

SPEED_PER_CORE = 2.5e8  # weights x seconds of audio a second, for one core
MAX_SPEED_PER_CORE = 85.0  # seconds of audio a second: other work limits small models
MAX_RUNS_READ = 20


@dataclass(frozen=True)
class Estimate:
    """steps, seconds: of the whole run; seconds is None where it is unknown. basis: where the time comes from.

    is_one_batch: whether a batch holds all clips.
    """

    memory_bytes: int
    steps: int
    seconds: float | None
    basis: str
    is_one_batch: bool = False

    def describe(self) -> str:
        """Return the estimate as a sentence for the page."""
        time = "" if self.seconds is None else f", {format_rough_duration(self.seconds)}"
        one = " A batch holds all clips: an epoch is a single update." if self.is_one_batch else ""
        return (
            f"About {self.steps:,} step{'s' * (self.steps > 1)}{time} ({self.basis}), and "
            f"{self.memory_bytes / 2**30:.1f} GB of memory for the model and a batch.{one}"
        )


def estimate_run(config: TrainConfig, clips_s: list[float], store: RunStore) -> Estimate | None:
    """Estimate training on clips of these lengths in seconds.

    None if the base model is not on this machine. ModelError for a damaged one.
    """
    path = resolution.resolve(config.model, store)
    if path is None:
        return None
    model_config, weights = checkpoints.read_config(path), checkpoints.count_weights(path)
    if not model_config or not weights or not clips_s:
        return None
    geometry = frames.read(path, add_adapter=config.add_adapter)
    batch_s = config.batch_seconds or config.train_batch_size * max(clips_s)
    batches = cut_batches(np.sort(clips_s)[::-1], config.batch_seconds, config.train_batch_size)
    num_batches = batches.count_per_process(config.processes)
    epoch = -(-num_batches // config.gradient_accumulation_steps)
    padded_s = len(clips_s) * max(clips_s)  # all clips in one batch
    speed, basis = _estimate_speed(config.model, weights, store)
    steps = config.max_steps or max(1, math.ceil(epoch * config.num_epochs))
    return Estimate(
        round(estimate_memory(config, model_config, geometry, weights, min(batch_s, padded_s))),
        steps,
        steps / epoch * sum(clips_s) / speed if speed else None,
        basis,
        is_one_batch=len(clips_s) > 1 and num_batches == 1,
    )


def estimate_memory(
    config: TrainConfig, model_config: dict[str, Any], geometry: FrameGeometry, weights: int, batch_s: float
) -> float:
    """Estimate the bytes for the model, its optimizer and a batch of `batch_s` seconds."""
    num_frames = geometry.frames_before_adapter(geometry.num_inputs(int(batch_s * SAMPLING_RATE)))
    model_config = model_config.get("encoder_config") or model_config.get("audio_config") or model_config
    hidden, layers = model_config.get("hidden_size", 768), model_config.get("num_hidden_layers", 12)
    inner = model_config.get("intermediate_size", 4 * hidden)
    width = 2 if _is_half_precision(config) else 4
    trained = _count_trained(config, weights, hidden, inner, layers)
    kept: float = num_frames * layers * (16 * hidden + 3 * inner) * width
    if config.gradient_checkpointing:
        kept = kept / layers + num_frames * layers * hidden * width
    if config.freeze == "nothing":
        kept += 2.5 * width * _count_convolution_outputs(model_config, batch_s)
    if config.freeze == "all-but-head":
        kept = num_frames * hidden * width
    return 4 * weights + (6 if config.optimizer == "adamw-8bit" else 12) * trained + kept


def _is_half_precision(config: TrainConfig) -> bool:
    """Whether activations take 2 bytes, as `training.arguments.resolve_precision` decides with torch."""
    device = devices.list_devices()[0] if config.device == "auto" else config.device
    if not device.startswith(devices.CUDA):
        return config.mixed_precision == "bf16" or (config.mixed_precision == "auto" and has_native_bf16())
    return config.mixed_precision != "no"


def _count_trained(config: TrainConfig, weights: int, hidden: int, inner: int, layers: int) -> float:
    """Return the number of weights that are trained, roughly."""
    if config.freeze == "lora":  # beside four projections of the attention and two of the feed-forward part
        return float(layers * config.lora_rank * (4 * 2 * hidden + 2 * (hidden + inner)))
    return weights if config.freeze in ("nothing", "feature-encoder") else 0.02 * weights


def _count_convolution_outputs(model_config: dict[str, Any], batch_s: float) -> float:
    samples, total = SAMPLING_RATE * batch_s, 0.0
    for channels, stride in zip(model_config.get("conv_dim", ()), model_config.get("conv_stride", ()), strict=False):
        samples /= stride
        total += channels * samples
    return total


def _read_base_model(run: Run) -> str | None:
    """Read the base model of a run; None if this version cannot read its configuration."""
    try:
        return run.config().model
    except ConfigError:
        return None


def _estimate_speed(model: str, weights: int, store: RunStore) -> tuple[float | None, str]:
    """Return (seconds of audio a second or None, where this comes from)."""
    for run in store.all()[:MAX_RUNS_READ]:
        if _read_base_model(run) == model:
            rates = [
                event.data.get("audio_seconds_per_second") for event in run.last_events() if event.kind == events.TRAIN
            ]
            measured = [rate for rate in rates if rate]
            if measured:
                return sum(measured) / len(measured), f"as in run {run.id}"
    if shutil.which("nvidia-smi"):
        return None, "the time on this GPU is unknown before the first run"
    cores = os.cpu_count() or 1
    return min(SPEED_PER_CORE / weights, MAX_SPEED_PER_CORE) * cores, f"for {cores} processor cores"
