"""A repository on the Hugging Face Hub -> files on this disk, and back; one sentence where that cannot be.

Fetched files lie in the Hub client's own cache: they are fetched once, a fetch that was broken off goes on where it
was, and without a network what is there already is used.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asrkit.errors import GatedError, HubError, first_line

Kind = Literal["model", "dataset"]
Told = Callable[[int, int], None]
"""Is told how many bytes are there and how many there will be. What it raises breaks the fetch off."""
AT_ONCE = 8
EVERY_S = 1.0
SPARE_BYTES = 1 << 30
"""Of the disk, that a fetch leaves free."""


@dataclass(frozen=True)
class Repository:
    """One state of a repository: sizes has each of its files, in bytes. kept: its folder in the cache, where it could
    not be reached and `sizes` is what was fetched before."""

    name: str
    kind: Kind
    commit: str
    sizes: Mapping[str, int]
    kept: Path | None = None


def look(name: str, kind: Kind, revision: str | None = None) -> Repository:
    """What is in the repository now; without a network, what was fetched of it before.

    Raises GatedError or HubError, in one sentence, if it is not there, not for everybody, or not reached.
    """
    from huggingface_hub import HfApi, errors

    api = HfApi()
    with _in_one_sentence(name, kind):
        commit = str(api.resolve_revision(name, repo_type=kind, revision=revision).resolved)  # remembers it on disk
        try:
            told = api.repo_info(name, repo_type=kind, revision=commit, files_metadata=True)
            if told.gated:  # its list of files is for everybody, the files are not
                api.auth_check(name, repo_type=kind)
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
            raise
        except (errors.HTTPError, OSError):
            kept = _kept(name, kind, commit)
            if kept is None:
                raise
            return kept
    return Repository(name, kind, commit, {file.rfilename: file.size or 0 for file in told.siblings})


def fetch(repository: Repository, paths: Iterable[str], told: Told | None = None) -> Path:
    """The folder in which `paths` of the repository lie, fetched where they are not there yet.

    Raises GatedError or HubError if a file cannot be had or the disk has no room for it.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    name, kind = repository.name, repository.kind
    where = functools.partial(try_to_load_from_cache, name, revision=repository.commit, repo_type=kind)
    kept = {path: found for path in paths if isinstance(found := where(path), str)}
    missing = [path for path in paths if path not in kept]
    _check_room(repository, sum(repository.sizes[path] for path in missing), Path(constants.HF_HUB_CACHE))
    tally = _Tally(sum(repository.sizes[path] for path in missing), told)
    with _in_one_sentence(name, kind), ThreadPoolExecutor(AT_ONCE) as pool:
        files = [pool.submit(hf_hub_download, name, path, repo_type=kind, revision=repository.commit,
                             tqdm_class=functools.partial(_Bar, tally)) for path in missing]
        try:
            for path, file in zip(missing, files, strict=True):
                kept[path] = file.result()
                tally.finished(repository.sizes[path])
        except BaseException:
            tally.broken_off = True
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    path, file = next(iter(kept.items()))
    return Path(file.removesuffix(path.replace("/", os.sep)))


def publish(name: str, files: Mapping[str, Path | bytes], private: bool) -> str:
    """Put `files` into the model repository `name`, made where there is none, in one commit. -> its address.

    Raises HubError if this machine's token may not write there, or the Hub cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    with _in_one_sentence(name, "model", writing=True):
        made = api.create_repo(name, private=private, exist_ok=True)
        api.create_commit(name, [CommitOperationAdd(path, content) for path, content in files.items()],
                          commit_message="Model trained with asrkit")
    return made.url


class _BrokenOff(Exception):
    """Ends the threads of a fetch that nobody waits for any more."""


class _Tally:
    """The bytes of all files of a fetch together, told at most once a second."""

    def __init__(self, total: int, told: Told | None) -> None:
        self.broken_off = False
        self._total, self._told = total, told
        self._whole = self._parts = 0
        self._next = 0.0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        if self.broken_off:
            raise _BrokenOff
        with self._lock:
            self._parts += count
            if self._told and time.monotonic() >= self._next:
                self._next = time.monotonic() + EVERY_S
                self._told(min(self._whole + self._parts, self._total), self._total)

    def finished(self, size: int) -> None:
        self._whole += size
        self.add(0)


class _Bar:
    """What the Hub's client takes for a progress bar of one file."""

    def __init__(self, tally: _Tally, *_: Any, initial: int = 0, **__: Any) -> None:
        self._tally, self._count = tally, 0
        self.update(initial)

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def update(self, count: float | None = 1) -> None:
        self._count += int(count or 0)
        self._tally.add(int(count or 0))

    def close(self) -> None:
        """The file counts as a whole from here on."""
        count, self._count = self._count, 0
        if not self._tally.broken_off:
            self._tally.add(-count)

    def set_postfix_str(self, *_: Any, **__: Any) -> None:
        """The speed, which nobody reads here."""


def _check_room(repository: Repository, needed: int, cache: Path) -> None:
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed and needed + SPARE_BYTES > free:
        raise HubError(f"Fetching {repository.name} needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free at "
                       f"{cache}; free some, or set HF_HOME to a folder on another disk.")


def _kept(name: str, kind: Kind, commit: str) -> Repository | None:
    """What the cache has of the repository."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return None
    for one in repositories:
        for state in one.revisions:
            if (one.repo_id, one.repo_type, state.commit_hash) == (name, kind, commit):
                sizes = {file.file_path.relative_to(state.snapshot_path).as_posix(): file.size_on_disk
                         for file in state.files}
                return Repository(name, kind, commit, sizes, state.snapshot_path)
    return None


@contextlib.contextmanager
def _in_one_sentence(name: str, kind: Kind, writing: bool = False) -> Iterator[None]:
    """Turns what the Hub's client raises into ours."""
    from huggingface_hub import errors

    try:
        yield
    except (errors.HfHubHTTPError, errors.HFValidationError) as error:
        if writing:
            raise HubError(f"{name} cannot be written on the Hugging Face Hub ({_reason(error)}); check the name, and "
                           "log in with `hf auth login` with a token that may write there.") from error
        raise _refused(error, name, kind) from error
    except (errors.RevisionResolutionError, errors.HTTPError, OSError) as error:
        raise HubError(f"The {kind} {name}: the Hugging Face Hub cannot be reached ({_reason(error)}); check the "
                       "network and try again, or use what is on this machine.") from error


def _refused(error: Exception, name: str, kind: Kind) -> HubError:
    """What an answer of the Hub means that is no file."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{name}"
        return GatedError(f"The {kind} {name} is gated: accept its terms at {page}, then set HF_TOKEN to a token of "
                          "yours, or log in with `hf auth login`.")
    if isinstance(error, (errors.RepositoryNotFoundError, errors.HFValidationError)):
        return HubError(f"There is no {kind} {name} on the Hugging Face Hub, or it is private; check the name, and set "
                        "HF_TOKEN if it is yours.")
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"The {kind} {name} on the Hugging Face Hub has no such revision; check it.")
    return HubError(f"The {kind} {name} cannot be fetched from the Hugging Face Hub ({_reason(error)}); try again "
                    "later, or give a folder on this machine.")


def _reason(error: BaseException) -> str:
    return first_line(error.__cause__ or error).rstrip(".: ")


def progress(what: str) -> Callable[[int, int], str]:
    """How far a fetch of `what` is, in words."""
    return lambda done, total: f"Fetching {what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
