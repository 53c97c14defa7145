"""Events -> RunView: curves, progress, ETA, best result.

A pure fold, so that every reader of the events sees the same run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from asrkit.data.dataset_names import label_each
from asrkit.runs import events
from asrkit.runs.curves import CurveNames, Curves, Point
from asrkit.runs.events import Event
from asrkit.runs.history import EvaluationScore
from asrkit.runs.run import Run

TRAIN_SERIES = ("loss", "learning_rate", "grad_norm", "audio_seconds_per_second", "memory_gb")
WER_BOUNDS = ("wer_low", "wer_high")
"""Fields with the ends of `wer_interval`, which `flatten` adds."""
DATASET_WER = "wer/"
"""Before the label of one of several datasets: the field with its WER, which `flatten` adds."""
DATASET_CURVE = f"eval/{DATASET_WER}"
"""Before the label of a dataset: the curve of its WER."""
EVAL_SERIES = ("loss", "wer", "cer", "mer", "blank_share", "length_ratio", "greedy_wer", "greedy_cer", *WER_BOUNDS)
TRAIN_CURVES = {name: f"train/{name}" for name in TRAIN_SERIES}
EVAL_CURVES = {name: f"eval/{name}" for name in EVAL_SERIES}
"""Field of an event -> its curve. Evaluations on several datasets have more: see `list_curves`."""


@dataclass
class RunView:
    """The state of a run after the events applied so far.

    elapsed_s: seconds of work up to the last event; pauses before a resume are not counted.
    final_evaluation: that of the best model on all clips.
    max_points: curves with several times as many points are thinned to about that many, and evaluations lose their
    samples (`Event.offset` tells where to read them), so that memory does not grow with the run. None keeps all.
    """

    run_id: str
    max_points: int | None = None
    evaluations: list[Event] = field(default_factory=list)
    final_evaluation: Event | None = None
    findings: list[dict[str, Any]] = field(default_factory=list)
    started: dict[str, Any] = field(default_factory=dict)
    phase: Event | None = None
    phase_started_s: float = 0.0
    end: Event | None = None
    step: int = 0
    epoch: float = 0.0
    last_time: float | None = None
    elapsed_s: float = 0.0
    _pace: list[tuple[float, int]] = field(default_factory=list)
    """(elapsed_s, step) of the first and the last `train` event of the present worker."""
    _train_interval_s: float = 0.0

    def __post_init__(self) -> None:
        self._curves = Curves(self.max_points)

    def apply(self, event: Event) -> None:
        """Add one event."""
        self._advance_clock(event)
        if event.step is not None:
            self.step = event.step
        if event.epoch is not None:
            self.epoch = event.epoch
        if event.kind == events.STARTED:
            self._start(event)
        elif event.kind == events.PHASE:
            if self.phase is None or self.phase.data.get("phase") != event.data.get("phase"):
                self.phase_started_s = self.elapsed_s
            self.phase, self.end = event, None
        elif event.kind == events.TRAIN:
            self.phase = None
            self._curves.add(TRAIN_CURVES, event, self.elapsed_s)
            self._train_interval_s = self.elapsed_s - self._pace[-1][0] if self._pace else 0.0
            self._pace = [*self._pace[:1], (self.elapsed_s, event.step or 0)]
        elif event.kind == events.EVAL:
            self.phase = None
            flat = flatten(event)
            self._curves.add(list_curves(flat), flat, self.elapsed_s)
            self.evaluations.append(event if self.max_points is None else _without_samples(event))
        elif event.kind == events.FINAL_EVAL:
            self.phase = None
            step, epoch = event.data.get("model_step"), event.data.get("model_epoch")
            self.final_evaluation = replace(_without_samples(event), kind=events.EVAL, step=step, epoch=epoch)
        elif event.kind == events.CHECKPOINT:
            self.phase = None
        elif event.kind == events.FINDING:
            self.findings.append({"step": event.step, "epoch": event.epoch, **event.data})
        elif event.kind in events.END_KINDS:
            self.phase, self.end = None, event

    def _advance_clock(self, event: Event) -> None:
        if event.elapsed_s is not None:
            self.elapsed_s = event.elapsed_s
        elif self.last_time is not None and not (event.data.get("begins") or self.end):
            # Not from a worker, or from one of an older version. No work is done before a resume.
            self.elapsed_s += max(0.0, event.time - self.last_time)
        self.last_time = event.time

    def _start(self, event: Event) -> None:
        """Begin the events of a new worker. After a resume, those past its first step are about to be written again."""
        self.started, self.end, self._pace = event.data, None, []
        step = event.step or -1  # from step 0, the evaluation before the first step is repeated too
        self._curves.rewind(step)
        self.evaluations = [old for old in self.evaluations if (old.step or 0) <= step]
        self.findings = [old for old in self.findings if (old.get("step") or 0) <= step]

    @property
    def series(self) -> dict[str, list[Point]]:
        """Curve -> its points."""
        return self._curves.all()

    @property
    def total_steps(self) -> int | None:
        return self.started.get("total_steps")

    @property
    def metric(self) -> str:
        return str(self.started.get("metric_for_best_model", "wer"))

    @property
    def best(self) -> Event | None:
        """The evaluation with the lowest chosen metric; the first of equals. The final one, if it is of that model.

        See `summary.get_best_evaluation` for the one of the weights in `model/`.
        """
        best, best_score = None, None
        for event in self.evaluations:
            score = EvaluationScore.from_data(event.data)
            if score.is_better_than(best_score, self.metric):
                best, best_score = event, score
        final = self.final_evaluation
        return final if final and best and final.step == best.step else best

    def progress(self) -> float:
        """Return the share of the optimizer steps that are done, 0 to 1."""
        return min(1.0, self.step / self.total_steps) if self.total_steps else 0.0

    def eta_s(self, elapsed_s: float | None = None) -> float | None:
        """Estimate the seconds to go, by the pace of the present worker, evaluations included.

        elapsed_s: the present moment, as `RunClock.elapsed_s` returns it; None for that of the last event. The result
        is None while the pace is unknown and once the run has ended.
        """
        if len(self._pace) < 2 or not self.total_steps or self.end:
            return None
        (first_s, first_step), (last_s, last_step) = self._pace
        if last_step <= first_step or last_s <= first_s:
            return None
        step_s = (last_s - first_s) / (last_step - first_step)
        now_s = self.elapsed_s if elapsed_s is None else elapsed_s
        # A `train` event that is overdue means that the run evaluates, so the estimate stands still.
        since_s = min(now_s - last_s, self._train_interval_s)
        return max(0.0, (self.total_steps - last_step) * step_s - since_s)


def flatten(event: Event) -> Event:
    """Return an `eval` event with what is nested in it as fields: the ends of WER's interval, the WER of each dataset.

    Events of other kinds stay as they are.
    """
    if event.kind != events.EVAL:
        return event
    interval, datasets = event.data.get("wer_interval"), event.data.get("datasets") or {}
    added = dict(zip(WER_BOUNDS, interval, strict=True)) if interval else {}
    added |= {f"{DATASET_WER}{label}": datasets[name]["wer"] for name, label in label_each(datasets).items()}
    return replace(event, data={**event.data, **added}) if added else event


def list_curves(event: Event) -> CurveNames:
    """Return field -> curve of a flat event; empty for events that are no points of curves."""
    if event.kind == events.TRAIN:
        return TRAIN_CURVES
    if event.kind != events.EVAL:
        return {}
    if "datasets" not in event.data:
        return EVAL_CURVES
    return EVAL_CURVES | {name: f"eval/{name}" for name in event.data if name.startswith(DATASET_WER)}


def _without_samples(event: Event) -> Event:
    return replace(event, data={name: value for name, value in event.data.items() if name != "samples"})


def load_view(run: Run, skim: bool = False) -> RunView:
    """Fold the whole history of a run; `skim` as in `Run.events`."""
    run_view = RunView(run.id)
    for event in run.events(skim=skim)[0]:
        run_view.apply(event)
    return run_view
