"""The curves of a run: points by name, few enough to keep and to draw, with their extremes.

A long run tells a million of them; what is not going to be kept is not even made into a point.
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
"""Most events that wait to become points."""

CurveNames = dict[str, str]
"""Field of an event -> the curve that it is a point of."""


class Point(NamedTuple):
    """One value of a curve. `value` is None where the number was not finite; elapsed_s: seconds of work until then."""

    step: int
    epoch: float
    time: float
    value: float | None
    elapsed_s: float


def iter_points(names: CurveNames, told: Event, elapsed_s: float) -> Iterator[tuple[str, Point]]:
    """(curve, point) of everything that an event tells."""
    step, epoch = told.step or 0, told.epoch or 0.0
    return (
        (curve, Point(step, epoch, told.time, told.data[name], elapsed_s))
        for name, curve in names.items()
        if name in told.data
    )


_TOLD = attrgetter("step", "time")


def thin(points: list[Point], most: int) -> list[Point]:
    """At most about `most` of the points: of equal stretches of steps the lowest, the highest and a gap, in order.

    The first and the last point stay. Thinning what was thinned before keeps the extremes too, so a curve that grows
    can be kept short by thinning it now and then.
    """
    if len(points) <= most:
        return points
    kept = _extremes(
        [point.step for point in points[1:-1]],
        [point.value for point in points[1:-1]],
        most,
        points[0].step,
        points[-1].step,
    )
    return [points[0], *sorted((points[1 + place] for place in kept), key=_TOLD), points[-1]]


def _extremes(steps: Sequence[int], values: Sequence[float | None], most: int, first: int, last: int) -> list[int]:
    """Places of the lowest, the highest and the first missing value of each of the equal stretches of steps between
    `first` and `last`."""
    width = (last - first + 1) / max(1, most // 2 - 1)
    stretch = (np.asarray(steps) - first) // width
    bounds = [0, *(np.flatnonzero(np.diff(stretch)) + 1).tolist(), len(steps)]
    known = np.array(values, dtype=float)  # None becomes nan
    gaps = np.isnan(known)
    low, high = np.where(gaps, np.inf, known), np.where(gaps, -np.inf, known)
    kept: list[int] = []
    for begin, end in zip(bounds, bounds[1:], strict=False):
        missing = gaps[begin:end]
        here = set() if missing.all() else {int(low[begin:end].argmin()), int(high[begin:end].argmax())}
        if missing.any():
            here.add(int(missing.argmax()))
        kept += [begin + place for place in here]
    return kept


class Curves:
    """most: points that a curve may have, None for all; it has up to SLACK times as many now and then."""

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self._points: dict[str, list[Point]] = {}
        self._waiting: dict[str, tuple[CurveNames, list[tuple[Event, float]]]] = {}

    def add(self, names: CurveNames, told: Event, elapsed_s: float) -> None:
        """One event; elapsed_s: seconds of work until then. An event kind has one set of names."""
        _, waiting = self._waiting.setdefault(told.kind, (names, []))
        waiting.append((told, elapsed_s))
        if len(waiting) >= MAX_PENDING_EVENTS:
            self._settle()

    def all(self) -> dict[str, list[Point]]:
        """Curve -> its points in the order in which they were told."""
        if self._waiting:
            self._settle()
        return self._points

    def rewind(self, step: int) -> None:
        """Take back what lies past a step."""
        for points in self.all().values():
            points[:] = [point for point in points if point.step <= step]

    def _settle(self) -> None:
        fresh, self._waiting = self._waiting, {}
        for names, told in fresh.values():
            for name, curve in names.items():
                mine = [one for one in told if name in one[0].data]
                if mine:
                    self._extend(curve, name, mine)

    def _extend(self, curve: str, name: str, told: list[tuple[Event, float]]) -> None:
        points = self._points.setdefault(curve, [])
        if self.most and len(told) > THINNING_FACTOR * self.most:
            steps = [one.step or 0 for one, _ in told]
            chosen = _extremes(steps, [one.data[name] for one, _ in told], self.most, min(steps), max(steps))
            told = [told[place] for place in sorted({0, *chosen, len(told) - 1})]
        points += [
            Point(one.step or 0, one.epoch or 0.0, one.time, one.data[name], elapsed_s) for one, elapsed_s in told
        ]
        if self.most and len(points) > THINNING_FACTOR * self.most:
            points[:] = thin(points, self.most)
