"""One run directory: its paths, events, control flags, checkpoints and log.

No other module knows the names of the files in a run directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asrkit import config as configs
from asrkit.runs.events import END_KINDS, Event, is_train_line

STOP, CANCEL, SAVE, EVALUATE = "stop", "cancel", "save", "evaluate"
FLAGS = (STOP, CANCEL, SAVE, EVALUATE)
CHECKPOINT = re.compile(r"checkpoint-(\d+)")

RESERVE_BYTES = 1 << 16
"""Room for the last words of a run and their traceback."""


class Run:
    """One run directory. Holds a path and nothing else: every call reads what is on disk now."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Run({self.id})"

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def process_path(self) -> Path:
        return self.path / "process.json"

    @property
    def queue_path(self) -> Path:
        """There while the run waits in line; see `supervisor`."""
        return self.path / "queue.json"

    @property
    def events_path(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def heartbeat_path(self) -> Path:
        """Written while the worker works; see `heartbeat`."""
        return self.path / "heartbeat.json"

    @property
    def log_path(self) -> Path:
        return self.path / "log.txt"

    @property
    def checkpoints_dir(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model_dir(self) -> Path:
        return self.path / "model"

    @property
    def evaluation_path(self) -> Path:
        """The evaluation of the weights in `model/`, as one line of events; not there where they were not evaluated."""
        return self.model_dir / "evaluation.json"

    @property
    def audit_path(self) -> Path:
        return self.path / "audit.json"

    def manifest_path(self, split: str) -> Path:
        """`split` is train or eval."""
        return self.path / f"{split}.jsonl"

    def config(self) -> configs.TrainConfig:
        return configs.from_file(self.config_path)

    def process(self) -> dict[str, Any] | None:
        """What the supervisor wrote about the worker, or None before it did."""
        try:
            return json.loads(self.process_path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    # Events

    def append(self, told: Event) -> None:
        """Add one event, whole or not at all. Called by the worker alone; it is with the system when this returns.

        OSError if the disk is full or cannot be written.
        """
        line = told.to_line().encode("utf-8")
        handle = os.open(self.events_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size, written = os.fstat(handle).st_size, 0
            try:
                while written < len(line):
                    written += os.write(handle, line[written:])
            except OSError:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)

    def repair_events(self) -> None:
        """Cut off a half-written last line, so that the next event starts on a line of its own (before a resume)."""
        with contextlib.suppress(FileNotFoundError), open(self.events_path, "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            while end > 0:
                begin = max(0, end - 65_536)
                file.seek(begin)
                if newline := file.read(end - begin).rfind(b"\n") + 1:
                    file.truncate(begin + newline)
                    return
                end = begin
            file.truncate(0)

    def events(self, after: int = 0, limit_bytes: int | None = None, skim: bool = False) -> tuple[list[Event], int]:
        """Events from byte offset `after`, and the offset to go on from. A half-written last line is left for later.

        If the file is shorter than `after` (another run took its place) reading starts again at 0.
        skim: of several `train` events in a row only the last is read, and those with a number that is not finite, for
        who does not need the curves.
        """
        try:
            with open(self.events_path, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = after if after <= size else 0
                file.seek(start)
                block = file.read(-1 if limit_bytes is None else limit_bytes)
        except FileNotFoundError:
            return [], 0
        whole = block.rfind(b"\n") + 1
        if not whole and len(block) < size - start:  # one line is longer than the limit
            return self.events(start, 4 * len(block) + 4096, skim)
        lines = _lines(block[:whole], start)
        chosen = _skimmed(lines) if skim else lines
        return [told for at, line in chosen if (told := Event.from_line(line, at))], start + whole

    def events_size(self) -> int:
        """Bytes of events so far."""
        try:
            return self.events_path.stat().st_size
        except FileNotFoundError:
            return 0

    def last_events(self, size: int = 65_536, since: int = 0) -> list[Event]:
        """The events in the last `size` bytes, or more where the last event is longer: enough to judge a run by.

        Nothing before byte `since` is read.
        """
        length = self.events_size()
        while True:
            found = self.events(after=max(since, length - size))[0] if since < length else []
            if found or size >= length - since:
                return found
            size *= 4

    def has_ended(self) -> bool:
        """Whether the last word of the present worker, or of the last one, is the end of the run."""
        last = self.last_events(size=4096, since=(self.process() or {}).get("events_from", 0))
        return bool(last) and last[-1].kind in END_KINDS

    def reserve_disk(self) -> None:
        """Take a little of the disk, so that a run can still say so when the disk is full."""
        self._reserve_path.write_bytes(bytes(RESERVE_BYTES))

    def release_reserve(self) -> None:
        """Give the room back; `last_words` that wait in it stay."""
        if self.pending_end_event() is None:
            self._reserve_path.unlink(missing_ok=True)

    def append_end_event(self, told: Event) -> None:
        """Append the event with which the run ends, with the room of the reserve. Where something else fills the disk
        faster than room can be given back to it, the words stay in the reserve itself: see `last_words`.

        OSError if no reserve is held and the disk is full or cannot be written.
        """
        try:
            with open(self._reserve_path, "r+b") as file:  # what is overwritten needs no more room
                file.write(told.to_line().encode("utf-8"))
                file.truncate()
        except FileNotFoundError:
            self.append(told)
            return
        with contextlib.suppress(OSError):
            self.append(told)
            self._reserve_path.unlink()

    def pending_end_event(self) -> Event | None:
        """The end of the run where it could not be appended, because the disk was full; None otherwise."""
        try:
            line = self._reserve_path.read_bytes()
        except FileNotFoundError:
            return None
        return Event.from_line(line) if line.endswith(b"\n") else None

    def append_pending_end_event(self) -> None:
        """Append them now that there is room, if there are any (before a resume)."""
        if told := self.pending_end_event():
            if not self.has_ended():
                self.append(told)
            self._reserve_path.unlink()

    def claim(self, wait_s: float = 5.0) -> int | None:
        """Take the run for this process until it ends; None if another one has it and keeps it for `wait_s`.

        A record lock, not flock: it is not inherited by the processes that read clips, which may outlive the worker.
        The handle has to stay open.
        """
        handle = os.open(self.path / ".claim", os.O_CREAT | os.O_RDWR, 0o644)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(handle)
                    return None
                time.sleep(0.05)

    @property
    def _reserve_path(self) -> Path:
        return self.path / ".reserve"

    # Control flags

    def set_flag(self, flag: str) -> None:
        """Ask the worker for something. Asking twice is asking once."""
        if flag not in FLAGS:
            raise ValueError(f"unknown flag {flag!r}")
        control = self.path / "control"
        control.mkdir(exist_ok=True)
        (control / flag).touch()

    def has_flag(self, flag: str) -> bool:
        return (self.path / "control" / flag).exists()

    def clear_flags(self, *flags: str) -> None:
        for flag in flags or FLAGS:
            (self.path / "control" / flag).unlink(missing_ok=True)

    # Checkpoints and log

    def checkpoints(self) -> list[Path]:
        """Whole checkpoints, oldest first."""
        found = [
            (int(match[1]), path)
            for path in self.checkpoints_dir.glob("checkpoint-*")
            if (match := CHECKPOINT.fullmatch(path.name))
        ]
        return [path for _, path in sorted(found)]

    def has_model(self) -> bool:
        return (self.model_dir / "config.json").exists()

    def draft_bytes(self) -> int:
        """How much is written of a checkpoint or a model that is being saved."""
        total = 0
        for draft in (self.checkpoints_dir / ".partial", self.path / ".model-draft"):
            for folder, _, names in os.walk(draft):
                for name in names:
                    with contextlib.suppress(FileNotFoundError):
                        total += os.lstat(os.path.join(folder, name)).st_size
        return total

    def delete_weights(self) -> None:
        """Remove checkpoints and model, whole ones and halves: the history is kept."""
        for path in (self.checkpoints_dir, self.model_dir, *self.path.glob(".model-*")):
            shutil.rmtree(path, ignore_errors=True)

    def log_tail(self, size: int = 20_000, since: int = 0) -> str:
        """The last `size` bytes of the worker's output, or what was written after byte `since` if that is less."""
        try:
            with open(self.log_path, "rb") as file:
                file.seek(max(since, file.seek(0, os.SEEK_END) - size))
                return file.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""


def _lines(block: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of each line of a block that begins at byte `at` of its file."""
    # Not splitlines: a transcript may hold U+2028, which JSON leaves as it is.
    for line in block.split(b"\n"):
        yield at, line
        at += len(line) + 1


def _skimmed(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Without those `train` events that another one follows: the last before anything else says when that was."""
    held = None
    for at, line in lines:
        if is_train_line(line):
            if b": null" in line:
                yield at, line
                held = None
            else:
                held = at, line
        elif line:
            if held:
                yield held
                held = None
            yield at, line
    if held:
        yield held
