"""Files of a repository -> the Hub client's cache, by a process of its own.

What fetches big files in pieces cannot be broken off from Python, and takes no word of its callback. A process can be
ended at any time, and what has arrived is seen on the disk.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO, Any

from asrkit import child
from asrkit import errors as ours
from asrkit.errors import AsrkitError, HubError
from asrkit.hub.errors import translate_errors
from asrkit.hub.repositories import Repository
from asrkit.jobs import ProgressCallback

AT_ONCE = 8
TICK_S = 0.5
SPARE_BYTES = 1 << 30
"""Of the disk, that a fetch leaves free."""
STALE_S = 3600.0
"""A part of a file that has not grown for so long is nobody's any more: the client begins each file anew."""
PARTIAL = ".incomplete"


def fetch(repository: Repository, paths: Iterable[str], on_progress: ProgressCallback | None = None) -> Path:
    """The folder in which `paths` of the repository lie, fetched where they are not there yet.

    on_progress: gets the bytes that are there and all bytes; if it raises, the fetch stops.

    Raises GatedError or HubError if a file cannot be had or the disk has no room for it, OSError if it cannot be
    written to.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    name, kind = repository.name, repository.kind
    where = functools.partial(try_to_load_from_cache, name, revision=repository.commit, repo_type=kind)
    wanted = list(paths)
    missing = [path for path in wanted if not isinstance(where(path), str)]
    if missing and repository.offline:
        raise HubError(
            f"Of {name}, {len(missing)} of {len(wanted)} files were not fetched before, and the Hugging "
            "Face Hub cannot be reached; check the network and try again."
        )
    if missing:
        total = sum(repository.sizes[path] for path in missing)
        _check_room(name, total, Path(constants.HF_HUB_CACHE))
        _apart(repository, missing, total, on_progress)
    first = where(wanted[0])
    if not isinstance(first, str):
        raise HubError(f"{wanted[0]} of {name} was fetched and is gone; fetch it again.")
    return Path(first.removesuffix(wanted[0].replace("/", os.sep)))


def _apart(repository: Repository, paths: list[str], total: int, on_progress: ProgressCallback | None) -> None:
    """Fetch `paths` in a process, and end it whatever happens here."""
    process = subprocess.Popen(
        child.module_command(__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child.environment(os.environ),
    )
    whole: list[str] = []
    refusal: dict[str, Any] = {}
    listener = threading.Thread(target=_listen, args=[process.stdout, whole, refusal], daemon=True)
    listener.start()
    growing = _Growing(repository)

    def report(done: int) -> None:
        if on_progress:
            on_progress(f"Fetching {repository.name}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB", done, total)

    try:
        with contextlib.suppress(BrokenPipeError):  # it says why it ended
            json.dump([repository.name, repository.kind, repository.commit, paths], process.stdin)
            process.stdin.write("\n")
            process.stdin.flush()
        while listener.is_alive():
            listener.join(TICK_S)
            report(min(sum(repository.sizes[path] for path in whole) + growing.bytes(), total))
    finally:
        process.kill()
        process.wait()
        listener.join()
        process.stdin.close()
        process.stdout.close()
    if "errno" in refusal:
        raise OSError(refusal["errno"], refusal["message"], refusal["file"])
    if refusal:
        raise getattr(ours, refusal["error"])(refusal["message"])
    if len(whole) < len(paths):
        raise HubError(
            f"Fetching {repository.name} ended after {len(whole)} of {len(paths)} files; try again, whole "
            "files are kept."
        )
    report(total)


def _listen(stdout: IO[str], whole: list[str], refusal: dict[str, Any]) -> None:
    for line in stdout:
        said = json.loads(line)
        if isinstance(said, str):
            whole.append(said)
        else:
            refusal.update(said)


class _Growing:
    """The bytes of files that are under way, seen on the disk."""

    def __init__(self, repository: Repository) -> None:
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        folder = repo_folder_name(repo_id=repository.name, repo_type=repository.kind)
        self._folder = Path(constants.HF_HUB_CACHE, folder, "blobs")
        for part in self._parts():
            with contextlib.suppress(OSError):  # somebody else removes it
                if time.time() - part.stat().st_mtime > STALE_S:
                    os.unlink(part)
        self._before = {part.name for part in self._parts()}

    def bytes(self) -> int:
        found = 0
        for part in self._parts():
            with contextlib.suppress(FileNotFoundError):  # whole by now
                found += 0 if part.name in self._before else part.stat().st_size
        return found

    def _parts(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._folder) as entries:
                return [entry for entry in entries if entry.name.endswith(PARTIAL)]
        except FileNotFoundError:
            return []


def _check_room(name: str, needed: int, cache: Path) -> None:
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed + SPARE_BYTES > free:
        raise HubError(
            f"Fetching {name} needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free at {cache}; "
            "free some, or set HF_HOME to a folder on another disk."
        )


def _main() -> None:
    """The process: reads what to fetch from stdin, prints the path of each file that is whole, and at most one
    refusal. It ends when stdin does: nobody waits for it then."""
    name, kind, commit, paths = json.loads(sys.stdin.readline())
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    pool = ThreadPoolExecutor(AT_ONCE)
    files = {pool.submit(hf_hub_download, name, path, repo_type=kind, revision=commit): path for path in paths}
    try:
        with translate_errors(name, kind):
            for file in as_completed(files):
                file.result()
                print(json.dumps(files[file]), flush=True)
    except AsrkitError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
    except OSError as error:
        print(json.dumps({"errno": error.errno, "message": error.strerror, "file": error.filename}), flush=True)
    os._exit(0)  # without waiting for what is still under way


if __name__ == "__main__":
    _main()
