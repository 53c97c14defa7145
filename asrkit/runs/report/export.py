"""Export a run: its metrics as CSV and all of it as a zip, both streamed, and its model to the Hub."""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from asrkit import hub
from asrkit.errors import RunError
from asrkit.files import disarm_formula, write_atomic
from asrkit.runs import events
from asrkit.runs.events import Event
from asrkit.runs.report import card
from asrkit.runs.run import Run
from asrkit.runs.view import EVAL_SERIES, TRAIN_SERIES

BLOCK_BYTES = 1 << 20
SERIES = {events.TRAIN: TRAIN_SERIES, events.EVAL: EVAL_SERIES}
COMPRESSED_SUFFIXES = frozenset({".safetensors", ".pt", ".pth", ".bin", ".flac", ".ogg", ".mp3", ".png"})
"""Files that a zip does not make smaller."""
TEXT_SUFFIXES = frozenset({".json", ".jsonl", ".txt", ".md", ".csv"})
MACHINE_FILES = frozenset({"process.json", "heartbeat.json"})
"""Files of a run about the processes and the host that worked on it."""


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
            [event for event in history if event.kind in SERIES and not _is_rewound(event, rewinds)]
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
            [*columns, f"{event.kind}/{name}", _format_value(event.data[name])]
            for name in SERIES[event.kind]
            if name in event.data
        )
    return table.getvalue()


def _format_value(value: Any) -> Any:
    """Return a value for a cell. Whoever can write a run's history could write a text there."""
    return "" if value is None else disarm_formula(value) if isinstance(value, str) else value


def iter_archive(run: Run, hide_paths: Callable[[str], str] | None = None) -> Iterator[bytes]:
    """Yield the run directory as a zip, in pieces.

    Drafts (hidden names) are left out, and files that vanish meanwhile: an active run deletes old checkpoints.
    hide_paths: for who may not know this machine, changes each line of a text; what tells of processes is left out.
    """
    buffer = _Buffer()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(run.path.rglob("*")):
            name = path.relative_to(run.path)
            is_hidden = any(part.startswith(".") for part in name.parts) or (hide_paths and str(name) in MACHINE_FILES)
            if not is_hidden and path.is_file():
                yield from _add_file(archive, path, f"{run.id}/{name.as_posix()}", buffer, hide_paths)
    yield buffer.take()


def _add_file(
    archive: zipfile.ZipFile, path: Path, name: str, buffer: _Buffer, hide_paths: Callable[[str], str] | None
) -> Iterator[bytes]:
    with contextlib.ExitStack() as opened:
        try:
            info = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
            file = opened.enter_context(open(path, "rb"))
        except FileNotFoundError:
            return
        info.compress_type = zipfile.ZIP_STORED if path.suffix in COMPRESSED_SUFFIXES else zipfile.ZIP_DEFLATED
        entry = opened.enter_context(archive.open(info, "w", force_zip64=True))
        for block in _read_blocks(file, hide_paths if path.suffix in TEXT_SUFFIXES else None):
            entry.write(block)
            yield buffer.take()


def _read_blocks(file: IO[bytes], hide_paths: Callable[[str], str] | None) -> Iterator[bytes]:
    """Yield what a file holds; of one whose paths are hidden, whole lines."""
    if hide_paths is None:
        yield from iter(lambda: file.read(BLOCK_BYTES), b"")
    else:
        while lines := file.readlines(BLOCK_BYTES):
            text = b"".join(lines).decode("utf-8", "surrogateescape")
            yield hide_paths(text).encode("utf-8", "surrogateescape")


class _Buffer(io.RawIOBase):
    """Holds what is written until it is taken. It cannot seek, so the zip is written front to back."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, block: Any) -> int:
        self._held += block
        return len(block)

    def take(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held


def write_archive(run: Run, path: Path) -> None:
    """Write the archive of a run to a file, whole or not at all."""
    with write_atomic(path) as file:
        for block in iter_archive(run):
            file.write(block)


def measure_disk_usage(run: Run) -> int:
    """Return the bytes that the run occupies on the disk."""
    total = 0
    for path in run.path.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # a checkpoint that was just deleted
            continue
    return total


def publish_model(run: Run, name: str, private: bool) -> str:
    """Upload the model of a run and its card to the Hub's repository `name`; return its address.

    RunError for a run without a model; HubError as in `hub.publish`.
    """
    if not run.has_model():
        raise RunError(f"Run {run.id} has no model yet; wait for its first evaluation.")
    files: dict[str, Path | bytes] = {
        path.relative_to(run.model_dir).as_posix(): path for path in sorted(run.model_dir.rglob("*")) if path.is_file()
    }
    has_picture = card.PICTURE in files
    return hub.publish(name, {**files, "README.md": card.render_card(run, has_picture, name).encode("utf-8")}, private)
