"""Incremental reading of a run for pages that poll it.

A `RunFollower` keeps the state and the curves of one run in memory, thinned to what a screen can show, so that neither
memory nor the cost of a poll grows with the history. No state is kept per page: each request names the byte up to which
its page has read. A page that is new, that has missed too much, or whose run was resumed redraws its curves.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from asrkit.errors import RunError
from asrkit.runs import events
from asrkit.runs.clock import RunClock
from asrkit.runs.curves import Point, iter_points, thin
from asrkit.runs.events import Event
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.runs.view import DATASET_CURVE, RunView, flatten, list_curves
from asrkit.ui.common import samples

LOSSES = ("train/loss", "eval/loss")
RATES = ("eval/wer", "eval/wer_low", "eval/wer_high", "eval/cer", "eval/mer", "eval/greedy_wer")
DETAILS = ("train/learning_rate", "train/grad_norm", "train/audio_seconds_per_second", "train/memory_gb")
SERIES = (*LOSSES, *RATES, *DETAILS)
MAX_POINTS = 1_000
"""Points of one curve that a page gets when it opens."""

MAX_DATASET_CURVES = 6
"""Datasets whose WER has a curve; more of them could not be distinguished. The caption of the samples names all."""

MAX_NEW_POINTS = 200
"""Points of one curve that a page gets in an update; more are thinned."""

MAX_RECENT_EVENTS = 2_000
"""Events that are kept for updates; a page that has missed more redraws its curves."""

MAX_FOLLOWERS = 16
"""Runs that stay in memory; the least recently polled one is dropped, and read again on demand."""

READ_BYTES = 1 << 22
MAX_READ_S = 0.5
"""How long one poll may read an old history before it replies; the next poll continues."""

Columns = dict[str, list[Any]]
"""Points of a curve by column. x: steps, e: epochs, t: seconds of work, y: values."""


class Update(NamedTuple):
    """What a page has to draw.

    reset: whether to discard the curves drawn so far. points: curve -> its points. offset: the byte up to which the
    page has read after this update. read: share of the history that is in memory, 1.0 for all.
    """

    reset: bool
    points: dict[str, Columns]
    offset: int
    read: float


class _RecentEvent:
    """A `train` or `eval` event, and the seconds of work until then."""

    def __init__(self, event: Event, elapsed_s: float) -> None:
        self.event = flatten(event)
        self.elapsed_s = elapsed_s

    @cached_property
    def points(self) -> dict[str, Point]:
        """Curve -> its point as pages get it; computed once for all pages."""
        points = iter_points(list_curves(self.event), self.event, self.elapsed_s)
        return {name: _round_point(point) for name, point in points}


class RunFollower:
    """The state of one run up to a byte offset of its events. Safe to use from several threads."""

    def __init__(self, run: Run) -> None:
        self.run, self.clock = run, RunClock()
        self._lock = threading.Lock()
        self._evaluation: dict[str, Any] = {}
        self._reset()

    def _reset(self) -> None:
        self.view = RunView(self.run.id, max_points=MAX_POINTS)
        self.offset = 0
        self._recent: deque[_RecentEvent] = deque()
        self._start_offset = self._dropped_offset = -1  # of the last `started` event, and of the last dropped event

    def read_update(self, after: int) -> Update:
        """Read new events; return what a page that has read up to byte `after` has to draw."""
        with self._lock:
            size = self._catch_up()
            if self.offset < size:
                return Update(False, {}, 0, self.offset / size)
            if not max(self._start_offset, self._dropped_offset, 0) < after <= self.offset:
                return Update(True, self._make_curves(), self.offset, 1.0)
            recent_points = [recent.points for recent in self._recent if recent.event.offset >= after]
            curves = {
                name: [points[name] for points in recent_points if name in points] for name in _list_series(self.view)
            }
            columns = {name: _make_columns(thin(points, MAX_NEW_POINTS)) for name, points in curves.items() if points}
            return Update(False, columns, self.offset, 1.0)

    def _catch_up(self) -> int:
        """Apply new events, for at most MAX_READ_S; return the size of the history in bytes."""
        if self.run.events_size() - self.offset < READ_BYTES:
            return self._read()
        was_enabled = gc.isenabled()
        gc.disable()  # it would traverse the million points made here again and again: half of the time
        try:
            return self._read()
        finally:
            if was_enabled:
                gc.enable()

    def _read(self) -> int:
        deadline = time.monotonic() + MAX_READ_S
        while True:
            new_events, offset = self.run.events(self.offset, READ_BYTES)
            if offset < self.offset:  # another run has replaced this one
                self._reset()
                continue
            self._apply(new_events)
            is_done, self.offset = offset == self.offset, offset
            size = self.offset if is_done else max(self.offset, self.run.events_size())
            if is_done or self.offset >= size or time.monotonic() > deadline:
                return size

    def _apply(self, new_events: list[Event]) -> None:
        num_old = max(0, len(new_events) - MAX_RECENT_EVENTS)  # of a long history only the last ones are kept
        for index, event in enumerate(new_events):
            self.view.apply(event)
            if event.kind == events.STARTED:
                self._start_offset = event.offset
            elif index >= num_old and list_curves(event):
                self._recent.append(_RecentEvent(event, self.view.elapsed_s))
        if num_old:
            self._dropped_offset = new_events[num_old - 1].offset
        while self._recent and (
            len(self._recent) > MAX_RECENT_EVENTS or self._recent[0].event.offset <= self._dropped_offset
        ):
            self._dropped_offset = max(self._dropped_offset, self._recent.popleft().event.offset)

    def _make_curves(self) -> dict[str, Columns]:
        series = self.view.series
        return {
            name: _make_columns([_round_point(point) for point in thin(series.get(name, []), MAX_POINTS)])
            for name in _list_series(self.view)
        }

    def render_evaluation(self, key: str, event: Event) -> Mapping[str, Any]:
        """Render an evaluation for the page, once for all pages that show it."""
        rendered = self._evaluation  # a local name: another thread may replace the attribute
        if rendered.get("key") != key:
            base = self._find_base_evaluation(event)
            event = self.load_samples(event)
            rendered = self._evaluation = {
                "key": key,
                "step": event.step,
                "caption": samples.format_caption(event),
                "html": samples.render_samples(event, base and self.load_samples(base)),
            }
        return rendered

    def _find_base_evaluation(self, event: Event) -> Event | None:
        """Return the evaluation before the first step, if it is another, of a base model that got some words right."""
        first = self.view.evaluations[0]
        wer = first.data.get("wer")
        return first if first.step == 0 != event.step and wer is not None and wer < 1 else None

    def load_samples(self, event: Event) -> Event:
        """Read an evaluation again from its file, since those in memory have no samples."""
        stored = self.run.events(event.offset, 65_536)[0]
        return stored[0] if stored and (stored[0].kind, stored[0].step) == (event.kind, event.step) else event


class FollowerCache:
    """The followers of a store's runs, made on demand."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._followers: OrderedDict[str, tuple[int, RunFollower]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, run_id: str) -> RunFollower:
        """Return the follower of a run. Raises RunError if there is no such run."""
        with self._lock:
            try:
                run = self.store.get(run_id)
            except RunError:
                self._followers.pop(run_id, None)
                raise
            # The config is never rewritten: another time means another run of the same name.
            created_ns = run.config_path.stat().st_mtime_ns
            if self._followers.get(run.id, (0, None))[0] != created_ns:
                self._followers[run.id] = (created_ns, RunFollower(run))
            self._followers.move_to_end(run.id)
            while len(self._followers) > MAX_FOLLOWERS:
                self._followers.popitem(last=False)
            return self._followers[run.id][1]


def _list_series(view: RunView) -> tuple[str, ...]:
    """Return the curves to draw: the mixed error rate only if it selects the best model; else it equals the WER."""
    datasets = [name for name in view.series if name.startswith(DATASET_CURVE)][:MAX_DATASET_CURVES]
    return (*(name for name in SERIES if name != "eval/mer" or view.metric == "mer"), *datasets)


def _round_point(point: Point) -> Point:
    """Round a point to the precision of a chart."""
    value = point.value if point.value is None else float(f"{point.value:.6g}")
    return Point(point.step, round(point.epoch, 3), point.time, value, round(point.elapsed_s, 1))


def _make_columns(points: list[Point]) -> Columns:
    steps, epochs, _, values, seconds = map(list, zip(*points, strict=True)) if points else ([], [], [], [], [])
    return {"x": steps, "e": epochs, "t": seconds, "y": values}
