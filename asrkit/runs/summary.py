"""Summaries of a run: best evaluation, failure, history for the diagnosis, summary for the terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from asrkit.runs import crash, launchers, lifecycle
from asrkit.runs.description import read_description
from asrkit.runs.events import Event
from asrkit.runs.history import METRICS, EvaluationScore, RunHistory
from asrkit.runs.run import Run
from asrkit.runs.view import RunView, load_view


def get_evaluation_metrics(event: Event | None) -> dict[str, Any] | None:
    """Return an evaluation as `runs show --json` prints it."""
    if event is None:
        return None
    clips, total = count_clips(event)
    return {
        "step": event.step,
        **{name: event.data.get(name) for name in METRICS},
        "clips": clips,
        "of": total,
        "wer_interval": event.data.get("wer_interval"),
        **({"datasets": event.data["datasets"]} if "datasets" in event.data else {}),
    }


def count_clips(event: Event) -> tuple[int | None, int | None]:
    """Return on how many clips an evaluation was made, and of how many; None for each where it is unknown."""
    clips = event.data.get("utterances")
    return clips, event.data.get("of", clips)


def get_best_evaluation(run: Run, run_view: RunView) -> Event | None:
    """Return the evaluation of the weights in `model/`, else the best one in the history.

    They may differ: a run that was killed continues from its last checkpoint and evaluates again what came after it. If
    it is stopped before that, its weights are from a later step than its history.
    """
    try:
        event = Event.from_line(run.evaluation_path.read_bytes())
    except OSError:
        event = None
    return event or run_view.best


def is_scored_on_sample(run: Run, run_view: RunView) -> bool:
    """Whether the weights in `model/` were evaluated on a sample of the evaluation clips, and not on all."""
    event = get_best_evaluation(run, run_view)
    if event is None or not run.has_model():
        return False
    clips, total = count_clips(event)
    return clips is not None and total is not None and clips < total


def describe_model_step(run: Run, run_view: RunView) -> str:
    """Return a sentence about weights from a later step than the history; empty for all others."""
    event = get_best_evaluation(run, run_view)
    if not run.has_model() or event is None or (event.step or 0) <= run_view.step:
        return ""
    return f"The model is that of step {event.step}, which the run had reached before it was resumed."


def load_history(run: Run) -> RunHistory:
    """Return the run as the rules of `diagnosis` read it."""
    run_view = load_view(run, skim=True)  # of the training losses, the rules need only those that are not finite
    evaluations = [*run_view.evaluations, *filter(None, [run_view.final_evaluation])]
    scores = [EvaluationScore.from_data(event.data, event.step or 0, event.epoch or 0.0) for event in evaluations]
    return RunHistory(
        run.config().to_dict(),
        scores[: len(run_view.evaluations)],
        [(point.step, point.epoch, point.value) for point in run_view.series.get("train/loss", [])],
        run_view.started.get("label_entropy"),
        run_view.started.get("update_s"),
        run_view.started.get("parameters"),
        run_view.started.get("clip_s"),
        run_view.started.get("precision"),
        is_over=run_view.end is not None,
        final=scores[-1] if run_view.final_evaluation else None,
    )


def get_end_event(run: Run, run_view: RunView) -> Event | None:
    """Return the end event of the present or last worker; None if it wrote none.

    The end of an earlier worker does not count.
    """
    return run_view.end if run.has_ended() else run.pending_end_event()


def describe_failure(run: Run, status: str, run_view: RunView) -> dict[str, str] | None:
    """Return `{"message", "remedy", "traceback"}` of a run that failed or crashed, else None."""
    event = get_end_event(run, run_view) if status == lifecycle.FAILED else None
    if event:
        return {name: str(event.data.get(name) or "") for name in ("message", "remedy", "traceback")}
    if status in (lifecycle.CRASHED, lifecycle.FAILED):
        message, remedy = crash.explain_crash(run)
        return {"message": message, "remedy": remedy, "traceback": ""}
    return None


def summarize_run(run: Run) -> dict[str, Any]:
    """Return the run as `runs list --json` and `runs show --json` print it."""
    status = lifecycle.get_status(run)
    run_view, process = load_view(run, skim=True), run.process()
    launcher = launchers.of_process(process)
    failure = describe_failure(run, status, run_view)
    return {
        "run_id": run.id,
        **asdict(read_description(run)),
        "status": status,
        "step": run_view.step,
        "total_steps": run_view.total_steps,
        "epoch": round(run_view.epoch, 3),
        "pid": (process or {}).get("pid"),
        "last_eval": get_evaluation_metrics(run_view.evaluations[-1] if run_view.evaluations else None),
        "best": get_evaluation_metrics(get_best_evaluation(run, run_view)),
        "findings": run_view.findings,
        "error": failure["message"] if failure else None,
        "path": str(run.path),
        "launcher": launcher.name,
        "job": run.job_id() if launcher.has_queue else None,
        "cost": launcher.cost(run),
    }
