"""The verdict on a run that has ended: what has come of it, and what to do next."""

from __future__ import annotations

from asrkit.runs import lifecycle, summary
from asrkit.runs.events import Event
from asrkit.runs.history import EvaluationScore
from asrkit.runs.run import CANCEL, Run
from asrkit.runs.view import RunView
from asrkit.ui import strings
from asrkit.ui.common import status_text
from asrkit.ui.strings.messages import translate

HIGH_WER = 0.3
"""From this error rate on, more clips help more than clips with the words that are still wrong."""


def describe_outcome(run: Run, status: str, view: RunView) -> str:
    """Describe a run that finished or was stopped, in one line; empty for any other."""
    if status not in (lifecycle.FINISHED, lifecycle.STOPPED):
        return ""
    has_model, text = run.has_model(), _describe_end(run, status, view)
    end = summary.get_end_event(run, view) if status == lifecycle.STOPPED else None
    if end and (end.data.get("forced") or not end.data.get("saved", has_model)):
        return translate(str(end.data.get("message") or "")) or strings.text("outcome.cancelled")
    return f"{text} {strings.text('outcome.transcribe')}" if has_model and has_improved(view) else text


def has_improved(view: RunView) -> bool:
    """Return whether training has improved the model: whether no finding says that it has not."""
    return all(finding["code"] != "no-gain" for finding in view.findings)


def _describe_end(run: Run, status: str, view: RunView) -> str:
    best = summary.get_best_evaluation(run, view)
    parts = []
    if status == lifecycle.FINISHED:
        parts.append(strings.text("outcome.finished"))
    else:
        parts.append(strings.text("outcome.stopped", step=view.step))
    if best:
        metric = status_text.format_best(view, best)
        name = "best" if has_improved(view) else "maybe_chance" if best.step else "no_gain"
        parts.append(strings.text(f"outcome.{name}", metric=metric[:1].upper() + metric[1:], step=best.step))
    if status == lifecycle.STOPPED:
        parts.append(translate(summary.describe_model_step(run, view)))
    if best and has_improved(view):
        parts.append(_describe_gain(view, best))
    return " ".join(filter(None, parts))


def _describe_gain(view: RunView, best: Event) -> str:
    """Say how many of 100 words the model gets right, and got before training; empty if that is no improvement."""
    start = view.evaluations[0] if view.evaluations else best
    before, now = start.data.get("wer"), best.data.get("wer")
    if start.step != 0 or before is None or now is None or now >= min(before, 1):
        return ""
    name = "gain" if summary.count_clips(start)[0] == summary.count_clips(best)[0] else "gain_from_sample"
    return strings.text(
        f"outcome.{name}",
        now=round(100 * (1 - now)),
        before=round(100 * max(0, 1 - before)),
        sample=status_text.format_clips(start),
    )


def describe_next_step(run: Run, status: str, view: RunView) -> str:
    """Say what helps most after a run has ended, by what happened; empty for one that has not ended.

    It repeats neither what a finding advises nor what an error does, but says how to go on from there. That of a crash
    ends with what Resume does.
    """
    if status in lifecycle.UNFINISHED or (status == lifecycle.CRASHED and not run.has_flag(CANCEL)):
        return ""
    resume = strings.text(f"next.resume.{'checkpoint' if run.checkpoints() else 'start'}")
    if status == lifecycle.FAILED:
        return strings.text("next.mend", resume=resume)
    if not run.has_model():
        return resume if status != lifecycle.FINISHED else ""
    if _was_improving(view):
        train_on = strings.text("next.train_longer") if status == lifecycle.FINISHED else resume
        return f"{strings.text('next.was_improving')} {train_on}"
    improve = _describe_improvement(run, view)
    return improve if status == lifecycle.FINISHED else f"{improve} {resume}"


def _describe_improvement(run: Run, view: RunView) -> str:
    """Say how a model that no longer improves becomes better, or where to go with it."""
    best = summary.get_best_evaluation(run, view)
    if best is None:
        return strings.text("next.unevaluated")
    if not has_improved(view):
        sample = status_text.format_clips(best) if best.step else ""
        return strings.text("next.evaluate_on_more", clips=sample) if sample else strings.text("next.start_again")
    clips = view.started.get("train_utterances")
    if clips and (best.data.get("wer") or 0) > HIGH_WER:
        return strings.text("next.add_clips", clips=strings.text("common.clips", count=clips))
    return strings.text("next.add_what_is_wrong")


def _was_improving(view: RunView) -> bool:
    """Whether the last evaluation is better than the one before it by more than chance explains."""
    if not has_improved(view):
        return False
    scores = [EvaluationScore.from_data(event.data, event.step or 0) for event in view.evaluations[-2:]]
    return len(scores) == 2 and scores[1].is_improvement_on(scores[0], view.metric)
