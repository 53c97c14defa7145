"""What the live panel asks for, once a second: the difference between what it shows and what the run has told since.

A `Follower` keeps one run folded, so that a poll reads the new events alone, however long the history is. Clients are
not remembered: each says how far it has read; one that is new, or that a resume rewound, is told to draw from nothing.
"""

from __future__ import annotations

import threading
from typing import Any

from asrkit.runs import events, supervisor
from asrkit.runs.events import Event
from asrkit.runs.store import CANCEL, Run, RunStore
from asrkit.runs.view import RunView
from asrkit.ui import samples, words

SERIES = ("train/loss", "eval/loss", "eval/wer", "eval/cer", "eval/mer", "eval/greedy_wer")
MOST_POINTS = 2_000
"""Points of one curve that a page gets at once when it opens; what comes later is sent whole."""

Curves = dict[str, dict[str, list[Any]]]


class Follower:
    """One run, folded up to a byte offset of its events. Safe to call from several threads."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.view = RunView(run.id)
        self.offset = 0
        self._lock = threading.Lock()

    def since(self, after: int) -> tuple[bool, Curves, int]:
        """Catch up; -> (whether to draw from nothing, the points since byte `after`, the offset to go on from)."""
        with self._lock:
            self._catch_up()
            fresh = self.run.events(after, limit_bytes=self.offset - after)[0] if 0 < after <= self.offset else []
            if not 0 < after <= self.offset or any(told.kind == events.STARTED for told in fresh):
                return True, _curves_of(self.view), self.offset
            return False, _points_of(fresh, _shown(self.view)), self.offset

    def _catch_up(self) -> None:
        fresh, offset = self.run.events(self.offset)
        if offset < self.offset:  # another run took its place
            self.view = RunView(self.run.id)
            fresh, offset = self.run.events()
        for told in fresh:
            self.view.apply(told)
        self.offset = offset


class Followers:
    """The followers of a store's runs, made when first asked for."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._known: dict[str, tuple[int, Follower]] = {}

    def get(self, run_id: str) -> Follower:
        """RunError if there is no such run."""
        run = self.store.get(run_id)
        born = run.config_path.stat().st_mtime_ns  # never rewritten: another time is another run of the same name
        if self._known.get(run.id, (0, None))[0] != born:
            self._known[run.id] = (born, Follower(run))
        return self._known[run.id][1]


def answer(store: RunStore, follower: Follower, asked: dict[str, Any]) -> dict[str, Any]:
    """What the panel shows of a run now. `asked`: {after, evaluation: key shown, at_step: wanted, log: is it open}."""
    run = follower.run
    status = supervisor.status(run)
    reset, points, offset = follower.since(int(asked.get("after") or 0))
    seen = follower.view
    ended = status not in supervisor.ACTIVE and status != supervisor.QUEUED
    before = supervisor.ahead(store, run) if status == supervisor.QUEUED else []
    return {
        "run": run.id, "offset": offset, "reset": reset, "points": points,
        "status": status, "status_word": words.STATUS[status], "ended": ended,
        "can": _actions(status, run.flag(CANCEL), len(before)),
        "activity": "" if ended else words.activity(status, seen, run.flag(CANCEL), before),
        "progress": 1.0 if status == supervisor.FINISHED else seen.progress(),
        "line": words.progress_line(seen, status),
        "entropy": seen.started.get("label_entropy"),
        "step": seen.step, "total_steps": seen.total_steps, "epoch": seen.epoch,
        "outcome": words.outcome(status, seen, run.has_model()), "has_model": run.has_model(),
        "error": words.error(status, seen, bool(run.checkpoints()), run.flag(CANCEL)),
        "findings": seen.findings,
        "evaluations": [told.step or 0 for told in seen.evaluations],
        "evaluation": _evaluation(seen, asked.get("at_step"), asked.get("evaluation")),
        "log": run.log_tail() if asked.get("log") else None,
    }


def _actions(status: str, cancelled: bool, before: int) -> list[str]:
    """What can be done with the run now. `before`: runs that come before it, the one under way among them."""
    if status == supervisor.QUEUED:
        return ["next", "leave"] if before > 1 else ["leave"] if before else ["resume", "delete"]
    if status in (supervisor.STARTING, supervisor.RUNNING):
        return ["stop", "cancel", *(["evaluate", "save"] if status == supervisor.RUNNING else [])]
    if status == supervisor.STOPPING:
        return ["kill"] if cancelled else ["cancel"]
    return ["resume", "delete"] if status in supervisor.RESUMABLE else ["delete"]


def _evaluation(seen: RunView, at_step: int | None, shown: str | None) -> dict[str, Any] | None:
    """The evaluation of that step, else the latest; None where the panel shows it already or there is none."""
    wanted = [told for told in seen.evaluations if at_step is None or told.step == at_step] or seen.evaluations
    if not wanted:
        return None
    told = wanted[-1]
    key = f"{told.step}@{told.time}"
    if key == shown:
        return None
    return {"key": key, "step": told.step, "caption": samples.caption(told), "html": samples.table(told)}


def _shown(seen: RunView) -> tuple[str, ...]:
    """The curves worth drawing: the mixed error rate only for a run that is judged by it, elsewhere it is the WER."""
    return tuple(name for name in SERIES if name != "eval/mer" or seen.metric == "mer")


def _points_of(history: list[Event], shown: tuple[str, ...]) -> Curves:
    curves: Curves = {}
    for told in history:
        if told.kind not in (events.TRAIN, events.EVAL):
            continue
        for name in shown:
            side, _, field = name.partition("/")
            if side == told.kind and field in told.data:
                curve = curves.setdefault(name, {"x": [], "y": []})
                curve["x"].append(told.step or 0)
                curve["y"].append(told.data[field])
    return curves


def _curves_of(seen: RunView) -> Curves:
    curves: Curves = {}
    for name in _shown(seen):
        points = seen.series.get(name, [])
        stride = -(-len(points) // MOST_POINTS) or 1
        kept = points[::stride] + (points[-1:] if points and (len(points) - 1) % stride else [])
        curves[name] = {"x": [point.step for point in kept], "y": [point.value for point in kept]}
    return curves
