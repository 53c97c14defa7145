"""Files of a repository -> the Hub client's cache, fetched by a child process.

The client's code for large files can neither be interrupted from Python nor report its progress. A process can be
killed at any time, and the size of its partial files on the disk shows the progress.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
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
from asrkit.files import free_bytes
from asrkit.hub import credentials
from asrkit.hub.errors import translate_errors
from asrkit.hub.repositories import Repository
from asrkit.jobs import ProgressCallback
from asrkit.units import format_size

NUM_THREADS = 8
POLL_S = 0.5
SPARE_BYTES = 1 << 30
"""Disk space that a fetch leaves free."""
STALE_S = 3600.0
"""A partial file that has not grown for so long is abandoned: the client starts each file from the beginning."""
PARTIAL_SUFFIX = ".incomplete"


def is_cached(model: str) -> bool:
    """Return whether a model's config.json is in the cache of the Hub's client: most likely all of it is."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(model, "config.json", cache_dir=credentials.cache_dir("model")), str)


def missing_bytes(repository: Repository, paths: Iterable[str]) -> int:
    """Return the size of those files that are not in the cache yet."""
    from huggingface_hub import try_to_load_from_cache

    name, kind, cache = repository.name, repository.kind, credentials.cache_dir(repository.kind)
    return sum(
        repository.sizes[path]
        for path in paths
        if not isinstance(
            try_to_load_from_cache(name, path, cache_dir=cache, revision=repository.commit, repo_type=kind), str
        )
    )


def fetch(repository: Repository, paths: Iterable[str], on_progress: ProgressCallback | None = None) -> Path:
    """Fetch the files that are not in the cache yet, and return the folder that contains `paths`.

    on_progress: called with the fetched bytes and all bytes to fetch; if it raises, the fetch stops.

    Raises GatedError or HubError if a file cannot be fetched or the disk has no room for it; OSError if the disk cannot
    be written.
    """
    from huggingface_hub import try_to_load_from_cache

    name, kind = repository.name, repository.kind
    cache = credentials.cache_dir(kind)
    cached_path = functools.partial(
        try_to_load_from_cache, name, cache_dir=cache, revision=repository.commit, repo_type=kind
    )
    requested = list(paths)
    missing = [path for path in requested if not isinstance(cached_path(path), str)]
    if missing and repository.offline:
        raise HubError(
            f"{len(missing)} of {len(requested)} files of {name} are not in the local cache, and the Hugging "
            "Face Hub cannot be reached; check the network and try again."
        )
    if missing:
        total = sum(repository.sizes[path] for path in missing)
        _check_room(name, kind, total, cache)
        _fetch_in_child(repository, missing, total, on_progress)
    first = cached_path(requested[0])
    if not isinstance(first, str):
        raise HubError(f"{requested[0]} of {name} was downloaded but is missing now; download it again.")
    return Path(first.removesuffix(requested[0].replace("/", os.sep)))


def _fetch_in_child(repository: Repository, paths: list[str], total: int, on_progress: ProgressCallback | None) -> None:
    """Fetch `paths` in a child process, which is killed whatever happens here."""
    process = subprocess.Popen(
        child.module_command(__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child.environment(os.environ),
    )
    assert process.stdin and process.stdout
    fetched: list[str] = []
    failure: dict[str, Any] = {}
    listener = threading.Thread(target=_listen, args=[process.stdout, fetched, failure], daemon=True)
    listener.start()
    partial_files = _PartialFiles(repository)

    def report(done: int) -> None:
        if on_progress:
            on_progress(f"Fetching {repository.name}: {format_size(done)} of {format_size(total)}", done, total)

    try:
        with contextlib.suppress(BrokenPipeError):  # the child reports why it ended
            # The token goes through the pipe: others may see a command line and an environment.
            reader = [credentials.current_token(), str(credentials.cache_dir(repository.kind))]
            json.dump([repository.name, repository.kind, repository.commit, paths, *reader], process.stdin)
            process.stdin.write("\n")
            process.stdin.flush()
        while listener.is_alive():
            listener.join(POLL_S)
            report(min(sum(repository.sizes[path] for path in fetched) + partial_files.size_bytes(), total))
    finally:
        process.kill()
        process.wait()
        listener.join()
        process.stdin.close()
        process.stdout.close()
    if "errno" in failure:
        raise OSError(failure["errno"], failure["message"], failure["file"])
    if failure:
        raise getattr(ours, failure["error"])(failure["message"])
    if len(fetched) < len(paths):
        raise HubError(
            f"Fetching {repository.name} ended after {len(fetched)} of {len(paths)} files; try again, whole "
            "files are kept."
        )
    report(total)


def _listen(stdout: IO[str], fetched: list[str], failure: dict[str, Any]) -> None:
    """Collect what the child prints: the path of each fetched file, and at most one failure."""
    for line in stdout:
        message = json.loads(line)
        if isinstance(message, str):
            fetched.append(message)
        else:
            failure.update(message)


class _PartialFiles:
    """The files of a repository that are being fetched, as seen on the disk."""

    def __init__(self, repository: Repository) -> None:
        from huggingface_hub.file_download import repo_folder_name

        folder = repo_folder_name(repo_id=repository.name, repo_type=repository.kind)
        self._folder = Path(credentials.cache_dir(repository.kind), folder, "blobs")
        for part in self._list():
            with contextlib.suppress(OSError):  # another process removed it
                if time.time() - part.stat().st_mtime > STALE_S:
                    os.unlink(part)
        self._before = {part.name for part in self._list()}

    def size_bytes(self) -> int:
        """Return the size of the partial files that were not there at the beginning."""
        size = 0
        for part in self._list():
            with contextlib.suppress(FileNotFoundError):  # complete by now
                size += 0 if part.name in self._before else part.stat().st_size
        return size

    def _list(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._folder) as entries:
                return [entry for entry in entries if entry.name.endswith(PARTIAL_SUFFIX)]
        except FileNotFoundError:
            return []


def _check_room(name: str, kind: str, needed: int, cache: Path) -> None:
    room = credentials.room_bytes(kind)
    if room is not None and needed > room:
        raise HubError(
            f"Fetching {name} needs {format_size(needed)}, and you may fetch {format_size(room)} more on this app; "
            "choose a smaller dataset or some of its splits, or delete your data here."
        )
    free = free_bytes(cache)
    if needed + SPARE_BYTES > free:
        raise HubError(
            f"Fetching {name} needs {format_size(needed)}, but only {format_size(free)} are free at {cache}; "
            "free some space, or set HF_HOME to a folder on another disk."
        )


def _exit_with_stdin() -> None:
    sys.stdin.read()
    os._exit(1)


def _main() -> None:
    """Run the child process: read the paths from stdin; print each fetched path, and at most one failure.

    It exits when stdin is closed, because then the parent has ended.
    """
    name, kind, commit, paths, token, cache = json.loads(sys.stdin.readline())
    threading.Thread(target=_exit_with_stdin, daemon=True).start()
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    pool = ThreadPoolExecutor(NUM_THREADS)
    download = functools.partial(hf_hub_download, repo_type=kind, revision=commit, token=token, cache_dir=cache)
    files = {pool.submit(download, name, path): path for path in paths}
    try:
        with translate_errors(name, kind):
            for file in as_completed(files):
                file.result()
                print(json.dumps(files[file]), flush=True)
    except AsrkitError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
    except OSError as error:
        print(json.dumps({"errno": error.errno, "message": error.strerror, "file": error.filename}), flush=True)
    os._exit(0)  # without waiting for files that are still being fetched


if __name__ == "__main__":
    _main()
