"""Exports a model, measures the engines that can run it, and keeps the choice.

Called in a process of its own (`measure_engines`): an export silences the warnings and output of its whole process.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch

from asrkit.audio import Waveform
from asrkit.errors import ModelError, first_line
from asrkit.files import free_bytes
from asrkit.transcription import inference_threads
from asrkit.transcription.acceleration import choices
from asrkit.transcription.acceleration.choices import Choice
from asrkit.transcription.export import check, graph, int8
from asrkit.transcription.export.check import ClipSet
from asrkit.transcription.transcriber import Transcriber
from asrkit.units import format_size

MEASURED_S, MIN_ROUNDS = 1.0, 3
"""Time in which engines take turns, and how often each does at least."""
TURN_S = 0.5
"""Time of a turn in float32, about. It has at most a full batch for each thread, as files have."""
MAX_BUSY_SHARE = 0.25
"""Of the processor that other work may take without a measurement being repeated another time."""
MIN_GAIN = 1.1
"""How much faster than the next simpler engine another one must be to be used."""
MIN_SHARE = 0.5
"""Of the speed of the fastest engine: one that is slower in its first turn has no other."""
MEMORY_FACTOR, DISK_FACTOR = 6, 3
"""Memory and disk that an export needs, by the size of the weights in float32: several copies are there at once."""


@dataclass(frozen=True)
class Turn:
    """alone_s: seconds for one clip. together_s: seconds of the processor for several, divided by the threads."""

    alone_s: float
    together_s: float


def main(checkpoint: Path, measuring: Executor) -> None:
    """Keep the choice for a checkpoint, unless another process has done so meanwhile.

    measuring: runs the comparison.
    """
    folder = choices.graph_path(checkpoint, "onnxruntime-float32").parent
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder):
        before = choices.recall(checkpoint)
        if before is None or before.is_provisional:
            weights = choices.read_weights(checkpoint)
            choice = choose(checkpoint, measuring)
            num_busy = choice.num_busy and choice.num_busy + (before.num_busy if before else 0)
            choices.remember(checkpoint, replace(choice, num_busy=num_busy), weights)


def choose(checkpoint: Path, measuring: Executor) -> Choice:
    """Return the fastest engine whose text is that of the model; its graph is exported and checked."""
    model = Transcriber(str(checkpoint), "cpu", torch.float32)
    clips = check.find_clips(checkpoint)
    graphs, reason = {}, ""
    try:
        graphs = _export(checkpoint, model, clips)
    except Exception as error:  # of the exporter, of onnxruntime, or of the disk: PyTorch goes on
        reason = f"onnxruntime is not used: {first_line(error)}"
    speeds, busy_share = measuring.submit(measure, model, graphs, clips).result()
    choice = select(speeds, lambda: _writes_same_text(model, graphs, clips), reason)
    return replace(choice, num_busy=int(busy_share > MAX_BUSY_SHARE))


def measure(model: Transcriber, graphs: Mapping[str, Path], clips: ClipSet) -> tuple[dict[str, float], float]:
    """Return (the speed of each engine in seconds of audio a second, the share of the processor that others took).

    They take turns, so that other work on the machine slows all of them, and the best of each counts. Several clips are
    measured in time of the processor, which other work hardly changes: each thread computes batches of its own.
    """
    inference_threads.forget_threads()  # those that the comparison with PyTorch has started have its low priority
    engines = {
        "pytorch-float32": model,
        "pytorch-bfloat16": Transcriber(model.engine.checkpoint, "cpu", torch.bfloat16),
        **{name: model.with_graph(path, "clip") for name, path in graphs.items()},
    }
    for transcriber in engines.values():
        transcriber.engine.warm_up()
    (wave,) = waves = check.load_sample(clips, 0.0)
    first = _measure_turn(model, waves)
    sample_s = TURN_S * model.engine.num_threads * wave.duration_s / first.together_s
    sample_s = min(sample_s, model.engine.num_threads * model.engine.max_batch_s)
    waves = check.load_sample(clips, sample_s)
    waves *= math.ceil(sample_s / sum(wave.duration_s for wave in waves))
    meter = BusyMeter()
    turns = {name: [_measure_turn(transcriber, waves)] for name, transcriber in engines.items()}
    speeds = {name: compute_speed(waves, found) for name, found in turns.items()}
    compared = [name for name, speed in speeds.items() if speed >= MIN_SHARE * max(speeds.values())]
    rounds, started = 1, time.monotonic()
    while rounds < MIN_ROUNDS or time.monotonic() - started < MEASURED_S:
        for name in compared:
            turns[name].append(_measure_turn(engines[name], waves))
        rounds += 1
    return {name: compute_speed(waves, found) for name, found in turns.items()}, meter.read_share()


def compute_speed(waves: Sequence[Waveform], turns: Sequence[Turn]) -> float:
    """Return the seconds of audio a second of the first wave alone and all together, by the best of several turns."""
    elapsed_s = min(turn.alone_s for turn in turns) + min(turn.together_s for turn in turns)
    return round((waves[0].duration_s + sum(wave.duration_s for wave in waves)) / elapsed_s, 1)


class BusyMeter:
    """Measures how much of the processor other processes take from now on."""

    def __init__(self) -> None:
        self._started = self._read()

    def read_share(self) -> float:
        """Return the share of all cores that they took, 0 to 1."""
        elapsed_s, busy_s, own_s = (now - before for now, before in zip(self._read(), self._started, strict=True))
        return max(0.0, busy_s - own_s) / max(elapsed_s, 0.01) / (psutil.cpu_count() or 1)

    def _read(self) -> tuple[float, float, float]:
        """Return seconds (of the clock, of the processor in all, of the processor in this process)."""
        times = psutil.cpu_times()
        return time.monotonic(), sum(times[:3]) + getattr(times, "steal", 0.0), time.process_time()


def select(speeds: Mapping[str, float], is_int8_same: Callable[[], bool], reason: str = "") -> Choice:
    """Return the choice by the speeds that were measured. is_int8_same: called if int8 is the fastest."""
    best = max(choices.DTYPES, key=lambda name: speeds[name])
    for name in choices.GRAPHS:
        if speeds.get(name, 0.0) < MIN_GAIN * speeds[best]:
            continue
        if name == "onnxruntime-int8" and not is_int8_same():
            reason = "int8 is not used: it writes another text for some clips."
            continue
        best = name
    return Choice(best, dict(speeds), reason)


def _measure_turn(transcriber: Transcriber, waves: Sequence[Waveform]) -> Turn:
    """Measure one clip, as in live transcription, and several together, as in files."""
    clips, engine = [wave.samples for wave in waves], transcriber.engine
    started = time.perf_counter()
    engine.log_probabilities(clips[:1])
    alone_s = time.perf_counter() - started
    started = time.process_time()
    engine.log_probabilities(clips)
    return Turn(alone_s, max((time.process_time() - started) / engine.num_threads, 1e-6))


def _writes_same_text(model: Transcriber, graphs: Mapping[str, Path], clips: ClipSet) -> bool:
    whole, small = (model.with_graph(graphs[name], "clip") for name in choices.GRAPHS)
    return check.is_text_same(whole, small, clips)


def _export(checkpoint: Path, model: Transcriber, clips: ClipSet) -> dict[str, Path]:
    """Return engine -> checked graph; what another machine has checked is not exported again.

    Raises ModelError for a model that cannot be exported, for a graph that is not the same, and where there is no room.
    """
    graphs = {engine: choices.graph_path(checkpoint, engine) for engine in choices.GRAPHS}
    whole, small = graphs.values()
    if not choices.is_checked(checkpoint, "onnxruntime-float32"):
        _require_room(4 * model.engine.num_parameters, whole.parent)
        graph.export_onnx(model.engine.model, model.processor, whole, "clip", str(checkpoint))
    difference = check.measure_difference(model, model.with_graph(whole, "clip"), clips)
    check.require_same(str(checkpoint), difference, 0, len(clips.clips))
    if not choices.is_checked(checkpoint, "onnxruntime-int8"):
        int8.quantize(whole, small, signed=True)
    return graphs


def _require_room(size_bytes: int, folder: Path) -> None:
    """Raise ModelError where memory or disk are short for a model with weights of that size."""
    for what, free, needed in (
        ("memory", psutil.virtual_memory().available, MEMORY_FACTOR * size_bytes),
        ("disk", free_bytes(folder), DISK_FACTOR * size_bytes),
    ):
        if free < needed:
            raise ModelError(f"its export needs {format_size(needed)} of {what}, and {format_size(free)} are free.")


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time export into a folder."""
    descriptor = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
