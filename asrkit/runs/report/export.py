"""The metrics of a run as CSV, streamed, and its size on the disk."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asrkit.files import disarm_formula
from asrkit.runs import events
from asrkit.runs.events import Event
from asrkit.runs.run import Run
from asrkit.runs.view import flatten, list_curves

BLOCK_BYTES = 1 << 20


def iter_metrics_csv(run: Run) -> Iterator[str]:
    """Yield every point of every curve as CSV in the order of events: step, epoch, time (Unix seconds), series, value.

    Points that a resume has rewound are left out, as in the charts.
    """
    rewinds = [(event.offset, event.step or -1) for event in run.events(skim=True)[0] if event.kind == events.STARTED]
    yield "step,epoch,time,series,value\n"
    offset = 0
    while True:
        history, reached = run.events(offset, BLOCK_BYTES)
        if reached <= offset:
            return
        rewinds = [rewind for rewind in rewinds if rewind[0] >= offset]
        if text := _format_rows(
            [flatten(event) for event in history if list_curves(event) and not _is_rewound(event, rewinds)]
        ):
            yield text
        offset = reached


def _is_rewound(event: Event, rewinds: list[tuple[int, int]]) -> bool:
    """Whether a later worker of the run, given as (byte offset, step) of its start, began before this event's step."""
    return any(offset > event.offset and (event.step or 0) > step for offset, step in rewinds)


def _format_rows(history: list[Event]) -> str:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    for event in history:
        columns = [event.step or 0, f"{event.epoch or 0:.4f}", f"{event.time:.3f}"]
        rows.writerows(
            [*columns, curve, _format_value(event.data[name])]
            for name, curve in list_curves(event).items()
            if name in event.data
        )
    return table.getvalue()


def _format_value(value: Any) -> Any:
    """Return a value for a cell. Whoever can write a run's history could write a text there."""
    return "" if value is None else disarm_formula(value) if isinstance(value, str) else value


def measure_disk_usage(folder: Path) -> int:
    """Return the bytes that a run, or a folder of one, occupies on the disk."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # a checkpoint that was just deleted
            continue
    return total
