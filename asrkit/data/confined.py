"""The functions of this package for files that come from anybody: read in a sandbox, with the same results.

What a dataset may read is its own folder. Where it names other files, they are allowed if whoever asks may read them
(`access`), and the dataset is read again. The Hub is asked in this process; what it sent is read in the sandbox.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeVar

from asrkit.data import access, archives, dataset_names, durations, embedded, sources
from asrkit.data.layouts import BUILT_IN
from asrkit.data.manifest import Utterance
from asrkit.data.readers import hub_datasets, hub_names, spreadsheets
from asrkit.data.readers.annotations import formats
from asrkit.data.readers.annotations.model import AnnotatedRecording
from asrkit.data.readers.hub_datasets import FetchedDataset
from asrkit.data.sources import Source
from asrkit.data.streams.options import NOT_STREAMED, StreamOptions
from asrkit.data.utterance_table import collect_rows
from asrkit.errors import DataError
from asrkit.heap import trim_heap
from asrkit.jobs import ProgressCallback
from asrkit.sandbox import Sandbox, forbidden

BATCH_ROWS = 4096
"""Of a dataset, that a reader sends at once."""
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


@dataclass(frozen=True)
class ReplyPart:
    """A part of what one reading sends: some utterances of a split or, last, the reply, whose source has none."""

    split: Literal["train", "eval", "test", ""]
    rows: list[Utterance]
    reply: Reply | None = None


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
    stream: StreamOptions = NOT_STREAMED,
    on_progress: ProgressCallback | None = None,
) -> Source:
    """Do what `sources.load` does, in a sandbox. stream: whether datasets of the Hub are streamed."""
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
    fetched = {
        name: hub_datasets.fetch(name, on_progress, stream) for name in names if name.startswith(hub_names.PREFIX)
    }
    outputs = [embedded.cache_dir(), *filter(None, [hub_dir])]
    reads = [path for name in names for path in _inputs(name, fetched)]
    policy = access.ReadPolicy(outputs)
    for _ in range(MAX_READINGS):
        reply = _collect(functools.partial(read, fetched=fetched), data, reads, outputs)
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


def _collect(read: Callable[[], Source], about: str, reads: list[str | Path], writes: list[Path]) -> Reply:
    """Read a dataset in a sandbox. Its utterances come in batches, so that they are never all here as objects."""
    reply: Reply | None = None
    rows: dict[str, Sequence[Utterance]] = {}
    with _sandbox(reads, writes) as confined:
        parts = _limit_size(confined.stream(_read, read, _visitor(), about=about), confined.limits.reply_bytes, about)
        for split, group in groupby(parts, lambda part: part.split):
            if split:
                rows[split] = collect_rows(part.rows for part in group)
            else:
                reply = next(group).reply
    if reply is None:
        raise DataError(f"{about} cannot be read; its reader sent no reply.")
    trim_heap()  # of the messages
    return replace(reply, source=reply.source and _with_rows(reply.source, rows))


def _with_rows(source: Source, rows: Mapping[str, Sequence[Utterance]]) -> Source:
    """Return the source with these rows in each split that it has."""
    held_out, test = (
        None if part is None else rows.get(name, []) for name, part in (("eval", source.eval), ("test", source.test))
    )
    return replace(source, train=rows.get("train", []), eval=held_out, test=test)


def _limit_size(parts: Iterator[ReplyPart], max_chars: int, about: str) -> Iterator[ReplyPart]:
    """Yield the parts; a reader that was taken over could send them without end. Raises DataError for too many."""
    num_chars = 0
    for part in parts:
        num_chars += sum(100 + len(row.audio) + len(row.text) for row in part.rows)
        if num_chars > max_chars:
            raise DataError(f"{about} holds more texts than fit into memory; split it up.")
        yield part


def _sandbox(reads: list[str | Path], writes: list[Path]) -> Sandbox:
    for folder in writes:
        folder.mkdir(parents=True, exist_ok=True)
    environment = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    environment["TMPDIR"] = str(writes[0])
    return Sandbox([*reads, *writes], writes, environment)


def _call(
    function: Callable[..., Result], *arguments: object, about: str, reads: list[str | Path], writes: list[Path]
) -> Result:
    with _sandbox(reads, writes) as confined:
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


def _read(read: Callable[[], Source], visitor: str | None) -> Iterator[ReplyPart]:
    try:
        with access.as_visitor(visitor), durations.remembered():
            source = read()
    except DataError as error:
        forbidden.note_cause(error)
        if not (found := forbidden.take()):
            raise
        yield ReplyPart("", [], Reply(None, str(error), found))
        return
    yield from _send("train", source.train)
    yield from _send("eval", source.eval or [])
    yield from _send("test", source.test or [])
    yield ReplyPart("", [], Reply(_with_rows(source, {}), "", forbidden.take()))


def _send(split: Literal["train", "eval", "test"], rows: Sequence[Utterance]) -> Iterator[ReplyPart]:
    for start in range(0, len(rows), BATCH_ROWS):
        yield ReplyPart(split, list(rows[start : start + BATCH_ROWS]))


def _unpack(archive: Path, folder: Path, visitor: str | None) -> Path:
    with access.as_visitor(visitor):
        return archives.unpack(archive, folder, ["content"])
