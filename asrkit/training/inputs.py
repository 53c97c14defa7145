"""Inputs of a run: checkpoint or base model, data, processor and model."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.config import TrainConfig
from asrkit.data import manifest
from asrkit.data.manifest import Utterance
from asrkit.jobs import ProgressCallback
from asrkit.models import resolution
from asrkit.runs import preparation_cache
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.training import distributed
from asrkit.training.checkpointing import parse_step, repair_checkpoints
from asrkit.training.reporting import emit_phase
from asrkit.training.stopping import StopRequested, check_stop, has_stop_flag
from asrkit.training.streaming import describe_streams, restore_streams

if TYPE_CHECKING:
    from asrkit.training.model import CtcModel

FETCH_REPORT_INTERVAL_S = 3.0
"""Time between two `phase` events of a download."""


def find_checkpoint(run: Run) -> Path | None:
    """Return the newest checkpoint to resume from, if any. Rank 0 first repairs what a killed worker left behind."""
    if distributed.IS_MAIN:
        repair_checkpoints(run)
        run.repair_events()
        return distributed.broadcast(next(reversed(run.checkpoints()), None))
    return distributed.broadcast(None)


def fetch_base_model(run: Run, config: TrainConfig) -> Path:
    """Return the base model's directory; rank 0 fetches it if needed, before the other processes need it."""
    fetch = functools.partial(
        resolution.fetch, config.model, RunStore(run.path.parent), language=config.adapter_language
    )
    if distributed.IS_MAIN:
        emit_phase(run, "loading", f"Loading the base model {config.model}")
        with contextlib.suppress(StopRequested):  # check_stop raises it on all processes
            fetch(on_progress=_report_fetch(run))
    check_stop(run)
    return fetch()


def load_data(run: Run, config: TrainConfig, base: Path | None) -> tuple[Sequence[Utterance], Sequence[Utterance]]:
    """Return the train and eval manifests; rank 0 prepares them if the run has none yet."""
    if distributed.IS_MAIN and not run.manifest_path("eval").exists():
        emit_phase(run, "loading", f"Loading the data from {config.train}")
        with contextlib.suppress(StopRequested):
            preparation_cache.prepare(
                config,
                RunStore(run.path.parent),
                hub_dir=run.path / "audio",
                model=base,
                on_progress=_report_fetch(run),
            ).write(run)
    check_stop(run)
    with contextlib.suppress(StopRequested):
        restore_streams(run, _report_fetch(run))
        if text := describe_streams(run, config):
            emit_phase(run, "loading", text)
    check_stop(run)
    return manifest.read(run.manifest_path("train")), manifest.read(run.manifest_path("eval"))


def load_model(
    run: Run, config: TrainConfig, checkpoint: Path | None, base: Path | None, texts: Iterable[str]
) -> tuple[Any, CtcModel]:
    """Return (processor, model) of `checkpoint`, or without one of `base` for these texts."""
    from asrkit.training import model

    if checkpoint is not None:
        emit_phase(run, "loading", f"Loading the checkpoint of step {parse_step(checkpoint)}")
        return model.reload(checkpoint, config)
    return model.load(str(base), config, texts)


def _report_fetch(run: Run) -> ProgressCallback:
    """Return a callback that emits the progress of a download and raises StopRequested if the run is to stop."""
    last_report = time.monotonic()

    def on_progress(message: str, done: int, total: int) -> None:
        nonlocal last_report
        if has_stop_flag(run):
            raise StopRequested
        if time.monotonic() - last_report > FETCH_REPORT_INTERVAL_S:
            last_report = time.monotonic()
            emit_phase(run, "loading", message)

    return on_progress
