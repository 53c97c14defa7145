"""The Runs tab's API, which its script calls: a row for each run, and the curves of the runs to compare.

Rows are made without the points of training curves. Of a run under way only what is new is read, and a row is sent only
if it has changed: a page names the version of the table that it has. Thousands of runs are read in several polls, the
newest first.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from asrkit.config import FIELDS, field_label
from asrkit.errors import AsrkitError, DataError
from asrkit.runs import sweeps
from asrkit.runs.curves import thin
from asrkit.runs.differences import short_name
from asrkit.runs.report import archive as archives
from asrkit.runs.report import published
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.common.component import Reply, Request, with_error_reply
from asrkit.ui.common.run_list import Row, RunList
from asrkit.ui.common.upload_folder import check_uploaded
from asrkit.ui.common.viewers import Viewers
from asrkit.ui.runs.tracker import RunTracker
from asrkit.ui.security.permissions import Action, can
from asrkit.ui.security.quotas import page_owner
from asrkit.ui.security.store import GuardedStore
from asrkit.ui.strings.messages import translate
from asrkit.ui.train.followers import FollowerCache

COMPARED_POINTS = 400
MAX_COMPARED = 12
ACTIVE_MS, IDLE_MS = 2_000, 5_000
REFRESH_S, MORE_MS = 0.25, 20
"""How long a poll reads runs, and when the page asks for the rest."""
SERIES = (
    "eval/wer",
    "eval/cer",
    "eval/mer",
    "eval/loss",
    "train/loss",
    "train/learning_rate",
    "train/grad_norm",
    "train/audio_seconds_per_second",
    "train/memory_gb",
)
"""The curves that can be compared."""


def label_series() -> dict[str, str]:
    """Return the name of each curve that can be compared."""
    return {name: strings.text(f"comparison.series.{name}") for name in SERIES}


class RunsApi:
    """The server's side of the Runs tab. Requests come from the page and are validated here."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self.run_list, self.followers, self.viewers = RunList(store), FollowerCache(GuardedStore(store.root)), Viewers()
        self._trackers: dict[str, tuple[int, RunTracker]] = {}
        self._states: dict[str, tuple[Any, ...]] = {}
        self._rows: dict[str, tuple[int, dict[str, Any]]] = {}
        self._ids: list[str] = []
        self._fields: list[str] = []
        self._version, self._list_version, self._fields_version = 0, 0, 0
        self._instance_id = uuid.uuid4().hex
        self._lock = threading.Lock()

    def poll(self, request: Request) -> Reply:
        """Return the rows that changed after `version` of the table, and the curves to draw.

        request: `instance` names the app that made `version`; `compare` maps the ids of the runs to compare to the keys
        of the curves that the page has; `series` is the curve.
        """
        rows = self.run_list.rows()
        visible = {row.run_id: row for row in rows if can(Action.SEE_RUN, row.run)}
        with self._lock:
            is_complete = self._refresh(rows)
            # Versions count changes of the whole table; who sees only a part of it gets that part anew.
            is_known = request.get("instance") == self._instance_id and len(visible) == len(rows)
            known_version = int(request.get("version") or 0) if is_known else -1
            reply: Reply = {
                "instance": self._instance_id,
                "version": self._version,
                "rows": [self._describe(run_id) for run_id in visible if self._is_new(run_id, known_version)],
                "ids": None,
                "fields": None,
                "sweeps": None,
            }
            if known_version < self._list_version:
                labels = {name: field_label(name) if name in FIELDS else name for name in self._fields}
                reply["ids"] = [run_id for run_id in self._ids if run_id in visible]
                reply["fields"] = [
                    {"name": name, "label": label, "short": short_name(name) if name in FIELDS else name}
                    for name, label in labels.items()
                ]
            if known_version < self._version:
                reply["sweeps"] = self._make_sweeps([row.run for row in visible.values()])
        reply["curves"] = self._make_curves(request.get("compare") or {}, str(request.get("series")))
        base_ms = ACTIVE_MS if any(row.is_active for row in rows) else IDLE_MS
        pace_ms = self.viewers.poll_interval_ms(str(request.get("page")), base_ms, *page_owner())
        reply["pace_ms"] = pace_ms if is_complete else MORE_MS
        return reply

    def _make_sweeps(self, runs: list[Run]) -> list[dict[str, Any]]:
        """Return the table of each sweep that these runs belong to, the newest first."""
        members: dict[str, list[Run]] = {}
        for run in runs:
            if (name := sweeps.sweep_name(run)) and run.id in self._rows:
                members.setdefault(name, []).append(run)
        return [
            {"name": name, "cells": sweeps.make_cells(sweeps.group(group, lambda run: self._rows[run.id][1]))}
            for name, group in members.items()
        ]

    def _is_new(self, run_id: str, known_version: int) -> bool:
        return run_id in self._rows and max(self._rows[run_id][0], self._fields_version) > known_version

    def _describe(self, run_id: str) -> dict[str, Any]:
        """Return the row of a run, with the settings in which the runs differ."""
        settings = self._trackers[run_id][1].settings
        return {**self._rows[run_id][1], "settings": {name: settings.get(name) for name in self._fields}}

    def _refresh(self, rows: list[Row]) -> bool:
        """Update the rows of the table for a while, and its version if any has changed. Return whether all are read."""
        trackers = {row.run_id: self._get_tracker(row) for row in rows}
        fields = _list_differing_settings([tracker.settings for tracker in trackers.values() if tracker])
        have_fields_changed, self._fields = fields != self._fields, fields
        is_complete = self._update_rows(rows, trackers)
        ids = [row.run_id for row in rows if trackers[row.run_id]]
        if ids != self._ids:
            for run_id in set(self._ids) - set(ids):
                for cache in (self._rows, self._states, self._trackers):
                    cache.pop(run_id, None)
            self._ids = ids
        elif not have_fields_changed:
            return is_complete
        self._version += 1
        self._list_version = self._version
        if have_fields_changed:
            self._fields_version = self._version
        return is_complete

    def _update_rows(self, rows: list[Row], trackers: Mapping[str, RunTracker | None]) -> bool:
        """Update the rows of runs under way, then for a while those of others; return whether the time was enough."""
        end_s, is_over = time.monotonic() + REFRESH_S, False
        for row in sorted(rows, key=lambda row: not row.is_active):
            tracker, state = trackers[row.run_id], (row.stamp, row.status)
            if tracker is None or (not row.is_active and self._states.get(row.run_id) == state):
                continue
            if is_over and not row.is_active:
                return False
            tracker.catch_up()
            described = {"name": row.name, "tags": row.description.tags, "notes": row.description.notes}
            self._set_row(row.run_id, {**tracker.make_row(row.status), **described})
            self._states[row.run_id] = state
            if not row.is_active:
                tracker.forget()
                is_over = time.monotonic() > end_s
        return True

    def _set_row(self, run_id: str, row: dict[str, Any]) -> None:
        if self._rows.get(run_id, (0, None))[1] != row:
            self._version += 1
            self._rows[run_id] = (self._version, row)

    def _get_tracker(self, row: Row) -> RunTracker | None:
        """Return the tracker of a run; None if the run was deleted a moment ago."""
        try:
            created_ns = row.run.config_path.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        if self._trackers.get(row.run_id, (0, None))[0] != created_ns:
            self._trackers[row.run_id] = (created_ns, RunTracker(row.run))
            self._states.pop(row.run_id, None)
        return self._trackers[row.run_id][1]

    def _make_curves(self, known_keys: Mapping[str, Any], series: str) -> dict[str, Any]:
        """Return the curves of the runs in `known_keys` whose key there is out of date."""
        if series not in SERIES:
            return {}
        curves = {}
        for run_id, known_key in list(known_keys.items())[:MAX_COMPARED]:
            try:
                follower = self.followers.get(str(run_id))
            except AsrkitError:
                continue
            update = follower.read_update(follower.offset)
            key = f"{series}@{update.offset}"
            if key != known_key and update.read == 1.0:
                points = thin(follower.view.series.get(series, []), COMPARED_POINTS)
                curves[run_id] = {
                    "key": key,
                    "x": [point.step for point in points],
                    "e": [round(point.epoch, 3) for point in points],
                    "t": [round(point.elapsed_s, 1) for point in points],
                    "y": [point.value for point in points],
                }
        return curves

    @with_error_reply
    def import_run(self, request: Request) -> Reply:
        """Read in the run in the uploaded archive {path, name} -> {run}."""
        archive = check_uploaded(request["path"])
        run = archives.import_archive(self.store.unguarded, archive, str(request["name"]))
        self.run_list.rows(refresh=True)
        return {"run": run.id}

    def load_card(self, request: Request) -> Reply:
        """Return the curves of a published results table: a shipped one by `name`, or the `text` of a model card.

        A text without such a table gives an error as `notice`.
        """
        name, text = str(request.get("name") or ""), str(request.get("text") or "")
        shipped = published.load_published_curves()
        try:
            if name in shipped:
                title, curves = shipped[name]
            else:
                card = published.parse_card(text, strings.text("comparison.pasted_text"))
                title, curves = strings.text("comparison.pasted_card"), published.get_curves(card)
        except DataError as error:
            return {"notice": translate(str(error))}
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


def _list_differing_settings(settings_by_run: list[dict[str, Any]]) -> list[str]:
    """Return the names of the settings in which the runs differ, in the order of the form."""
    values_by_name: dict[str, set[Any]] = {}
    for settings in settings_by_run:
        for name, value in settings.items():
            values_by_name.setdefault(name, set()).add(value)
    order = {name: index for index, name in enumerate(FIELDS)}
    return sorted(
        (name for name, values in values_by_name.items() if len(values) > 1),
        key=lambda name: (order.get(name, len(order)), name),
    )
