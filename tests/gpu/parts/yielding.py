"""Whole: transcription leaves the GPU to a run, goes on on the CPU, and comes back when the run has ended."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch

from asrkit.config import TrainConfig
from asrkit.runs import lifecycle, supervisor, view
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.transcription import gpu
from asrkit.transcription.model_cache import get_transcriber
from asrkit.transcription.transcriber import Transcriber
from tests.gpu import models, speech
from tests.gpu.pack import Pack
from tests.support import tiny
from tests.support.waiting import wait_for

MAX_LEFT_GB = 0.2
"""cuBLAS keeps its workspaces."""
MIN_SAME = 0.9
"""Random weights leave many frames between two tokens, and GPU and CPU may compute in different number formats."""


def run(pack: Pack) -> None:
    store = RunStore(pack.folder / "runs")
    base = models.write_checkpoint(pack.folder / "base", "middle", pack.is_small)
    clip = speech.load_speech()[:80_000]
    transcriber = get_transcriber(str(base), store)
    threads = transcriber.engine.num_threads
    pack.check(
        "transcription uses the GPU" if pack.has_gpu else "transcription uses the CPU", is_at_home(pack, transcriber)
    )
    before = transcriber.engine.log_probabilities([clip])[0]
    threading.Thread(target=gpu.yield_gpu, args=[store], daemon=True).start()
    active = start_run(pack.folder, store)
    if pack.has_gpu:
        wait_for(lambda: transcriber.engine.device.type == "cpu", "the model to leave the GPU")
        left_gb = torch.cuda.memory_allocated() / 2**30
        pack.measure("memory that transcription keeps", left_gb, "GB", at_most=MAX_LEFT_GB, is_exact=True)
    during = get_transcriber(str(base), store)
    on_cpu = during.engine.device.type == "cpu" and during.engine.num_threads == 1
    pack.check("during the run, transcription is on one thread of the CPU", on_cpu)
    compare(pack, "transcription during the run gives the same", before, during.engine.log_probabilities([clip])[0])
    supervisor.cancel(active)
    wait_for(lambda: lifecycle.get_status(active) not in lifecycle.ACTIVE, "the end of the run")
    after = get_transcriber(str(base), store)
    pack.check("after the run, transcription is back", is_at_home(pack, after) and after.engine.num_threads == threads)
    compare(pack, "transcription after the run gives the same", before, after.engine.log_probabilities([clip])[0])


def is_at_home(pack: Pack, transcriber: Transcriber) -> bool:
    return transcriber.engine.device.type == pack.device.type


def compare(pack: Pack, name: str, before: np.ndarray, after: np.ndarray) -> None:
    """Compare the most likely tokens."""
    same = float((before.argmax(-1) == after.argmax(-1)).mean())
    pack.measure(name, same, "of the frames", at_least=MIN_SAME, is_exact=True)


def start_run(folder: Path, store: RunStore) -> Run:
    """Start a run that does not end by itself, and wait for its first step."""
    data, base = tiny.write_dataset(folder / "tones"), tiny.write_checkpoint(folder / "tiny")
    values = {"preset": "", "train": str(data), "model": str(base), **tiny.SETTINGS}
    run = supervisor.start(store, TrainConfig().replace({**values, "max_steps": 10**6, "num_epochs": 10**4}), "busy")
    wait_for(lambda: view.load_view(run).step >= 1 or lifecycle.get_status(run) not in lifecycle.ACTIVE, "a step")
    if lifecycle.get_status(run) not in lifecycle.ACTIVE:
        raise RuntimeError(f"the run {lifecycle.get_status(run)}: {run.log_tail()}")
    return run
