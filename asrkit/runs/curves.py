"""The curves of a run: points by name, thinned so that few are kept and drawn, with their extremes.

A long run has a million points; those that will not be kept are not even made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from asrkit.runs.events import Event

THINNING_FACTOR = 6
"""A curve is thinned when it has this many times the points that it may have."""

MAX_PENDING_EVENTS = 20_000
"""Events that may wait to become points."""

CurveNames = dict[str, str]
"""Field of an event -> its curve."""


class Point(NamedTuple):
    """One value of a curve. `value` is None where the number was not finite; elapsed_s: seconds of work until then."""

    step: int
    epoch: float
    time: float
    value: float | None
    elapsed_s: float


def iter_points(names: CurveNames, event: Event, elapsed_s: float) -> Iterator[tuple[str, Point]]:
    """Iterate over the (curve, point) pairs of an event."""
    step, epoch = event.step or 0, event.epoch or 0.0
    return (
        (curve, Point(step, epoch, event.time, event.data[name], elapsed_s))
        for name, curve in names.items()
        if name in event.data
    )


_ORDER = attrgetter("step", "time")


def thin(points: list[Point], max_points: int) -> list[Point]:
    """Reduce a curve to about `max_points`: the lowest, the highest and a missing value of equal stretches of steps.

    The first and the last point stay. Thinning a thinned curve keeps the extremes too, so a growing curve can be kept
    short by thinning it now and then.
    """
    if len(points) <= max_points:
        return points
    kept = _find_extremes(
        [point.step for point in points[1:-1]],
        [point.value for point in points[1:-1]],
        max_points,
        points[0].step,
        points[-1].step,
    )
    return [points[0], *sorted((points[1 + index] for index in kept), key=_ORDER), points[-1]]


def _find_extremes(
    steps: Sequence[int], values: Sequence[float | None], max_points: int, first_step: int, last_step: int
) -> list[int]:
    """Return the indices of the lowest, the highest and the first missing value of each stretch of steps."""
    width = (last_step - first_step + 1) / max(1, max_points // 2 - 1)
    stretches = (np.asarray(steps) - first_step) // width
    bounds = [0, *(np.flatnonzero(np.diff(stretches)) + 1).tolist(), len(steps)]
    numbers = np.array(values, dtype=float)  # None becomes nan
    is_missing = np.isnan(numbers)
    low, high = np.where(is_missing, np.inf, numbers), np.where(is_missing, -np.inf, numbers)
    kept: list[int] = []
    for begin, end in zip(bounds, bounds[1:], strict=False):
        missing = is_missing[begin:end]
        chosen = set() if missing.all() else {int(low[begin:end].argmin()), int(high[begin:end].argmax())}
        if missing.any():
            chosen.add(int(missing.argmax()))
        kept += [begin + index for index in chosen]
    return kept


class Curves:
    """All curves of a run. max_points: points of a thinned curve, None for all; at times it has THINNING_FACTOR times
    as many."""

    def __init__(self, max_points: int | None = None) -> None:
        self.max_points = max_points
        self._points: dict[str, list[Point]] = {}
        self._pending: dict[str, tuple[CurveNames, list[tuple[Event, float]]]] = {}

    def add(self, names: CurveNames, event: Event, elapsed_s: float) -> None:
        """Add the values of an event; elapsed_s: seconds of work until then. A field of an event kind has one curve."""
        known, pending = self._pending.setdefault(event.kind, ({}, []))
        known.update(names)
        pending.append((event, elapsed_s))
        if len(pending) >= MAX_PENDING_EVENTS:
            self._make_points()

    def all(self) -> dict[str, list[Point]]:
        """Return curve -> its points in the order of events."""
        if self._pending:
            self._make_points()
        return self._points

    def rewind(self, step: int) -> None:
        """Remove all points after a step."""
        for points in self.all().values():
            points[:] = [point for point in points if point.step <= step]

    def _make_points(self) -> None:
        pending, self._pending = self._pending, {}
        for names, history in pending.values():
            for name, curve in names.items():
                chosen = [(event, elapsed_s) for event, elapsed_s in history if name in event.data]
                if chosen:
                    self._extend(curve, name, chosen)

    def _extend(self, curve: str, name: str, history: list[tuple[Event, float]]) -> None:
        points = self._points.setdefault(curve, [])
        if self.max_points and len(history) > THINNING_FACTOR * self.max_points:
            steps = [event.step or 0 for event, _ in history]
            values = [event.data[name] for event, _ in history]
            kept = _find_extremes(steps, values, self.max_points, min(steps), max(steps))
            history = [history[index] for index in sorted({0, *kept, len(history) - 1})]
        points += [
            Point(event.step or 0, event.epoch or 0.0, event.time, event.data[name], elapsed_s)
            for event, elapsed_s in history
        ]
        if self.max_points and len(points) > THINNING_FACTOR * self.max_points:
            points[:] = thin(points, self.max_points)
