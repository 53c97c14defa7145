"""Which engine was measured to be the fastest for a model on this machine, and where the graphs of models are.

The choices are in the user's cache, by checkpoint and machine, as a shared home folder serves several machines. The
graph of a run's model is in the run's directory and is deleted with it; those of other models, whose folders may be
read-only, are in the cache. A graph is used only if it is, by size and time, the one that was checked: files that come
with somebody's run are not.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from asrkit.data import access, embedded
from asrkit.files import renew, write_json
from asrkit.models import checkpoints
from asrkit.runs import pace
from asrkit.runs.run import Run
from asrkit.transcription.export import graph

FILE, FOLDER, RUN_FOLDER = "engines.json", "graphs", ".graphs"
VARIABLE, PYTORCH = "ASRKIT_ENGINE", "pytorch"
"""Environment variable, and its value that lets PyTorch run every model."""
GRAPHS = {"onnxruntime-float32": "float32.onnx", "onnxruntime-int8": "int8.onnx"}
"""Engine -> the file of its graph."""
DTYPES = {"pytorch-float32": "float32", "pytorch-bfloat16": "bfloat16"}
"""Engine -> number format of the model in PyTorch."""
MAX_KEPT = 200
MAX_BUSY = 3
"""Measurements on a busy machine after which the last one counts."""

Stamp = list[int]
"""Size in bytes and time of the last change in nanoseconds."""
Weights = list[Stamp | None]


@dataclass(frozen=True)
class Choice:
    """The engine of a model on a machine.

    speeds: of each engine that was measured, in seconds of audio a second. reason: why a faster one is not used. graph:
    of the file that the engine runs. num_busy: how often it was measured in vain, as other work kept the processor
    busy; 0 once it did not.
    """

    engine: str
    speeds: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    graph: Stamp | None = None
    num_busy: int = 0

    @property
    def is_provisional(self) -> bool:
        """Whether to measure once more: the machine was busy, and has not been so at every attempt."""
        return 0 < self.num_busy < MAX_BUSY

    def describe(self, checkpoint: Path) -> str:
        """Return a sentence for the log."""
        measured = ", ".join(f"{name} {speed:.0f}" for name, speed in self.speeds.items())
        sentence = f"{self.engine} transcribes with {checkpoint}"
        sentence += f" (seconds of audio a second: {measured})" if measured else ""
        return f"{sentence}; {self.reason}" if self.reason else f"{sentence}."


def is_disabled() -> bool:
    """Whether the user wants PyTorch for every model."""
    return os.environ.get(VARIABLE, "").lower() == PYTORCH


def is_keepable(checkpoint: Path) -> bool:
    """Whether a graph of a checkpoint may be kept: of a run its final model, no model that a visitor has fetched."""
    if (run := Run.of_checkpoint(checkpoint)) is not None:
        return checkpoint.resolve() == run.model_dir.resolve()
    return not access.is_visitor() or checkpoint.resolve().is_relative_to(access.ASSETS)


def graph_path(checkpoint: Path, engine: str) -> Path:
    """Return where the graph of an engine is, or would be."""
    if (run := Run.of_checkpoint(checkpoint)) is not None:
        return run.path / RUN_FOLDER / GRAPHS[engine]
    name = hashlib.sha256(str(checkpoint.resolve()).encode()).hexdigest()[:32]
    return _cache_dir() / FOLDER / name / GRAPHS[engine]


def recall(checkpoint: Path) -> Choice | None:
    """Return the choice for a checkpoint on this machine; None if it was not measured, or has changed since."""
    try:
        choice = Choice(**_entry(_read(), checkpoint, read_weights(checkpoint))["machines"][pace.name_machine("cpu")])
    except (KeyError, TypeError):  # not measured here, or by another version
        return None
    if is_disabled() or choice.engine not in (*GRAPHS, *DTYPES):
        return None
    if choice.engine in GRAPHS:
        path = graph_path(checkpoint, choice.engine)
        if choice.graph != _stamp(path):
            return None
        renew(path.parent)
    return choice


def recall_dtype(checkpoint: Path) -> str | None:
    """Return the number format that PyTorch is the fastest in with a checkpoint, if it is the engine of choice."""
    choice = recall(checkpoint)
    return None if choice is None else DTYPES.get(choice.engine)


def is_checked(checkpoint: Path, engine: str) -> bool:
    """Whether the graph of an engine is there, as some machine has checked it."""
    stamp = _stamp(graph_path(checkpoint, engine))
    machines = _entry(_read(), checkpoint, read_weights(checkpoint)).get("machines", {}).values()
    return stamp is not None and any(one["engine"] == engine and one["graph"] == stamp for one in machines)


def remember(checkpoint: Path, choice: Choice, weights: Weights) -> None:
    """Keep the choice for a checkpoint on this machine, and delete the graphs that no machine uses.

    weights: those that were measured; the checkpoint may have been replaced since.
    """
    if choice.engine in GRAPHS:
        choice = replace(choice, graph=_stamp(graph_path(checkpoint, choice.engine)))
    book = _read()
    entry = _entry(book, checkpoint, weights) or {"weights": weights, "machines": {}}
    entry["machines"][pace.name_machine("cpu")] = asdict(choice)
    others = {key: value for key, value in book.items() if key != str(checkpoint.resolve())}
    _path().parent.mkdir(parents=True, exist_ok=True)
    write_json(_path(), dict([*others.items(), (str(checkpoint.resolve()), entry)][-MAX_KEPT:]))
    used = {machine["engine"] for machine in entry["machines"].values()}
    for engine in GRAPHS.keys() - used:
        graph.delete(graph_path(checkpoint, engine))


def read_weights(checkpoint: Path) -> Weights:
    """Return what tells the weights of a checkpoint from others that replace them."""
    return [_stamp(checkpoint / name) for name in ("config.json", *checkpoints.WEIGHT_FILES)]


def _entry(book: Mapping[str, Any], checkpoint: Path, weights: Weights) -> dict[str, Any]:
    """Return what is kept of a checkpoint; empty if that is about other weights."""
    entry = book.get(str(checkpoint.resolve()))
    return dict(entry) if isinstance(entry, dict) and entry.get("weights") == weights else {}


def _stamp(path: Path) -> Stamp | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _cache_dir() -> Path:
    """Return the operator's cache, for a visitor too: a choice is the same for everybody."""
    with access.as_visitor(None):
        return embedded.cache_dir()


def _path() -> Path:
    return _cache_dir() / FILE


def _read() -> dict[str, Any]:
    try:
        book = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none was measured yet
        return {}
    return book if isinstance(book, dict) else {}
