"""Lets a transcriber run on the processor in whatever engine is the fastest on this machine, as soon as that is known.

What was measured is kept (`choices`). A model that was not measured runs in PyTorch meanwhile, and a program of low
priority exports and measures it (`measure_engines`): neither the first words nor live transcription wait for that.
"""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit import child
from asrkit.errors import first_line
from asrkit.transcription.acceleration import choices
from asrkit.transcription.acceleration.choices import Choice, Weights
from asrkit.transcription.onnx_graph import OnnxGraph
from asrkit.transcription.precision import MIN_HALF_PARAMETERS, best_device

if TYPE_CHECKING:
    from asrkit.transcription.transcriber import Transcriber

logger = logging.getLogger(__name__)

PROGRAM = "asrkit.transcription.measure_engines"

_settled: weakref.WeakSet[Transcriber] = weakref.WeakSet()
"""Transcribers whose engine is chosen, or is being measured."""
_settle_lock = threading.Lock()
_measure_lock = threading.Lock()
"""One measurement at a time: others would falsify it."""


def accelerate(transcriber: Transcriber, *, may_measure: bool) -> None:
    """Choose the engine of a transcriber, at once where it was measured before, else in the background.

    What was measured on a busy machine is used, and measured again. may_measure: False while a run needs the
    processor; call it again later. GPUs stay with PyTorch, and so do models that are too small to gain anything, and
    those that a visitor has fetched, whose files are the visitor's own.
    """
    if best_device() != "cpu" or choices.is_disabled() or transcriber in _settled:
        return
    checkpoint = Path(transcriber.engine.checkpoint)
    if transcriber.engine.num_parameters < MIN_HALF_PARAMETERS or not choices.is_keepable(checkpoint):
        return
    with _settle_lock:
        choice = choices.recall(checkpoint)
        if transcriber in _settled or (choice is None and not may_measure):
            return
        _settled.add(transcriber)
    if choice is not None:
        _use(transcriber, checkpoint, choice)
    if may_measure and _is_wanted(choice):
        arguments = (checkpoint, choices.read_weights(checkpoint), weakref.ref(transcriber))
        threading.Thread(target=_measure, args=arguments, daemon=True, name="acceleration").start()


def _is_wanted(choice: Choice | None) -> bool:
    return choice is None or choice.is_provisional


def _measure(checkpoint: Path, weights: Weights, reference: weakref.ref[Transcriber]) -> None:
    """Measure the engines of a checkpoint in a child process, and use the fastest if the model is still in memory.

    weights: of the model in memory; a checkpoint that was replaced meanwhile has another graph.
    """
    with _measure_lock:
        if _is_wanted(choices.recall(checkpoint)):  # else another transcriber of it came first
            result = subprocess.run(
                [*child.module_command(PROGRAM), str(checkpoint)],
                env=child.environment(os.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
            if result.returncode:
                reason = "".join(result.stderr.splitlines()[-1:])
                logger.warning("The engines for %s could not be measured: %s", checkpoint, reason)
    transcriber, choice = reference(), choices.recall(checkpoint)
    if choice is None or transcriber is None or choices.read_weights(checkpoint) != weights:
        return
    logger.info("%s", choice.describe(checkpoint))
    _use(transcriber, checkpoint, choice)


def _use(transcriber: Transcriber, checkpoint: Path, choice: Choice) -> None:
    """Run the graph of a choice, if it has one; PyTorch goes on where it cannot be opened."""
    if choice.graph is None:
        return
    try:
        graph = OnnxGraph(choices.graph_path(checkpoint, choice.engine), "clip", transcriber.engine.num_threads)
    except Exception as error:  # onnxruntime's classes share no base but Exception
        logger.warning("PyTorch transcribes with %s: its graph cannot be opened (%s).", checkpoint, first_line(error))
        return
    transcriber.engine.use_graph(graph)
