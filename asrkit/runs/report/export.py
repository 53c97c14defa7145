"""A run to take away: its figures as CSV and the whole of it as one zip, both streamed, which is to say that neither is
held in memory; and its model on the Hub."""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from asrkit import hub
from asrkit.errors import RunError
from asrkit.runs import events
from asrkit.runs.events import Event
from asrkit.runs.report import card
from asrkit.runs.run import Run
from asrkit.runs.view import EVAL_SERIES, TRAIN_SERIES

BLOCK_BYTES = 1 << 20
SIDES = {events.TRAIN: TRAIN_SERIES, events.EVAL: EVAL_SERIES}
PACKED = frozenset({".safetensors", ".pt", ".pth", ".bin", ".flac", ".ogg", ".mp3", ".png"})
"""Suffixes of files that do not get smaller."""


def iter_metrics_csv(run: Run) -> Iterator[str]:
    """Every point of every curve as CSV in the order of events: step, epoch, time (Unix seconds), series, value.

    Points that a resume rewound are left out, as in the charts.
    """
    rewinds = [(told.offset, told.step or -1) for told in run.events(skim=True)[0] if told.kind == events.STARTED]
    yield "step,epoch,time,series,value\n"
    offset = 0
    while True:
        told, reached = run.events(offset, BLOCK_BYTES)
        if reached <= offset:
            return
        rewinds = [rewind for rewind in rewinds if rewind[0] >= offset]
        if text := _rows([one for one in told if one.kind in SIDES and not _rewound(one, rewinds)]):
            yield text
        offset = reached


def _rewound(told: Event, rewinds: list[tuple[int, int]]) -> bool:
    return any(at > told.offset and (told.step or 0) > step for at, step in rewinds)


def _rows(history: list[Event]) -> str:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    for told in history:
        place = [told.step or 0, f"{told.epoch or 0:.4f}", f"{told.time:.3f}"]
        rows.writerows(
            [*place, f"{told.kind}/{name}", "" if told.data[name] is None else told.data[name]]
            for name in SIDES[told.kind]
            if name in told.data
        )
    return table.getvalue()


def iter_archive(run: Run) -> Iterator[bytes]:
    """The run directory as a zip, in pieces. Drafts (hidden names) are left out, and so is a file that vanishes
    meanwhile: a run under way removes old checkpoints."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in sorted(run.path.rglob("*")):
            if not any(part.startswith(".") for part in path.relative_to(run.path).parts) and path.is_file():
                yield from _pack(packed, path, f"{run.id}/{path.relative_to(run.path).as_posix()}", pipe)
    yield pipe.take()


def _pack(packed: zipfile.ZipFile, path: Path, name: str, pipe: _Pipe) -> Iterator[bytes]:
    with contextlib.ExitStack() as opened:
        try:
            told = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False)
            file = opened.enter_context(open(path, "rb"))
        except FileNotFoundError:
            return
        told.compress_type = zipfile.ZIP_STORED if path.suffix in PACKED else zipfile.ZIP_DEFLATED
        entry = opened.enter_context(packed.open(told, "w", force_zip64=True))
        while block := file.read(BLOCK_BYTES):
            entry.write(block)
            yield pipe.take()


class _Pipe(io.RawIOBase):
    """What is written to it can be taken out once. It cannot seek, so the zip is written front to back."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, block: bytes) -> int:
        self._held += block
        return len(block)

    def take(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held


def write_archive(run: Run, path: Path) -> None:
    """The same zip as a file, there whole or not at all."""
    draft = path.with_name(f".{path.name}-draft")
    try:
        with open(draft, "wb") as file:
            for block in iter_archive(run):
                file.write(block)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def measure_disk_usage(run: Run) -> int:
    """What the run takes up on the disk."""
    total = 0
    for path in run.path.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # a checkpoint that was just removed
            continue
    return total


def publish_model(run: Run, name: str, private: bool) -> str:
    """Put the run's model and its card into the Hub's repository `name`. -> its address.

    Raises RunError for a run without a model, HubError as `hub.publish` does.
    """
    if not run.has_model():
        raise RunError(f"Run {run.id} has no model yet; wait for its first evaluation.")
    files: dict[str, Path | bytes] = {
        path.relative_to(run.model_dir).as_posix(): path for path in sorted(run.model_dir.rglob("*")) if path.is_file()
    }
    drawn = card.PICTURE in files
    return hub.publish(name, {**files, "README.md": card.render_card(run, drawn, name).encode("utf-8")}, private)
