"""What the Runs tab is told: a row for each run, and of those that are ticked the curves to lay over each other.

Rows are folded without the points of training curves, kept up to date from where each was read last, and sent only when
they have changed: a page names the version it has.
"""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from typing import Any

from asrkit import units
from asrkit.config import FIELDS, field_label
from asrkit.errors import AsrkitError, DataError
from asrkit.runs import lifecycle
from asrkit.runs.clock import RunClock
from asrkit.runs.curves import thin
from asrkit.runs.report import export, published
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.runs.summary import get_best_evaluation
from asrkit.runs.view import RunView
from asrkit.ui.common import status_text
from asrkit.ui.common.run_list import Row, RunList
from asrkit.ui.common.viewers import Viewers
from asrkit.ui.train.follow import Followers

TREND_POINTS = 40
COMPARED_POINTS = 400
MOST_COMPARED = 12
DISK_EVERY_S = 20.0
LIVE_MS, QUIET_MS = 2_000, 5_000
READ_BYTES = 1 << 24
SERIES = {
    "eval/wer": "WER",
    "eval/cer": "CER",
    "eval/mer": "MER",
    "eval/loss": "Evaluation loss",
    "train/loss": "Training loss",
    "train/learning_rate": "Learning rate",
    "train/grad_norm": "Gradient norm",
    "train/audio_seconds_per_second": "Audio seconds a second",
    "train/memory_gb": "Memory (GB)",
}
"""The curves that can be laid over each other."""


class Digest:
    """One run, folded to what a row needs."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.settings = _settings(run)
        self._disk, self._measured, self._clock = 0, float("-inf"), RunClock()
        self._begin()

    def _begin(self) -> None:
        self.view, self.offset = RunView(self.run.id, max_points=TREND_POINTS), 0

    def catch_up(self) -> None:
        while True:
            fresh, offset = self.run.events(self.offset, READ_BYTES, skim=True)
            if offset < self.offset:  # another run took its place
                self._begin()
                continue
            for told in fresh:
                self.view.apply(told)
            if offset == self.offset:
                return
            self.offset = offset

    def row(self, status: str) -> dict[str, Any]:
        """What the table shows of the run, without its settings."""
        seen, now = self.view, time.monotonic()
        if status not in lifecycle.ACTIVE or now - self._measured > DISK_EVERY_S:
            self._disk, self._measured = export.measure_disk_usage(self.run), now
        best = get_best_evaluation(self.run, seen)
        told = best.data if best else {}
        going = status in lifecycle.ACTIVE
        elapsed = self._clock.elapsed_s(seen) if going else seen.elapsed_s
        trend = thin(seen.series.get(f"eval/{seen.metric}", []), TREND_POINTS)
        return {
            "id": self.run.id,
            "status": status,
            "status_word": status_text.format_short_status(self.run, status),
            "metric": seen.metric,
            **{name: told.get(name) for name in ("wer", "cer", "loss")},
            "best_step": best and best.step,
            "step": seen.step,
            "total_steps": seen.total_steps,
            "duration_s": round(elapsed),
            "duration": units.format_duration(elapsed) if seen.last_time is not None else "",
            "disk_bytes": self._disk,
            "disk": units.format_size(self._disk),
            "findings": [finding.get("code", "") for finding in seen.findings],
            "trend": [point.value for point in trend if point.value is not None],
        }


class RunsTable:
    """What the tab's script may ask of the server. Every argument comes from the page and is checked here."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.list, self.followers, self.viewers = RunList(store), Followers(store), Viewers()
        self._digests: dict[str, tuple[int, Digest]] = {}
        self._stamps: dict[str, tuple[Any, ...]] = {}
        self._rows: dict[str, tuple[int, dict[str, Any]]] = {}
        self._ids: list[str] = []
        self._fields: list[str] = []
        self._version, self._listed, self._life = 0, 0, uuid.uuid4().hex
        self._lock = threading.Lock()

    def poll(self, request: dict[str, Any]) -> dict[str, Any]:
        """Rows that are newer than `version` (of app `life`); of the runs in `compare` the curve `series` where the
        offset that the page names is not the run's."""
        rows = self.list.rows()
        with self._lock:
            self._refresh(rows)
            known = int(request.get("version") or 0) if request.get("life") == self._life else -1
            told: dict[str, Any] = {
                "life": self._life,
                "version": self._version,
                "rows": [row for version, row in self._rows.values() if version > known],
                "ids": None,
                "fields": None,
            }
            if known < self._listed:
                told |= {
                    "ids": self._ids,
                    "fields": [
                        {"name": name, "label": field_label(name) if name in FIELDS else name} for name in self._fields
                    ],
                }
        told["curves"] = self._compared(request.get("compare") or {}, str(request.get("series")))
        base = LIVE_MS if any(row.active for row in rows) else QUIET_MS
        told["pace_ms"] = self.viewers.pace_ms(str(request.get("page")), base)
        return told

    def _refresh(self, rows: list[Row]) -> None:
        digests = {row.run_id: self._digest(row) for row in rows}
        fields = _differing([one.settings for one in digests.values() if one])
        everything, self._fields = fields != self._fields, fields
        for row in rows:
            digest = digests[row.run_id]
            state = (row.stamp, row.status)
            if digest is None or (not everything and not row.active and self._stamps.get(row.run_id) == state):
                continue
            digest.catch_up()
            settings = {name: digest.settings.get(name) for name in fields}
            self._set(row.run_id, {**digest.row(row.status), "settings": settings})
            self._stamps[row.run_id] = state
        ids = [row.run_id for row in rows if digests[row.run_id]]
        if ids != self._ids:
            for gone in set(self._ids) - set(ids):
                for known in (self._rows, self._stamps, self._digests):
                    known.pop(gone, None)
            self._ids = ids
        elif not everything:
            return
        self._version += 1
        self._listed = self._version

    def _set(self, run_id: str, row: dict[str, Any]) -> None:
        if self._rows.get(run_id, (0, None))[1] != row:
            self._version += 1
            self._rows[run_id] = (self._version, row)

    def _digest(self, row: Row) -> Digest | None:
        """None for a run that was deleted a moment ago."""
        try:
            born = row.run.config_path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if self._digests.get(row.run_id, (0, None))[0] != born:
            self._digests[row.run_id] = (born, Digest(row.run))
            self._stamps.pop(row.run_id, None)
        return self._digests[row.run_id][1]

    def _compared(self, wanted: dict[str, Any], series: str) -> dict[str, Any]:
        if series not in SERIES:
            return {}
        curves = {}
        for run_id, offset in list(wanted.items())[:MOST_COMPARED]:
            try:
                follower = self.followers.get(str(run_id))
            except AsrkitError:
                continue
            news = follower.since(follower.offset)
            key = f"{series}@{news.offset}"
            if key != offset and news.read == 1.0:
                points = thin(follower.view.series.get(series, []), COMPARED_POINTS)
                curves[run_id] = {
                    "key": key,
                    "x": [point.step for point in points],
                    "e": [round(point.epoch, 3) for point in points],
                    "t": [round(point.elapsed_s, 1) for point in points],
                    "y": [point.value for point in points],
                }
        return curves

    def card(self, request: dict[str, Any]) -> dict[str, Any]:
        """A published results table as curves: a shipped one by `name`, or the `text` of a card; or what is wrong."""
        name, text = str(request.get("name") or ""), str(request.get("text") or "")
        try:
            shipped = published.load_published_curves()
            title, curves = (
                shipped[name]
                if name in shipped
                else ("Pasted card", published.get_curves(published.parse_card(text, "The pasted text")))
            )
        except DataError as error:
            return {"notice": str(error)}
        return {
            "notice": "",
            "title": title,
            "curves": {
                series: {
                    "x": [step for step, *_ in points],
                    "e": [epoch for _, epoch, _ in points],
                    "y": [value for *_, value in points],
                }
                for series, points in curves.items()
            },
        }


def _settings(run: Run) -> dict[str, Any]:
    """The settings as they were written: an old run may have some that this version does not know."""
    try:
        told = json.loads(run.config_path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in told.items() if _plain(value)} if isinstance(told, dict) else {}


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))


def _differing(settings: list[dict[str, Any]]) -> list[str]:
    """Names of the settings in which the runs are not all alike, in the order of the form."""
    seen: dict[str, set[Any]] = {}
    for one in settings:
        for name, value in one.items():
            seen.setdefault(name, set()).add(value)
    order = {name: place for place, name in enumerate(FIELDS)}
    return sorted(
        (name for name, values in seen.items() if len(values) > 1), key=lambda name: (order.get(name, len(order)), name)
    )
