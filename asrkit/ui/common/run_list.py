"""The runs of a store with their status, cheap enough for every page to poll once a second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from asrkit.runs import lifecycle, metadata, queue
from asrkit.runs.description import Description, read_description
from asrkit.runs.differences import describe_differences
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.ui.common import status_text

ENDED = frozenset({lifecycle.STOPPED, lifecycle.FINISHED, lifecycle.FAILED, lifecycle.CRASHED})
REUSE_FACTOR = 10
"""A list is reused for ten times as long as it took to make. A few runs are listed anew for every poll; thousands take
at most a tenth of the time."""

MIN_REUSE_S = 0.02
"""A list that would be reused for less than this is made anew."""

Stamp = tuple[int, ...]
STAMPED = ("events.jsonl", "process.json", "queue.json", metadata.NAME)
"""The files of a run whose times and sizes a stamp consists of."""


@dataclass(frozen=True)
class Row:
    """One run in the list. `stamp` changes with its events, its process, its position in the queue and `run.json`."""

    run: Run
    status: str
    stamp: Stamp
    description: Description

    @property
    def run_id(self) -> str:
        return self.run.id

    @property
    def name(self) -> str:
        """What people have called the run, else its id."""
        return self.description.name or self.run_id

    @property
    def label(self) -> str:
        status = status_text.format_status(self.run, self.status).lower()
        return " · ".join(filter(None, [self.name, describe_differences(self.run), status]))

    @property
    def is_active(self) -> bool:
        return self.status in lifecycle.ACTIVE


class RunList:
    """Rows, newest first. The status of a run that has ended is determined again only when its files change."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._ended: dict[str, tuple[Stamp, Row]] = {}
        self._rows: list[Row] = []
        self._expires_s = 0.0
        self._lock = threading.Lock()

    def rows(self, refresh: bool = False) -> list[Row]:
        """Return the rows. refresh: list the runs anew even if the last list has not expired."""
        with self._lock:
            begin_s = time.monotonic()
            if refresh or begin_s >= self._expires_s:
                self._rows = [self._make_row(run) for run in self.store.all()]
                for run_id in self._ended.keys() - {row.run_id for row in self._rows}:
                    del self._ended[run_id]
                end_s = time.monotonic()
                self._expires_s = end_s + REUSE_FACTOR * (end_s - begin_s) - MIN_REUSE_S
            return self._rows

    def _make_row(self, run: Run) -> Row:
        stamp = _compute_stamp(run)
        beat = _compute_stamp(run, ("heartbeat.json",))  # all that shows a worker that is loading on another machine
        known = self._ended.get(run.id)
        if known and (known[0], known[1].stamp) == (beat, stamp):
            return known[1]
        row = Row(run, lifecycle.get_status(run), stamp, read_description(run))
        if row.status in ENDED:
            self._ended[run.id] = beat, row
        return row


def list_queue(rows: list[Row]) -> list[Run]:
    """Return the queued runs, the next one first."""
    queued = (row.run for row in rows if row.status == lifecycle.QUEUED)
    return queue.sort_queue(run for run in queued if run.queue_path.exists())


def choose_default_run(rows: list[Row]) -> str:
    """Return the id of the run under way, else of the newest; empty if there is none."""
    return next((row.run_id for row in rows if row.is_active), rows[0].run_id if rows else "")


def _compute_stamp(run: Run, names: Sequence[str] = STAMPED) -> Stamp:
    folder, stamp = os.fspath(run.path), []
    for name in names:
        try:
            stat = os.stat(f"{folder}/{name}")
            stamp += [stat.st_mtime_ns, stat.st_size]
        except FileNotFoundError:
            stamp += [0, 0]
    return tuple(stamp)
