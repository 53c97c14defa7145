"""The functions of this package for files that come from anybody: read in a sandbox, with the same results.

What a dataset may read is its own folder. Where it names other files, they are allowed if whoever asks may read them
(`access`), and the dataset is read again. The Hub is asked in this process; what it sent is read in the sandbox.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from asrkit.data import access, archives, dataset_names, embedded, sources
from asrkit.data.layouts import BUILT_IN
from asrkit.data.readers import hub_datasets, hub_names, spreadsheets
from asrkit.data.readers.annotations import formats
from asrkit.data.readers.annotations.model import AnnotatedRecording
from asrkit.data.readers.hub_datasets import FetchedDataset
from asrkit.data.sources import Source
from asrkit.errors import DataError
from asrkit.jobs import ProgressCallback
from asrkit.sandbox import Sandbox, forbidden

MAX_READINGS = 6
"""Of one dataset: each may name files that the ones before did not come to."""
VARIABLES = ("HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", access.READABLE_VARIABLE, access.VISITORS_VARIABLE)
"""That the functions need: where files are."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Reply:
    """source: None where it cannot be read, for the reason `error`. forbidden: what could not be opened."""

    source: Source | None
    error: str
    forbidden: tuple[str, ...]


def load(
    data: str,
    *,
    eval_data: str | None = None,
    text_column: str | None = None,
    audio_column: str | None = None,
    speaker_column: str | None = None,
    tiers: str = "",
    outline_of: str = "",
    hub_dir: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> Source:
    """Do what `sources.load` does, in a sandbox."""
    read = functools.partial(
        sources.load,
        data,
        eval_data=eval_data,
        text_column=text_column,
        audio_column=audio_column,
        speaker_column=speaker_column,
        tiers=tiers,
        outline_of=outline_of,
        hub_dir=hub_dir,
    )
    names = [name for setting in (data, eval_data) if setting for name in dataset_names.separate(setting)]
    if all(name in BUILT_IN for name in names):
        return read()
    fetched = {name: hub_datasets.fetch(name, on_progress) for name in names if name.startswith(hub_names.PREFIX)}
    outputs = [embedded.cache_dir(), *filter(None, [hub_dir])]
    reads = [path for name in names for path in _inputs(name, fetched)]
    policy = access.ReadPolicy(outputs)
    for _ in range(MAX_READINGS):
        reply = _call(
            _read, functools.partial(read, fetched=fetched), _visitor(), about=data, reads=reads, writes=outputs
        )
        allowed = [path for path in reply.forbidden if path not in reads and policy.allows(Path(path))]
        if not allowed:
            break
        reads += allowed
    if reply.source is None:
        raise DataError(reply.error)
    return reply.source


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into `folder`/content, and return that. Raises DataError as `archives.unpack` does."""
    return _call(_unpack, archive, folder, _visitor(), about=archive.name, reads=[archive], writes=[folder])


def read_annotation(path: Path) -> list[AnnotatedRecording]:
    """Do what `formats.read` does, in a sandbox that may read this file alone."""
    with Sandbox([path]) as confined:
        return confined.call(formats.read, path, about=path)


def _call(
    function: Callable[..., Result], *arguments: object, about: str, reads: list[str | Path], writes: list[Path]
) -> Result:
    for folder in writes:
        folder.mkdir(parents=True, exist_ok=True)
    environment = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    environment["TMPDIR"] = str(writes[0])
    with Sandbox([*reads, *writes], writes, environment) as confined:
        return confined.call(function, *arguments, about=about)


def _visitor() -> str | None:
    return access.current_visitor() if access.is_visitor() else None


def _inputs(name: str, fetched: Mapping[str, FetchedDataset]) -> list[str | Path]:
    """Return the folder of a dataset: of a table the one it is in, of the Hub's cache that of its repository."""
    if name in fetched:
        dataset = fetched[name]
        files = [file for paths in dataset.splits.values() for file in paths]
        folders = {*filter(None, [dataset.folder]), *(file.parent for file in files)}
        caches = {parent.parent for folder in folders for parent in folder.parents if parent.name == "snapshots"}
        return [*folders, *caches]
    if name in BUILT_IN or not name.strip() or "\0" in name:
        return []
    sources.check_access(name)
    try:
        path, _ = spreadsheets.split_sheet_name(Path(os.path.expanduser(name)).absolute())
        return [path] if path.is_dir() else [path, path.parent]
    except OSError:  # a name that no file can have, which reading it tells
        return []


# In the sandbox


def _read(read: Callable[[], Source], visitor: str | None) -> Reply:
    try:
        with access.as_visitor(visitor):
            source = read()
    except DataError as error:
        forbidden.note_cause(error)
        if not (found := forbidden.take()):
            raise
        return Reply(None, str(error), found)
    return Reply(source, "", forbidden.take())


def _unpack(archive: Path, folder: Path, visitor: str | None) -> Path:
    with access.as_visitor(visitor):
        return archives.unpack(archive, folder, ["content"])
