"""The runs of a store with their status, cheap enough to be asked for once a second by every page."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

from asrkit.runs import lifecycle, queue
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from asrkit.ui.common import status_text

SETTLED = frozenset({lifecycle.STOPPED, lifecycle.FINISHED, lifecycle.FAILED, lifecycle.CRASHED})
SHARE = 10
"""A list is good for ten times as long as it took: with a few runs it is made for every page that asks, with thousands
it does not take more than a tenth of the time."""

Stamp = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One run in the list. `stamp` changes when the run has told something or its process has changed."""

    run: Run
    status: str
    stamp: Stamp

    @property
    def run_id(self) -> str:
        return self.run.id

    @property
    def label(self) -> str:
        return f"{self.run_id} · {status_text.format_status(self.status).lower()}"

    @property
    def active(self) -> bool:
        return self.status in lifecycle.ACTIVE


class RunList:
    """Rows, newest first. The status of a run that has ended is worked out again only when its files change."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._settled: dict[str, tuple[Stamp, str]] = {}
        self._rows: list[Row] = []
        self._good_until = 0.0
        self._lock = threading.Lock()

    def rows(self, now: bool = False) -> list[Row]:
        """now: whatever is known is out of date."""
        with self._lock:
            begun = time.monotonic()
            if now or begun >= self._good_until:
                self._rows = [self._row(run) for run in self.store.all()]
                for gone in self._settled.keys() - {row.run_id for row in self._rows}:
                    del self._settled[gone]
                ended = time.monotonic()
                self._good_until = ended + SHARE * (ended - begun) - 0.02
            return self._rows

    def _row(self, run: Run) -> Row:
        stamp = _stamp(run)
        known = self._settled.get(run.id)
        if known and known[0] == stamp:
            return Row(run, known[1], stamp)
        status = lifecycle.get_status(run)
        if status in SETTLED:
            self._settled[run.id] = (stamp, status)
        return Row(run, status, stamp)


def waiting(rows: list[Row]) -> list[Run]:
    """The runs in line, the next one first."""
    queued = (row.run for row in rows if row.status == lifecycle.QUEUED)
    return queue.sort_queue(run for run in queued if run.queue_path.exists())


def first(rows: list[Row]) -> str:
    """The run to show to somebody who asked for none: the one under way, else the newest; empty if there is none."""
    return next((row.run_id for row in rows if row.active), rows[0].run_id if rows else "")


def _stamp(run: Run) -> Stamp:
    folder, stamp = os.fspath(run.path), []
    for name in ("events.jsonl", "process.json", "queue.json"):
        try:
            told = os.stat(f"{folder}/{name}")
            stamp += [told.st_mtime_ns, told.st_size]
        except FileNotFoundError:
            stamp += [0, 0]
    return tuple(stamp)
