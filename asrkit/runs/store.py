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
from asrkit.units import format_binary_size

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
TIMED_ID = re.compile(r"\d{8}-\d{6}-")

MIN_FREE_BYTES = 200 * 2**20
"""Free disk space without which no run is started: a small model, its checkpoints and its history."""


def default_runs_dir() -> Path:
    """`$ASRKIT_RUNS`, else `runs` in the working directory."""
    return Path(os.environ.get("ASRKIT_RUNS") or "runs")


def default_data_dir(runs_dir: Path) -> Path:
    """`$ASRKIT_DATA`, else `data` beside the runs directory: holds uploads and recordings of the app."""
    return Path(os.environ.get("ASRKIT_DATA") or runs_dir.parent / "data")


class RunStore:
    """A directory of runs."""

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root) if root is not None else default_runs_dir()

    @property
    def data_dir(self) -> Path:
        """The folder of the datasets made in the app, one folder each. Absolute, because runs may refer to it."""
        return default_data_dir(self.root).absolute()

    def create(
        self, config: configs.TrainConfig, run_id: str | None = None, fill: Callable[[Run], None] = lambda run: None
    ) -> Run:
        """Create a run directory with its configuration and what `fill` puts into it, whole or not at all.

        RunError if the id is taken or is no file name, or the disk is full.
        """
        chosen_id = run_id or self.make_id(config)
        if not RUN_ID.fullmatch(chosen_id):
            raise RunError(f"Run id {chosen_id!r} cannot be used; use letters, digits, dots, dashes and underscores.")
        target = self.root / chosen_id
        if target.exists():
            raise RunError(f"Run {chosen_id} already exists in {self.root}; choose another id or delete it first.")
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

    def make_id(self, config: configs.TrainConfig) -> str:
        stem = f"{_stamp(time.localtime())}-{config.preset or 'custom'}"
        names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 1000))
        return next(name for name in names if not (self.root / name).exists())

    def get(self, run_id: str) -> Run:
        """Return the run of that id. RunError if there is none."""
        run = self.find(run_id)
        if run is None:
            raise RunError(f"There is no run {run_id!r} in {self.root}; `python -m asrkit runs list` shows them.")
        return run

    def find(self, run_id: str) -> Run | None:
        """Return the run of that id, or None."""
        run = Run(self.root / run_id)
        return run if RUN_ID.fullmatch(run_id) and run.config_path.exists() else None

    def at(self, path: Path) -> Run:
        """Return the run in the directory `path`, in this store or elsewhere."""
        return Run(path)

    def all(self) -> list[Run]:
        """List all runs, newest first: by the time in the id, else by that of the configuration file."""
        try:
            names = [name for name in os.listdir(self.root) if not name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        # os.path is faster than pathlib: pages list hundreds of runs every second.
        root = os.fspath(self.root)
        dated = []
        for name in names:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                mtime = os.stat(os.path.join(root, name, "config.json")).st_mtime
                created = name if TIMED_ID.match(name) else _stamp(time.localtime(mtime))
                dated.append((created[:15], name))
        return [Run(self.root / name) for _, name in sorted(dated, reverse=True)]

    def visible(self) -> list[Run]:
        """List the runs that may be shown to whoever asks: all, except in the page's guarded store."""
        return self.all()

    @property
    def unguarded(self) -> RunStore:
        """The store of all runs, for code that acts on every one, such as the queue."""
        return self

    def check_free_space(self) -> None:
        """Raise RunError if the disk has less than MIN_FREE_BYTES free."""
        free = free_bytes(self.root)
        if free < MIN_FREE_BYTES:
            raise RunError(
                f"The disk that holds {self.root} is full ({format_binary_size(free)} free); "
                f"free at least {format_binary_size(MIN_FREE_BYTES)} and start again."
            )

    def delete(self, run: Run) -> None:
        """Delete the directory, which is hidden first, so that no reader finds half of it."""
        hidden = self.root / f".deleted-{run.id}-{os.getpid()}"
        os.rename(run.path, hidden)
        shutil.rmtree(hidden)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of this directory, so that two apps on it never start the same run."""
        with readable_disk_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.root / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _stamp(when: time.struct_time) -> str:
    """Return the beginning of generated ids."""
    return time.strftime("%Y%m%d-%H%M%S", when)
