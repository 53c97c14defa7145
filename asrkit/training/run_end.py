"""How a worker ends its run: it keeps the model, and appends the event that says how the run ended."""

from __future__ import annotations

import logging
import os
import signal
import traceback
from typing import TYPE_CHECKING, NoReturn

from asrkit.runs import events, pace, summary, view
from asrkit.runs.report import card
from asrkit.runs.run import CANCEL, PREEMPT, Run
from asrkit.training import distributed, stopping
from asrkit.training.reporting import emit, emit_phase

if TYPE_CHECKING:
    from asrkit.training.trainer import CtcTrainer

logger = logging.getLogger(__name__)

PREEMPTED = "preempted"
"""The phase of the last event before the cluster starts the run again; the job's script reads it, too."""

SAMPLE_NOTE = " The model was evaluated on a sample of the clips; it can still be evaluated on all of them."
"""The end of a run's last message until its model has been evaluated on all clips."""


def keep_model(run: Run, trainer: CtcTrainer) -> None:
    """Save model and card after training, unless the run was cancelled."""
    if distributed.IS_MAIN and not run.has_flag(CANCEL):
        if not run.has_model():
            trainer.save_best()
        card.write_card(run)


def finish(run: Run, trainer: CtcTrainer) -> None:
    """Diagnose the whole run and emit the end; discard model and checkpoints if the run was cancelled."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it asks for what is being done
    if not distributed.IS_MAIN:
        return
    if trainer.interrupted and not stopping.has_stop_flag(run):
        _emit_preempted(run, f"Saved the checkpoint of step {trainer.state.global_step}")
        return
    if run.has_flag(CANCEL):
        run.delete_weights()
        _emit_end(run, events.STOPPED, saved=False, trainer=trainer)
        return
    trainer.findings.diagnose(is_over=True)
    card.write_card(run)
    kind, text = (events.STOPPED, "Stopped and saved") if trainer.interrupted else (events.FINISHED, "Finished")
    message = f"{text} at step {trainer.state.global_step}.{trainer.bad_clips.describe()}"
    if summary.is_scored_on_sample(run, view.load_view(run, skim=True)):
        message += SAMPLE_NOTE
    _emit_end(run, kind, saved=True, message=message, trainer=trainer)
    _remember_pace(run, trainer)


def _remember_pace(run: Run, trainer: CtcTrainer) -> None:
    """Keep how fast this machine has trained, for the forecasts of later runs."""
    measured = pace.measure(run.events()[0], trainer.config.freeze)
    if measured is None:
        return
    try:
        pace.remember(measured, str(trainer.args.device))
    except OSError as error:
        logger.warning("The speed of this machine cannot be kept for forecasts (%s).", error)


def end_before_training(run: Run) -> None:
    """Emit the end of a run that was stopped while loading; a resumed run may have saved a model before."""
    stopping.disable_interrupts()
    if not distributed.IS_MAIN:
        return
    if not stopping.has_stop_flag(run):
        _emit_preempted(run, "Interrupted before training began")
        return
    if run.has_flag(CANCEL):
        run.delete_weights()
    text = "the model saved before is kept" if run.has_model() else "there was nothing to save"
    _emit_end(run, events.STOPPED, saved=run.has_model(), message=f"Stopped before training began; {text}.")


def _emit_preempted(run: Run, text: str) -> None:
    """Emit that the cluster takes the machine away. That is no end of the run: the cluster starts it again."""
    emit_phase(run, PREEMPTED, f"{text}, because the cluster takes the machine away")


def _emit_end(run: Run, kind: str, *, saved: bool, message: str = "", trainer: CtcTrainer | None = None) -> None:
    if run.has_flag(CANCEL) and not saved:
        message = "Cancelled; only the history was kept."
    step, epoch = (trainer.state.global_step, trainer.state.epoch) if trainer else (None, None)
    emit(run, kind, step, epoch, message=message, saved=saved, model="model" if saved else None)
    run.clear_flags()


def fail(run: Run, error: BaseException) -> None:
    """Log an error and emit it as the `failed` event, unless the run has ended already."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stopping.disable_interrupts()
    if run.has_flag(PREEMPT) and not stopping.has_stop_flag(run):  # what it needs was ended before it could save
        logger.info("The cluster takes the machine away.", exc_info=error)
        _emit_preempted(run, "Interrupted before a checkpoint was saved")
        return
    logger.error("The run failed.", exc_info=error)
    _emit_failure(run, error)


def end_now(run: Run, error: Exception) -> NoReturn:
    """Emit an error as the `failed` event and end this process, from a thread, whatever its main thread waits for."""
    try:
        logger.error("The run failed: %s", error)
        _emit_failure(run, error)
    finally:
        os._exit(1)


def _emit_failure(run: Run, error: BaseException) -> None:
    """Emit an error as the `failed` event, unless the run has ended already."""
    from asrkit.training.failures import explain

    failure = explain(error)
    events_of_process = run.last_events(since=(run.process() or {}).get("events_from", 0))
    has_ended = (
        any(event.kind in events.END_KINDS for event in events_of_process) or run.pending_end_event() is not None
    )
    # Of several processes the first that fails knows the reason; the others only see a lost connection.
    if has_ended or (failure.error in ("process-lost", "machine-lost") and not distributed.IS_MAIN):
        return
    run.append_end_event(
        events.make_event(
            events.FAILED,
            error=failure.error,
            message=failure.message,
            remedy=failure.remedy,
            traceback="".join(traceback.format_exception(error)),
        )
    )
