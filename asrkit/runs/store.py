"""A directory of runs: create, find, list and delete them.

A run directory appears whole or not at all: it is made under a hidden name and renamed when its configuration is in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from asrkit import config as configs
from asrkit.errors import RunError
from asrkit.files import free_bytes, readable_disk_errors, write_json
from asrkit.runs.run import Run

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
TIMED_ID = re.compile(r"\d{8}-\d{6}-")

MIN_FREE_BYTES = 200 * 2**20
"""Free disk space without which no run is started: a small model, its checkpoints and its history."""


def default_runs_dir() -> Path:
    """`$ASRKIT_RUNS`, else `runs` in the working directory."""
    return Path(os.environ.get("ASRKIT_RUNS") or "runs")


def default_data_dir(runs_dir: Path) -> Path:
    """`$ASRKIT_DATA`, else `data` beside the runs directory: where what was uploaded and recorded in the app lies."""
    return Path(os.environ.get("ASRKIT_DATA") or runs_dir.parent / "data")


class RunStore:
    """A directory of runs."""

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root) if root is not None else default_runs_dir()

    @property
    def data_dir(self) -> Path:
        """Where datasets made in the app lie: one folder each. Absolute, for a run may name it."""
        return default_data_dir(self.root).absolute()

    def create(
        self, config: configs.TrainConfig, run_id: str | None = None, fill: Callable[[Run], None] = lambda run: None
    ) -> Run:
        """A new run directory with its configuration and what `fill` puts into it, there whole or not at all.

        RunError if the id is taken or is no file name, or the disk is full.
        """
        named = run_id or self._free_id(config)
        if not RUN_ID.fullmatch(named):
            raise RunError(f"Run id {named!r} cannot be used; take letters, digits, dots, dashes and underscores.")
        target = self.root / named
        if target.exists():
            raise RunError(f"Run {named} exists already in {self.root}; choose another id or delete it first.")
        with readable_disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".new-", dir=self.root))
            try:
                write_json(draft / "config.json", config.to_dict())
                (draft / "control").mkdir()
                fill(Run(draft))
                draft.chmod(0o755)
                os.rename(draft, target)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
        return Run(target)

    def _free_id(self, config: configs.TrainConfig) -> str:
        stem = f"{_stamp(time.localtime())}-{config.preset or 'custom'}"
        names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 1000))
        return next(name for name in names if not (self.root / name).exists())

    def get(self, run_id: str) -> Run:
        """The run of that id. RunError if there is none."""
        run = self.find(run_id)
        if run is None:
            raise RunError(f"There is no run {run_id!r} in {self.root}; `python -m asrkit runs list` shows them.")
        return run

    def find(self, run_id: str) -> Run | None:
        """The run of that id, or None."""
        run = Run(self.root / run_id)
        return run if RUN_ID.fullmatch(run_id) and run.config_path.exists() else None

    def at(self, path: Path) -> Run:
        """The run whose directory `path` is, in this store or elsewhere."""
        return Run(path)

    def all(self) -> list[Run]:
        """Every run, newest first: by the time in its id, else by that of its configuration, which is never
        rewritten."""
        try:
            names = [name for name in os.listdir(self.root) if not name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        # os.path, not pathlib: pages ask for this every second, of hundreds of runs.
        root = os.fspath(self.root)
        found = []
        for name in names:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                written = os.stat(os.path.join(root, name, "config.json")).st_mtime
                begun = name if TIMED_ID.match(name) else _stamp(time.localtime(written))
                found.append((begun[:15], name))
        return [Run(self.root / name) for _, name in sorted(found, reverse=True)]

    def check_free_space(self) -> None:
        """Raise RunError if the disk has less than MIN_FREE_BYTES free."""
        free = free_bytes(self.root)
        if free < MIN_FREE_BYTES:
            raise RunError(
                f"The disk that holds {self.root} is full ({free / 2**20:.0f} MB free); "
                f"free at least {MIN_FREE_BYTES / 2**20:.0f} MB and start again."
            )

    def delete(self, run: Run) -> None:
        """Remove the directory: first out of sight, then for good."""
        hidden = self.root / f".deleted-{run.id}-{os.getpid()}"
        os.rename(run.path, hidden)
        shutil.rmtree(hidden)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held while a run is started, so that two apps on this directory start one run and not two."""
        with readable_disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.root / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _stamp(when: time.struct_time) -> str:
    """How ids begin that were not chosen by a person."""
    return time.strftime("%Y%m%d-%H%M%S", when)
