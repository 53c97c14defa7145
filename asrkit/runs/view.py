"""Events -> RunView: series, progress, ETA, best result. A pure fold, so any reader of the events sees the same run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from asrkit.runs import events
from asrkit.runs.curves import Curves, Point
from asrkit.runs.events import Event
from asrkit.runs.run import Run

TRAIN_SERIES = ("loss", "learning_rate", "grad_norm", "audio_seconds_per_second", "memory_gb")
EVAL_SERIES = ("loss", "wer", "cer", "mer", "blank_share", "length_ratio", "greedy_wer", "greedy_cer")
TRAIN_CURVES = {name: f"train/{name}" for name in TRAIN_SERIES}
EVAL_CURVES = {name: f"eval/{name}" for name in EVAL_SERIES}
"""Field of an event -> the curve that it is a point of."""

ASLEEP_S = 600.0
"""A shorter silence is never taken for a machine that was suspended."""


@dataclass
class RunView:
    """What is known of a run after the events applied so far.

    most_points: curves are thinned to about that many when they have several times as many, and evaluations lose their
    samples (`Event.offset` says where they are), so that memory does not grow with the run. None keeps everything.
    """

    run_id: str
    max_points: int | None = None
    evaluations: list[Event] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    started: dict[str, Any] = field(default_factory=dict)
    phase: Event | None = None
    phase_since_s: float = 0.0
    end: Event | None = None
    step: int = 0
    epoch: float = 0.0
    first_time: float | None = None
    last_time: float | None = None
    idle_s: float = 0.0
    _pace: list[tuple[float, int]] = field(default_factory=list)
    _interval_s: float = 0.0

    def apply(self, told: Event) -> None:
        """Add one event."""
        if self.first_time is None:
            self.first_time = told.time
        if told.data.get("begins") or self.end:
            # A worker begins again: nobody worked between the last word of the one before it and this.
            self.idle_s += told.time - (self.last_time or told.time)
        else:
            self.idle_s += self._asleep_s(told)
        self.last_time = told.time
        if told.step is not None:
            self.step = told.step
        if told.epoch is not None:
            self.epoch = told.epoch
        if told.kind == events.STARTED:
            self._begin(told)
        elif told.kind == events.PHASE:
            if self.phase is None or self.phase.data.get("phase") != told.data.get("phase"):
                self.phase_since_s = self.worked_s(told.time)
            self.phase, self.end = told, None
        elif told.kind == events.TRAIN:
            self.phase = None
            worked = self.worked_s(told.time)
            self._curves.add(TRAIN_CURVES, told, worked)
            self._interval_s = worked - self._pace[-1][0] if self._pace else 0.0
            self._pace = [*self._pace[:1], (worked, told.step or 0)]
        elif told.kind == events.EVAL:
            self.phase = None
            self._curves.add(EVAL_CURVES, told, self.worked_s(told.time))
            self.evaluations.append(told if self.max_points is None else _without_samples(told))
        elif told.kind == events.CHECKPOINT:
            self.phase = None
        elif told.kind == events.FINDING:
            self.findings.append({"step": told.step, "epoch": told.epoch, **told.data})
        elif told.kind in events.END_KINDS:
            self.phase, self.end = None, told

    def _asleep_s(self, told: Event) -> float:
        """Seconds before `told` in which the machine was suspended, or by which its clock was set: a silence far longer
        than the work ever makes, or shorter than none."""
        silence = told.time - (self.last_time or told.time)
        if 0 <= silence < ASLEEP_S:
            return 0.0
        training = told.kind == events.TRAIN and self.phase is None
        usual = ((told.step or 0) - self.step) * (self._step_s() or 0.0) if training else 0.0
        if silence < 0:
            return silence - usual
        if self.phase is not None:  # an evaluation says every few seconds how far it is; a download may be silent
            return silence if self.phase.data.get("phase") == "evaluating" else 0.0
        return silence - usual if usual and silence > 10 * usual else 0.0

    def _step_s(self) -> float | None:
        """Seconds of work of a step in this life of the worker, evaluations included; None before it is known."""
        if len(self._pace) < 2:
            return None
        (begun, first), (reached, last) = self._pace[0], self._pace[-1]
        return (reached - begun) / (last - first) if last > first and reached > begun else None

    def _begin(self, told: Event) -> None:
        """A worker begins or, after a resume, begins again at `step`: what was past that step will be told anew."""
        self.started, self.end, self._pace = told.data, None, []
        step = told.step or -1  # from the very beginning, the evaluation before the first step is told anew too
        self._curves.rewind(step)
        self.evaluations = [old for old in self.evaluations if (old.step or 0) <= step]
        self.findings = [old for old in self.findings if (old.get("step") or 0) <= step]

    def __post_init__(self) -> None:
        self._curves = Curves(self.max_points)

    @property
    def series(self) -> dict[str, list[Point]]:
        """Curve -> its points."""
        return self._curves.all()

    @property
    def total_steps(self) -> int | None:
        return self.started.get("total_steps")

    @property
    def metric(self) -> str:
        return self.started.get("metric_for_best_model", "wer")

    @property
    def best(self) -> Event | None:
        """The evaluation with the lowest chosen metric; the first of equals. See `kept` for what is left of a run."""
        known = [told for told in self.evaluations if told.data.get(self.metric) is not None]
        return min(known, key=lambda told: told.data[self.metric], default=None)

    def progress(self) -> float:
        """Share of the optimizer steps that are done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0

    def elapsed_s(self, now: float | None = None) -> float:
        """Seconds of work since the first event, up to the end if the run has ended; pauses between two lives of its
        worker are not counted."""
        return self.worked_s(self.end.time if self.end else (time.time() if now is None else now))

    def worked_s(self, until: float) -> float:
        """Seconds of work from the first event up to the moment `until`."""
        return 0.0 if self.first_time is None else max(0.0, until - self.first_time - self.idle_s)

    def eta_s(self, now: float | None = None) -> float | None:
        """Seconds to go at the pace of this life of the worker, evaluations included; None before it is known."""
        a_step = self._step_s()
        if a_step is None or not self.total_steps or self.end:
            return None
        reached, last = self._pace[-1]
        # Longer than from one step that is told to the next, nothing is known to go on: it evaluates, or was suspended.
        since = min(self.worked_s(time.time() if now is None else now) - reached, self._interval_s)
        return max(0.0, (self.total_steps - last) * a_step - since)


def _without_samples(told: Event) -> Event:
    return replace(told, data={name: value for name, value in told.data.items() if name != "samples"})


def load_view(run: Run, skim: bool = False) -> RunView:
    """The run as its whole history tells it; `skim` as in `Run.events`."""
    seen = RunView(run.id)
    for told in run.events(skim=skim)[0]:
        seen.apply(told)
    return seen
