"""Release the GPU while a training run is active."""

from __future__ import annotations

import gc
import logging
import time

import torch

from asrkit.errors import AsrkitError
from asrkit.runs import lifecycle
from asrkit.runs.store import RunStore
from asrkit.transcription import model_cache

logger = logging.getLogger(__name__)

POLL_S = 2.0


def yield_gpu(store: RunStore) -> None:
    """Move cached models to the CPU while a training run needs the GPU; run this in a thread of its own.

    Returns only where there is no GPU. What stays on the GPU is CUDA's own context, some hundred megabytes until the
    app ends.
    """
    while torch.cuda.is_available():
        try:
            if model_cache.transcribers_on_gpu() and lifecycle.find_active_run(store):
                release_gpu()
        except (OSError, RuntimeError, AsrkitError):
            logger.exception("Could not check whether a run needs the GPU; trying again.")
        time.sleep(POLL_S)


def release_gpu() -> None:
    """Move every model from the GPU to the CPU; transcription in progress goes on there."""
    for transcriber in model_cache.transcribers_on_gpu():
        transcriber.engine.move_to("cpu")
    gc.collect()
    torch.cuda.empty_cache()
