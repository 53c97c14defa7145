"""One run directory: its events, control flags, checkpoints and log. Their paths are those of `RunPaths`."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from asrkit import config as configs
from asrkit.runs.event_file import BLOCK_BYTES, EventFile
from asrkit.runs.events import END_KINDS, Event
from asrkit.runs.run_paths import OPTIMIZER_STATE, RunPaths

STOP, CANCEL, SAVE, EVALUATE, SCORE, PREEMPT = "stop", "cancel", "save", "evaluate", "score", "preempt"
FLAGS = (STOP, CANCEL, SAVE, EVALUATE, SCORE, PREEMPT)
"""SCORE lets the worker of a run that has ended score its model on all evaluation clips, and not train."""
CHECKPOINT = re.compile(r"checkpoint-(\d+)")

RESERVE_BYTES = 1 << 16
"""Room for the end event of a run and its traceback."""


class Run(RunPaths):
    """One run directory. Apart from the worker's clock it holds only a path: every call reads what is on disk now."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._event_file = EventFile(self.events_path)
        self._clock_origin_s: float | None = None

    @classmethod
    def of_checkpoint(cls, path: Path) -> Run | None:
        """Return the run that has written a checkpoint; None for one from elsewhere."""
        path = path.resolve()
        for run in map(cls, path.parents[:2]):
            if run.config_path.exists() and path in (run.model_dir, *run.checkpoints()):
                return run
        return None

    def __repr__(self) -> str:
        return f"Run({self.id})"

    def config(self) -> configs.TrainConfig:
        """Read the configuration. ConfigError if this version cannot."""
        return configs.from_file(self.config_path)

    def process(self) -> dict[str, Any] | None:
        """Read what the supervisor wrote about the worker; None if there is nothing yet."""
        try:
            process = json.loads(self.process_path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return process if isinstance(process, dict) else None

    def job_id(self) -> str | None:
        """Read the id of the run's job in the queue of its launcher; None if it has none."""
        try:
            return str(json.loads(self.job_path.read_text(encoding="utf-8"))["id"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    # Writing events

    def start_clock(self, elapsed_s: float) -> None:
        """From now on, stamp appended events with seconds of work by the monotonic clock (in the worker).

        elapsed_s: seconds of work of earlier workers of the run.
        """
        self._clock_origin_s = elapsed_s - time.monotonic()

    def append(self, event: Event) -> None:
        """Append one event, whole or not at all. It is handed to the system when this returns.

        Only the worker calls this while the run is active. OSError if the disk is full or cannot be written.
        """
        self._event_file.append(self._to_line(event))

    def _to_line(self, event: Event) -> bytes:
        if event.elapsed_s is None and self._clock_origin_s is not None:
            event = replace(event, elapsed_s=self._clock_origin_s + time.monotonic())
        return event.to_line().encode("utf-8")

    def repair_events(self) -> None:
        """Cut off a half-written last line, so that the next event gets a line of its own (before a resume)."""
        self._event_file.repair()

    # The end event, for which a little of the disk is reserved

    def reserve_disk(self) -> None:
        """Occupy a little of the disk, so that the end event can be written when the disk is full."""
        self.reserve_path.write_bytes(bytes(RESERVE_BYTES))

    def release_reserve(self) -> None:
        """Free the reserve, unless the end event had to be written into it."""
        if self.pending_end_event() is None:
            self.reserve_path.unlink(missing_ok=True)

    def append_end_event(self, event: Event) -> None:
        """Append the event that ends the run, with the help of the reserve.

        If something else fills the disk faster than the reserve can be freed, the event stays in the reserve: see
        `pending_end_event`. OSError if there is no reserve and the disk is full or cannot be written.
        """
        try:
            with open(self.reserve_path, "r+b") as file:  # overwriting needs no more room
                file.write(self._to_line(event))
                file.truncate()
        except FileNotFoundError:
            self.append(event)
            return
        with contextlib.suppress(OSError):
            self.append(event)
            self.reserve_path.unlink()

    def pending_end_event(self) -> Event | None:
        """Return the end event that could not be appended because the disk was full; None if there is none."""
        try:
            line = self.reserve_path.read_bytes()
        except FileNotFoundError:
            return None
        return Event.from_line(line) if line.endswith(b"\n") else None

    def append_pending_end_event(self) -> None:
        """Append the pending end event, if there is one, now that there is room (before a resume)."""
        if event := self.pending_end_event():
            if not self.has_ended():
                self.append(event)
            self.reserve_path.unlink()

    # Reading events

    def events(self, after: int = 0, limit_bytes: int | None = None, skim: bool = False) -> tuple[list[Event], int]:
        """Read the events from byte offset `after`; return them and the offset to continue from.

        A half-written last line is left for later. If the file is shorter than `after`, another run has replaced this
        one, and reading starts again at 0. skim: of consecutive `train` events, read only the last and those with a
        number that is not finite, for readers that do not need the curves.
        """
        return self._event_file.read(after, limit_bytes, skim)

    def events_size(self) -> int:
        """Return the size of the events in bytes."""
        return self._event_file.size()

    def last_events(self, size: int = BLOCK_BYTES, since: int = 0) -> list[Event]:
        """Read the events in the last `size` bytes, or in more if the last event is longer. Starts at byte `since`."""
        return self._event_file.read_last(size, since)

    def has_ended(self) -> bool:
        """Whether the last event of the present worker, or of the last one, is an end event."""
        last = self.last_events(size=4096, since=(self.process() or {}).get("events_from", 0))
        return bool(last) and last[-1].kind in END_KINDS

    def claim(self, wait_s: float = 5.0) -> int | None:
        """Lock the run for this process until it ends, and return the descriptor, which has to stay open.

        None if another process holds the lock for longer than `wait_s`. This is a record lock, not flock: the processes
        that decode audio do not inherit it, and they may outlive the worker.
        """
        descriptor = os.open(self.claim_path, os.O_CREAT | os.O_RDWR, 0o644)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    return None
                time.sleep(0.05)

    # Control flags

    def set_flag(self, flag: str) -> None:
        """Ask the worker for something. Setting a flag twice is the same as setting it once."""
        if flag not in FLAGS:
            raise ValueError(f"unknown flag {flag!r}")
        self.control_dir.mkdir(exist_ok=True)
        (self.control_dir / flag).touch()

    def has_flag(self, flag: str) -> bool:
        return (self.control_dir / flag).exists()

    def clear_flags(self, *flags: str) -> None:
        """Remove these flags, or all of them."""
        for flag in flags or FLAGS:
            (self.control_dir / flag).unlink(missing_ok=True)

    # Checkpoints, model and log

    def checkpoints(self) -> list[Path]:
        """List the complete checkpoints, oldest first."""
        steps = [
            (int(match[1]), path)
            for path in self.checkpoints_dir.glob("checkpoint-*")
            if (match := CHECKPOINT.fullmatch(path.name))
        ]
        return [path for _, path in sorted(steps)]

    def lacks_optimizer_state(self) -> bool:
        """Whether the last checkpoint has none, because it was left out of the archive that the run comes from."""
        last = next(reversed(self.checkpoints()), None)
        return last is not None and (last / "trainer_state.json").exists() and not (last / OPTIMIZER_STATE).exists()

    def has_model(self) -> bool:
        return (self.model_dir / "config.json").exists()

    def draft_bytes(self) -> int:
        """Return how much has been written of a checkpoint or a model that is being saved."""
        total = 0
        for draft in (self.partial_checkpoint_dir, self.path / ".model-draft"):
            for folder, _, names in os.walk(draft):
                for name in names:
                    with contextlib.suppress(FileNotFoundError):
                        total += os.lstat(os.path.join(folder, name)).st_size
        return total

    def delete_weights(self) -> None:
        """Delete checkpoints and model, drafts included; the history stays."""
        for path in (self.checkpoints_dir, self.model_dir, *self.path.glob(".model-*")):
            shutil.rmtree(path, ignore_errors=True)

    def log_size(self) -> int:
        """Return the size of the worker's output in bytes."""
        try:
            return self.log_path.stat().st_size
        except FileNotFoundError:
            return 0

    def log_tail(self, size: int = 20_000, since: int = 0) -> str:
        """Read the last `size` bytes of the worker's output, or less if it has written less since byte `since`."""
        try:
            with open(self.log_path, "rb") as file:
                file.seek(max(since, file.seek(0, os.SEEK_END) - size))
                return file.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
