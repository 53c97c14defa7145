"""The runs of a store with their status, cheap enough to be asked for once a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asrkit.runs import supervisor
from asrkit.runs.store import Run, RunStore
from asrkit.ui import words

SETTLED = frozenset({supervisor.STOPPED, supervisor.FINISHED, supervisor.FAILED, supervisor.CRASHED})


@dataclass(frozen=True)
class Row:
    """One run in the list."""

    run_id: str
    status: str

    @property
    def label(self) -> str:
        return f"{self.run_id} · {words.STATUS[self.status].lower()}"

    @property
    def active(self) -> bool:
        return self.status in supervisor.ACTIVE


class RunList:
    """Rows, newest first. The status of a run that has ended is worked out again only when its files change."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._settled: dict[str, tuple[tuple[int, ...], str]] = {}

    def rows(self) -> list[Row]:
        return [Row(run.id, self._status(run)) for run in self.store.all()]

    def _status(self, run: Run) -> str:
        stamp = _stamp(run.events_path) + _stamp(run.process_path) + _stamp(run.place_path)
        known = self._settled.get(run.id)
        if known and known[0] == stamp:
            return known[1]
        status = supervisor.status(run)
        if status in SETTLED:
            self._settled[run.id] = (stamp, status)
        return status


def first(rows: list[Row]) -> str:
    """The run to show to somebody who asked for none: the one under way, else the newest; empty if there is none."""
    return next((row.run_id for row in rows if row.active), rows[0].run_id if rows else "")


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        told = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return told.st_mtime_ns, told.st_size
