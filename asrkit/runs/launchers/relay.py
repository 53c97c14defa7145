"""`python -m asrkit.runs.launchers.relay FOLDER RUN_DIR`: the worker of a run in a rented job whose app is elsewhere.

FOLDER is that of the run in a bucket, mounted. The worker has its run directory on the container's disk, because a
mounted bucket takes whole files only: no appending, no locks. The relay fills that directory, starts the worker, and
until its end copies to the bucket what has changed, and from there the flags that the app sets.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from asrkit import logs
from asrkit.data import manifest
from asrkit.runs import preparation, processes
from asrkit.runs.launchers.remote_folder import (
    CONTROL,
    EVENTS,
    FROM_JOB,
    INDEX,
    LOG,
    MANIFESTS,
    TREES,
    Tree,
    ends_run,
    format_index,
    parse_index,
)
from asrkit.runs.run import FLAGS, Run

logger = logging.getLogger("asrkit.runs.launchers.relay")  # __name__ is "__main__" where it runs as a program

INTERVAL_S = 3.0
PACE = 3.0
"""So many times what it takes to copy the small files passes before they are copied again."""
ATTEMPTS, RETRY_S = 5, 5.0
"""How often the last files are copied at most, if the bucket does not take them."""
HANGING_S = 120.0
"""After its end event a worker that has not exited for so long is killed."""

Signature = tuple[Any, ...]


class Relay:
    """Copies the files of a run between its directory and a folder."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder, self.run = folder, run
        self._copied: dict[str, Signature] = {}
        self._trees: dict[str, tuple[Signature, Tree]] = {}
        self._number = 0
        self._log_bytes = 0

    def restore(self) -> None:
        """Fill the run directory with what the app and earlier jobs have left. OSError if the disk is full."""
        self.run.path.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if path.is_file() and path.name != INDEX and not path.name.startswith("."):
                shutil.copyfile(path, self.run.path / path.name)
                self._copied[path.name] = _sign_file(self.run.path / path.name)
        self._log_bytes = self.run.log_size()
        for folder in self._list_folders():
            self._number = max(self._number, int(folder.name.rpartition("-")[2]))
        for name, tree in self._read_index().items():
            source, target = self.folder / tree.folder, self.run.path / name
            if all(_has_size(source / path, size) for path, size in tree.files.items()):
                _copy_files(source, target, tree.files)
                self._trees[name] = _sign_tree(target), tree
        self.pass_flags()
        self._drop_lost_data()

    def _drop_lost_data(self) -> None:
        """Let the worker fetch the data from the Hub again that an earlier job had on the disk of its container."""
        config, path = self.run.config(), self.run.manifest_path("train")
        if path.exists() and not preparation.is_local(config):
            first = next(iter(manifest.read(path)), None)
            if first is not None and not os.path.exists(first.audio):
                for name in MANIFESTS:
                    (self.run.path / name).unlink(missing_ok=True)

    def pass_flags(self) -> None:
        """Set the flags of the run that the app has put into the folder, and take them out of there."""
        for flag in FLAGS:
            path = self.folder / CONTROL / flag
            if path.exists():
                self.run.set_flag(flag)
                path.unlink(missing_ok=True)

    def copy_files(self, is_last: bool = False) -> None:
        """Copy the small files that have changed. OSError if the bucket does not take them.

        is_last: all directories are there. Before, the end of the run is not reported.
        """
        for name in FROM_JOB:
            path = self.run.path / name
            with contextlib.suppress(FileNotFoundError):
                signature = _sign_file(path)
                if self._copied.get(name) == signature:
                    continue
                content = path.read_bytes()
                if is_last or name != EVENTS or not ends_run(content):
                    (self.folder / name).write_bytes(content)
                    self._copied[name] = signature

    def copy_trees(self) -> None:
        """Copy the model and the checkpoints that have changed, and delete those that are gone here.

        OSError if the bucket does not take them.
        """
        present = [path for path in (*self.run.checkpoints(), self.run.model_dir) if path.is_dir()]
        names = {path: path.relative_to(self.run.path).as_posix() for path in present}
        has_changed = bool(self._trees.keys() - names.values())
        for path, name in names.items():
            signature = _sign_tree(path)
            if signature == self._trees.get(name, (None,))[0]:
                continue
            self._number += 1
            files = {file: size for file, size, _ in signature[1:]}
            tree = Tree(f"{TREES}/{name.replace('/', '-')}-{self._number}", files)
            try:
                _copy_files(path, self.folder / tree.folder, files)
            except FileNotFoundError:  # replaced or deleted meanwhile
                continue
            if _sign_tree(path) == signature:
                self._trees[name], has_changed = (signature, tree), True
                self._write_index(names.values())
        if has_changed:
            self._write_index(names.values())
        known = {tree.folder for _, tree in self._trees.values()}
        for folder in self._list_folders():
            if f"{TREES}/{folder.name}" not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def _write_index(self, names: Any) -> None:
        self._trees = {name: known for name, known in self._trees.items() if name in names}
        (self.folder / INDEX).write_bytes(format_index({name: tree for name, (_, tree) in self._trees.items()}))

    def _read_index(self) -> dict[str, Tree]:
        try:
            return parse_index((self.folder / INDEX).read_bytes())
        except FileNotFoundError:
            return {}

    def _list_folders(self) -> list[Path]:
        try:
            return list((self.folder / TREES).iterdir())
        except FileNotFoundError:
            return []

    def print_log(self) -> None:
        """Print what the worker has written, for the logs of the job."""
        with contextlib.suppress(FileNotFoundError), open(self.run.log_path, "rb") as file:
            file.seek(self._log_bytes)
            fresh = file.read()
            self._log_bytes += len(fresh)
            sys.stdout.buffer.write(fresh)
            sys.stdout.flush()


def _sign_file(path: Path) -> Signature:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def _sign_tree(path: Path) -> Signature:
    """Return what changes with a directory: its inode, and name, size and time of its finished files."""
    files = []
    for file in sorted(path.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            if file.is_file() and not file.name.startswith((".", "evaluation-partial-")):
                stat = file.stat()
                files.append((file.relative_to(path).as_posix(), stat.st_size, stat.st_mtime_ns))
    try:
        return path.stat().st_ino, *files
    except FileNotFoundError:
        return ()


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _copy_files(source: Path, target: Path, names: Any) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def main(arguments: list[str]) -> int:
    """Work on the run until its worker has ended; return the worker's exit code, 1 if its files could not be kept."""
    logs.configure("%(asctime)s %(message)s", sys.stdout, level=logging.INFO)
    folder, run = Path(arguments[0]), Run(Path(arguments[1]))
    relay = Relay(folder, run)
    relay.restore()
    with open(run.path / LOG, "ab") as log:
        worker = subprocess.Popen(processes.job_command(run), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    signal.signal(signal.SIGTERM, lambda *_: worker.terminate())
    try:
        _follow(relay, worker)
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
    is_kept = _copy_the_rest(relay)
    return worker.returncode if is_kept else worker.returncode or 1


def _follow(relay: Relay, worker: subprocess.Popen[bytes]) -> None:
    """Relay files until the worker has exited, or has hung for too long after its end event."""
    copying: Future[None] | None = None
    ended_at: float | None = None
    with ThreadPoolExecutor(1) as pool:  # large directories take long, and the events do not wait for them
        while worker.poll() is None:
            began = time.monotonic()
            try:
                relay.pass_flags()
                relay.copy_files()
                if copying is None or copying.done():
                    if copying:
                        copying.result()
                    copying = pool.submit(relay.copy_trees)
            except OSError as error:
                logger.warning("The bucket did not take the files of the run (%s); trying again.", error)
                copying = None
            relay.print_log()
            if not relay.run.has_ended():
                ended_at = None
            elif time.monotonic() - (ended_at := ended_at or began) > HANGING_S:
                worker.kill()
            took_s = time.monotonic() - began
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(max(INTERVAL_S, PACE * took_s))


def _copy_the_rest(relay: Relay) -> bool:
    """Copy what is not on the bucket yet, the events last; return whether that was possible."""
    relay.print_log()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            relay.copy_trees()
            relay.copy_files(is_last=True)
            return True
        except OSError as error:
            logger.warning("The bucket did not take the last files of the run (%s); attempt %d.", error, attempt)
            time.sleep(RETRY_S)
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
