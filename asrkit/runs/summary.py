"""What readers ask about a whole run: best evaluation, failure, history for the diagnosis, summary for the terminal."""

from __future__ import annotations

from typing import Any

from asrkit.runs import crash, lifecycle
from asrkit.runs.diagnosis import EvaluationScore, RunHistory
from asrkit.runs.events import Event
from asrkit.runs.run import Run
from asrkit.runs.view import EVAL_SERIES, RunView, load_view

RESULT = ("step", "loss", "wer", "cer", "mer")


def get_evaluation_metrics(told: Event | None) -> dict[str, Any] | None:
    """The figures of an evaluation as `runs show --json` gives them."""
    return told and {name: told.step if name == "step" else told.data.get(name) for name in RESULT}


def get_best_evaluation(run: Run, seen: RunView) -> Event | None:
    """The best evaluation: that of the weights in `model/`, else the best that is told.

    They are not always the same: after a kill, a run goes on from its last checkpoint and evaluates again what came
    after it; one that is stopped before has weights from further on than it is.
    """
    try:
        told = Event.from_line(run.evaluation_path.read_bytes())
    except OSError:
        told = None
    return told or seen.best


def describe_model_step(run: Run, seen: RunView) -> str:
    """One sentence about weights that are from further on than the run is; empty for all others."""
    told = get_best_evaluation(run, seen)
    if not run.has_model() or told is None or (told.step or 0) <= seen.step:
        return ""
    return f"The model is that of step {told.step}, which the run had reached before it was resumed."


def load_history(run: Run) -> RunHistory:
    """The run as the rules of `diagnosis` read it."""
    seen = load_view(run, skim=True)  # the rules look at no training loss but one that is not finite
    scores = [
        EvaluationScore(
            told.step or 0,
            told.epoch or 0.0,
            *(told.data.get(name) for name in EVAL_SERIES[:4]),
            blank_share=told.data.get("blank_share"),
            length_ratio=told.data.get("length_ratio"),
            unknown_share=told.data.get("unknown_share"),
            wer_interval=told.data.get("wer_interval"),
        )
        for told in seen.evaluations
    ]
    losses = [(point.step, point.epoch, point.value) for point in seen.series.get("train/loss", [])]
    return RunHistory(
        run.config().to_dict(),
        scores,
        losses,
        seen.started.get("label_entropy"),
        seen.started.get("update_s"),
        seen.started.get("parameters"),
        seen.started.get("clip_s"),
    )


def get_end_event(run: Run, seen: RunView) -> Event | None:
    """With which words the present or the last life of the run ended; None where it has told none. What an earlier life
    ended with is not what ended this one."""
    return seen.end if run.has_ended() else run.pending_end_event()


def describe_failure(run: Run, status: str, seen: RunView) -> dict[str, str] | None:
    """`{"message", "remedy", "traceback"}` of a run that failed or vanished, else None."""
    told = get_end_event(run, seen) if status == lifecycle.FAILED else None
    if told:
        return {name: str(told.data.get(name) or "") for name in ("message", "remedy", "traceback")}
    if status in (lifecycle.CRASHED, lifecycle.FAILED):
        message, remedy = crash.explain_crash(run)
        return {"message": message, "remedy": remedy, "traceback": ""}
    return None


def summarize_run(run: Run) -> dict[str, Any]:
    """One run as `runs list --json` and `runs show --json` print it."""
    status = lifecycle.get_status(run)
    seen, process = load_view(run, skim=True), run.process()
    return {
        "run_id": run.id,
        "status": status,
        "step": seen.step,
        "total_steps": seen.total_steps,
        "epoch": round(seen.epoch, 3),
        "pid": process["pid"] if process else None,
        "last_eval": get_evaluation_metrics(seen.evaluations[-1] if seen.evaluations else None),
        "best": get_evaluation_metrics(get_best_evaluation(run, seen)),
        "findings": seen.findings,
        "error": told["message"] if (told := describe_failure(run, status, seen)) else None,
        "path": str(run.path),
    }
