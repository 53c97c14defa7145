"""Estimate the memory and the time of a run before it starts, to within a factor of two.

Memory: 4 bytes a weight, and 12 more for each trained one (its gradient and Adam's two moments), all in float32, or 6
with Adam's moments in 8 bits; and the activations kept for the backward pass: a Transformer layer keeps about 16
hidden-sized and 3 intermediate-sized values a frame, a trained convolution 2.5 values an output. Counted with PyTorch's
hooks on wav2vec2 base and on a small model, in float32: 0.7 to 1.1 of what they kept.

Time: as this machine has trained such a model before, evaluations included (`pace`); else, as a range, by what was
measured for another model; before anything was measured, for processors from those without AVX-512 to those with native
bfloat16, which take 0.6e8 to 2.5e8 / weights seconds of audio a second with one core. The time on a GPU is unknown
before the first run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from asrkit.audio import SAMPLING_RATE
from asrkit.config import TrainConfig
from asrkit.config.evaluation import max_evaluation_s
from asrkit.cores import count_cores
from asrkit.data.batch_cuts import cut_batches
from asrkit.models import checkpoints, frames, resolution
from asrkit.models.frames import FrameGeometry
from asrkit.models.precision import has_native_bf16
from asrkit.runs import devices, pace
from asrkit.runs.pace import Pace
from asrkit.runs.store import RunStore
from asrkit.units import format_count, format_rough_duration

SPEEDS_PER_CORE = (0.6e8, 2.5e8)  # weights x seconds of audio a second, for one core
MAX_SPEED_PER_CORE = 85.0  # seconds of audio a second: other work limits small models
STARTUP_S = 10.0
EVAL_SPEEDUP = 3.0
"""How many times faster evaluation is than training, where it was not measured."""
CALIBRATED_SPREAD, SCALED_SPREAD = 1.3, 2.0
"""By which factor a time may be off in both directions: one measured without a run, one of a model of another size."""


@dataclass(frozen=True)
class Estimate:
    """steps, seconds: of the whole run; seconds is (at least, at most), None where it is unknown.

    basis: where the time comes from. is_one_batch: whether a batch holds all clips.
    """

    memory_bytes: int
    steps: int
    seconds: tuple[float, float] | None
    basis: str
    is_one_batch: bool = False

    def describe(self) -> str:
        """Return the estimate as a sentence for the page."""
        ends = [] if self.seconds is None else list(dict.fromkeys(map(format_rough_duration, self.seconds)))
        time = f", {' to '.join(ends)}" if ends else ""
        one = " A batch holds all clips: an epoch is a single update." if self.is_one_batch else ""
        return (
            f"About {format_count(self.steps, 'step')}{time} ({self.basis}), and "
            f"{self.memory_bytes / 2**30:.1f} GB of memory for the model and a batch.{one}"
        )


def estimate_run(
    config: TrainConfig,
    clips_s: list[float],
    store: RunStore,
    eval_s: float | None = None,
    recall_pace: Callable[[int], Pace | None] | None = None,
) -> Estimate | None:
    """Estimate training on clips of these lengths in seconds.

    eval_s: seconds of audio to evaluate on; by default, the configured share of the clips. recall_pace: returns the
    pace of a model of so many parameters on the machine that will train it; by default, this one.

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
    num_batches = batches.count_per_process(config.processes * config.nodes)
    epoch = -(-num_batches // config.gradient_accumulation_steps)
    padded_s = len(clips_s) * max(clips_s)  # all clips in one batch
    steps = config.max_steps or max(1, math.ceil(epoch * config.num_epochs))
    if eval_s is None:
        eval_s = config.eval_share / (1 - config.eval_share) * sum(clips_s)
    train_s, num_evaluations = steps / epoch * sum(clips_s), _count_evaluations(config, steps, epoch)
    sample_s = min(eval_s, config.eval_max_clips * sum(clips_s) / len(clips_s)) if config.eval_max_clips > 0 else eval_s

    def predict_eval_s(speedup: float) -> float:
        """Return the seconds of audio in all evaluations. speedup: how much faster they are than training."""
        sampled_s = num_evaluations * sample_s
        if config.eval_max_clips == 0:
            sampled_s = min(sampled_s, speedup * max_evaluation_s(train_s))
        is_sample = sampled_s < num_evaluations * eval_s
        return sampled_s + (eval_s if is_sample and config.eval_on_end else 0)

    if recall_pace:
        known = recall_pace(weights)
        seconds = _apply_pace(known, config, weights, train_s, predict_eval_s) if known else None
        basis = "as earlier runs on such a machine" if seconds else "the time on such a machine is unknown"
    else:
        seconds, basis = _estimate_time(config, weights, train_s, predict_eval_s)
    return Estimate(
        round(estimate_memory(config, model_config, geometry, weights, min(batch_s, padded_s))),
        steps,
        seconds,
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
    if not _choose_device(config).startswith(devices.CUDA):
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


def _count_evaluations(config: TrainConfig, steps: int, epoch: int) -> int:
    """Return how often a run evaluates, the start included."""
    return config.eval_on_start + -(-steps // (config.eval_steps or epoch))


def _estimate_time(
    config: TrainConfig, weights: int, train_audio_s: float, predict_eval_s: Callable[[float], float]
) -> tuple[tuple[float, float] | None, str]:
    """Return ((at least, at most) seconds of a run, or None; where this comes from)."""
    device = _choose_device(config)
    known = pace.recall(device, weights, config.freeze)
    if known is not None:
        is_same = known.matches(weights, config.freeze)
        basis = "as measured on this machine" if is_same else "as another model on this machine"
        return _apply_pace(known, config, weights, train_audio_s, predict_eval_s), basis
    if device.startswith(devices.CUDA):
        return None, "the time on this GPU is unknown before the first run"
    cores = count_cores()
    slowest, fastest = (
        STARTUP_S
        + (train_audio_s + predict_eval_s(EVAL_SPEEDUP) / EVAL_SPEEDUP)
        / (cores * min(speed / weights, MAX_SPEED_PER_CORE))
        for speed in SPEEDS_PER_CORE
    )
    return (fastest, slowest), f"for {cores} processor cores"


def _apply_pace(
    known: Pace, config: TrainConfig, weights: int, train_audio_s: float, predict_eval_s: Callable[[float], float]
) -> tuple[float, float]:
    """Return (at least, at most) seconds of a run at this pace, which may be that of another model."""
    spread = CALIBRATED_SPREAD if known.is_calibration else 1.0
    if not known.matches(weights, config.freeze):
        known, spread = known.scale(weights), SCALED_SPREAD
    seconds = known.predict_s(train_audio_s, predict_eval_s(known.eval_speedup))
    return seconds / spread, spread * seconds


def _choose_device(config: TrainConfig) -> str:
    return devices.list_devices()[0] if config.device == "auto" else config.device
