"""What the live panel asks for, once a second: the difference between what it shows and what the run has told since.

A `Follower` keeps one run folded, thinned to what a screen can show, so that neither memory nor a poll grows with the
history. Clients are not remembered: each says how far it has read; one that is new, that was away for long, or that a
resume rewound, is told to draw from nothing.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import OrderedDict, deque
from functools import cached_property
from typing import Any, NamedTuple

from asrkit.errors import RunError
from asrkit.runs import events, heartbeat, lifecycle, queue
from asrkit.runs.clock import RunClock
from asrkit.runs.curves import Point, iter_points, thin
from asrkit.runs.events import Event
from asrkit.runs.run import CANCEL, Run
from asrkit.runs.store import RunStore
from asrkit.runs.summary import get_best_evaluation
from asrkit.runs.view import EVAL_CURVES, TRAIN_CURVES, RunView
from asrkit.ui.common import samples, status_text

LOSSES = ("train/loss", "eval/loss")
RATES = ("eval/wer", "eval/cer", "eval/mer", "eval/greedy_wer")
DETAILS = ("train/learning_rate", "train/grad_norm", "train/audio_seconds_per_second", "train/memory_gb")
SERIES = (*LOSSES, *RATES, *DETAILS)
MOST_POINTS = 1_000
"""Points of one curve that a page gets at once when it opens."""

MOST_NEWS = 200
"""Points of one curve that a page gets later, thinned too where it has missed more."""

MOST_RECENT = 2_000
"""Events with points that are told on; a page that has missed more draws from nothing."""

MOST_KEPT = 16
"""Runs that are kept folded; one that nobody has asked for in a while is read anew."""

READ_BYTES = 1 << 22
READING_S = 0.5
"""How long one poll may read an old history before it answers; the next goes on from there."""

KINDS = {events.TRAIN: TRAIN_CURVES, events.EVAL: EVAL_CURVES}
Curves = dict[str, dict[str, list[Any]]]
"""Curve -> x: steps, e: epochs, t: seconds of work, y: values."""


class News(NamedTuple):
    """reset: draw from nothing. offset: to go on from. read: share of the history that is folded, 1.0 for all."""

    reset: bool
    points: Curves
    offset: int
    read: float


class _Recent:
    """An event with points, and the seconds of work until then."""

    def __init__(self, told: Event, elapsed_s: float) -> None:
        self.told, self.elapsed_s = told, elapsed_s

    @cached_property
    def points(self) -> dict[str, Point]:
        """Curve -> its point, as the page gets it: made once for all who look."""
        return {name: _rounded(point) for name, point in iter_points(KINDS[self.told.kind], self.told, self.elapsed_s)}


class Follower:
    """One run, folded up to a byte offset of its events. Safe to call from several threads."""

    def __init__(self, run: Run) -> None:
        self.run, self.clock = run, RunClock()
        self._lock = threading.Lock()
        self._shown: dict[str, Any] = {}
        self._begin()

    def _begin(self) -> None:
        self.view = RunView(self.run.id, max_points=MOST_POINTS)
        self.offset = 0
        self._recent: deque[_Recent] = deque()
        self._rewound = self._forgotten = -1  # bytes of the last start, and of the last event that is not recent

    def since(self, after: int) -> News:
        """Catch up; -> what a page that has read up to byte `after` does not know."""
        with self._lock:
            size = self._catch_up()
            if self.offset < size:
                return News(False, {}, 0, self.offset / size)
            if max(self._rewound, self._forgotten, 0) < after <= self.offset:
                fresh = [one.points for one in self._recent if one.told.offset >= after]
                curves = {name: [one[name] for one in fresh if name in one] for name in _shown(self.view)}
                return News(
                    False,
                    {name: _columns(thin(points, MOST_NEWS)) for name, points in curves.items() if points},
                    self.offset,
                    1.0,
                )
            return News(True, self._curves(), self.offset, 1.0)

    def _catch_up(self) -> int:
        """Fold what is new, for at most READING_S; -> bytes of the history."""
        if self.run.events_size() - self.offset < READ_BYTES:
            return self._read()
        collecting = gc.isenabled()
        gc.disable()  # it would walk through the million points made here again and again: half of the time
        try:
            return self._read()
        finally:
            if collecting:
                gc.enable()

    def _read(self) -> int:
        until = time.monotonic() + READING_S
        while True:
            fresh, offset = self.run.events(self.offset, READ_BYTES)
            if offset < self.offset:  # another run took its place
                self._begin()
                continue
            self._fold(fresh)
            done, self.offset = offset == self.offset, offset
            size = self.offset if done else max(self.offset, self.run.events_size())
            if done or self.offset >= size or time.monotonic() > until:
                return size

    def _fold(self, fresh: list[Event]) -> None:
        old = max(0, len(fresh) - MOST_RECENT)  # of a long history nobody asks for these one by one
        for place, told in enumerate(fresh):
            self.view.apply(told)
            if told.kind == events.STARTED:
                self._rewound = told.offset
            elif place >= old and told.kind in KINDS:
                self._recent.append(_Recent(told, self.view.elapsed_s))
        if old:
            self._forgotten = fresh[old - 1].offset
        while self._recent and (len(self._recent) > MOST_RECENT or self._recent[0].told.offset <= self._forgotten):
            self._forgotten = max(self._forgotten, self._recent.popleft().told.offset)

    def _curves(self) -> Curves:
        series = self.view.series
        return {
            name: _columns([_rounded(point) for point in thin(series.get(name, []), MOST_POINTS)])
            for name in _shown(self.view)
        }

    def shown(self, key: str, told: Event) -> dict[str, Any]:
        """An evaluation for the page, made once for all who look at it."""
        shown = self._shown  # of two who ask at once for different ones, each gets his own
        if shown.get("key") != key:
            told = self.samples(told)
            shown = self._shown = {
                "key": key,
                "step": told.step,
                "caption": samples.format_caption(told),
                "html": samples.render_samples(told),
            }
        return shown

    def samples(self, told: Event) -> Event:
        """The evaluation with its samples, read from where it lies."""
        whole = self.run.events(told.offset, 65_536)[0]
        return whole[0] if whole and (whole[0].kind, whole[0].step) == (told.kind, told.step) else told


class Followers:
    """The followers of a store's runs, made when first asked for."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._known: OrderedDict[str, tuple[int, Follower]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, run_id: str) -> Follower:
        """RunError if there is no such run."""
        with self._lock:
            try:
                run = self.store.get(run_id)
            except RunError:
                self._known.pop(run_id, None)
                raise
            born = run.config_path.stat().st_mtime_ns  # never rewritten: another time is another run of the same name
            if self._known.get(run.id, (0, None))[0] != born:
                self._known[run.id] = (born, Follower(run))
            self._known.move_to_end(run.id)
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
            return self._known[run.id][1]


def _describe_best(view: RunView, best: Event | None) -> dict[str, Any] | None:
    if best is None:
        return None
    return {"step": best.step or 0, "words": status_text.format_metric(view.metric, best.data.get(view.metric))}


def answer(follower: Follower, request: dict[str, Any], under_way: list[Run], waiting: list[Run]) -> dict[str, Any]:
    """What the panel shows of a run now. `request`: {after, evaluation: key shown, at_step: wanted, log: is it open}.
    under_way, waiting: the runs that are, those in line in their order."""
    run = follower.run
    status = lifecycle.get_status(run)
    news = follower.since(int(request.get("after") or 0))
    seen = follower.view
    ended = status not in lifecycle.ACTIVE and status != lifecycle.QUEUED
    ahead = queue.get_queue_status(run, under_way, waiting) if status == lifecycle.QUEUED else None
    best, elapsed_s = get_best_evaluation(run, seen), follower.clock.elapsed_s(seen)
    sign = heartbeat.read_heartbeat(run) if status in lifecycle.ACTIVE else None
    return {
        "run": run.id,
        "offset": news.offset,
        "reset": news.reset,
        "points": news.points,
        "read": news.read,
        "status": status,
        "status_word": status_text.format_status(status),
        "ended": ended,
        "can": _actions(status, run, ahead),
        "said": status_text.format_announcement(status, seen),
        "activity": "" if ended else status_text.describe_activity(run, status, seen, elapsed_s, ahead, sign),
        "silence": status_text.describe_silence(status, sign),
        "progress": 1.0 if status == lifecycle.FINISHED else seen.progress(),
        "line": status_text.format_progress(seen, status, elapsed_s),
        "entropy": seen.started.get("label_entropy"),
        "step": seen.step,
        "total_steps": seen.total_steps,
        "epoch": seen.epoch,
        "best": _describe_best(seen, best),
        "outcome": status_text.describe_outcome(run, status, seen),
        "has_model": run.has_model(),
        "error": status_text.describe_error(run, status, seen) if news.read == 1.0 else None,
        "findings": seen.findings,
        "evaluations": None
        if request.get("evaluations") == len(seen.evaluations) and not news.reset
        else [told.step or 0 for told in seen.evaluations],
        "evaluation": _evaluation(follower, request.get("at_step"), request.get("evaluation")),
        "log": run.log_tail() if request.get("log") else None,
    }


def _actions(status: str, run: Run, ahead: queue.QueueStatus | None) -> list[str]:
    """What can be done with the run now. ahead: why it waits, where it does."""
    if ahead:
        if not run.queue_path.exists():  # made, but cut off before it was started
            return ["resume", "delete"]
        return ["next", "leave"] if ahead.queued_ids else ["leave"]
    if status in (lifecycle.STARTING, lifecycle.RUNNING):
        return ["stop", "cancel", *(["evaluate", "save"] if status == lifecycle.RUNNING else [])]
    if status == lifecycle.STOPPING:
        return ["kill"] if run.has_flag(CANCEL) else ["cancel"]
    return ["resume", "delete"] if status in lifecycle.RESUMABLE else ["delete"]


def _evaluation(follower: Follower, at_step: int | None, shown: str | None) -> dict[str, Any] | None:
    """The evaluation of that step, else the latest; None where the panel shows it already or there is none."""
    known = follower.view.evaluations
    wanted = [told for told in known if at_step is None or told.step == at_step] or known
    if not wanted:
        return None
    told = wanted[-1]
    key = f"{told.step}@{told.time}"
    if key == shown:
        return None
    return follower.shown(key, told)


def _shown(seen: RunView) -> tuple[str, ...]:
    """The curves worth drawing: the mixed error rate only for a run that is judged by it, elsewhere it is the WER."""
    return tuple(name for name in SERIES if name != "eval/mer" or seen.metric == "mer")


def _rounded(point: Point) -> Point:
    """As exact as a chart can show it."""
    value = point.value if point.value is None else float(f"{point.value:.6g}")
    return Point(point.step, round(point.epoch, 3), point.time, value, round(point.elapsed_s, 1))


def _columns(points: list[Point]) -> dict[str, list[Any]]:
    steps, epochs, _, values, seconds = map(list, zip(*points, strict=True)) if points else ([], [], [], [], [])
    return {"x": steps, "e": epochs, "t": seconds, "y": values}
