"""Transcribers that the whole process shares, loaded once for each checkpoint."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path

from asrkit.jobs import ProgressCallback
from asrkit.models import resolution
from asrkit.runs import lifecycle
from asrkit.runs.store import RunStore
from asrkit.transcription.acceleration import accelerate
from asrkit.transcription.engine import ALL_THREADS
from asrkit.transcription.precision import best_device
from asrkit.transcription.transcriber import Transcriber

MAX_MODELS = 2
"""Models held in memory at once."""

_cached: dict[str, tuple[float, Transcriber]] = {}
"""Checkpoint -> (time of its config.json, transcriber), least recently used first."""
_in_use: weakref.WeakSet[Transcriber] = weakref.WeakSet()
"""All transcribers that are still referenced, also those that the cache has dropped."""
_load_locks: dict[str, threading.Lock] = {}
"""One lock for each checkpoint: a download takes minutes, and callers of another model do not wait for it."""
_cache_lock = threading.Lock()


def get_transcriber(model: str, store: RunStore, on_progress: ProgressCallback | None = None) -> Transcriber:
    """Return the shared transcriber of MODEL; it is loaded again when the checkpoint was replaced.

    on_progress: how much of a model on the Hub is fetched. While a run is active, the GPU and all but one thread are
    left to it. Raises ModelError or HubError for a model that cannot be loaded or fetched.
    """
    run_active = lifecycle.find_active_run(store) is not None
    checkpoint = resolution.fetch(model, store, on_progress=on_progress)
    transcriber = load_transcriber(str(checkpoint), "cpu" if run_active else best_device())
    transcriber.engine.num_threads = 1 if run_active else ALL_THREADS
    accelerate(transcriber, may_measure=not run_active)
    return transcriber


def prepare_transcriber(model: str, store: RunStore, on_progress: ProgressCallback | None = None) -> Transcriber:
    """Return the transcriber as `get_transcriber` does, warmed up, so that the first words come without delay."""
    transcriber = get_transcriber(model, store, on_progress)
    transcriber.engine.warm_up()
    return transcriber


def load_transcriber(checkpoint: str, device: str) -> Transcriber:
    """Return the shared transcriber of a checkpoint directory, on that device."""
    with _cache_lock:
        lock = _load_locks.setdefault(checkpoint, threading.Lock())
    with lock:
        modified = _modified_at(checkpoint)
        with _cache_lock:
            entry = _cached.pop(checkpoint, None)
        if entry is None or entry[0] != modified:
            entry = None  # frees the old model before the new one is loaded
            entry = (modified, Transcriber(checkpoint, device))
        entry[1].engine.move_to(device)
        with _cache_lock:
            _cached[checkpoint] = entry
            _in_use.add(entry[1])
            while len(_cached) > MAX_MODELS:
                del _cached[next(iter(_cached))]
        return entry[1]


def transcribers_on_gpu() -> list[Transcriber]:
    """Return the transcribers in use whose model is on the GPU."""
    with _cache_lock:
        return [transcriber for transcriber in _in_use if transcriber.engine.device.type == "cuda"]


def _modified_at(checkpoint: str) -> float:
    config = Path(checkpoint, "config.json")
    return config.stat().st_mtime if config.exists() else 0.0
