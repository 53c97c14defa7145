"""The index of streamed files: all columns but the audio, in a file that is empty where the audio is.

The footer tells where each column of each row group is. It and the columns are parsed by confined processes alone; this
process fetches ranges of bytes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from asrkit.audio.confined import AudioReader, ClipSpan
from asrkit.data.streams import origins, parquet_groups
from asrkit.data.streams.clips import StreamedClips, fetch_ranges
from asrkit.data.streams.origins import INDEX, Group, Origin
from asrkit.data.streams.parquet_groups import MAGIC, MAX_FOOTER_BYTES, TAIL, FileLayout
from asrkit.errors import DataError, HubError
from asrkit.files import write_json
from asrkit.hub.ranges import OnWait, RemoteFile
from asrkit.hub.repositories import Repository
from asrkit.jobs import ProgressCallback
from asrkit.sandbox import Sandbox
from asrkit.units import format_size

NUM_THREADS = 8
FIRST_READ_BYTES = 1 << 16
"""Read from the end of a file, in which most footers are whole."""
NUM_SAMPLES = 2
"""Row groups by which the lengths of all clips are estimated."""
RATE_FILE = "rate.json"
POLL_S = 0.5


def index_files(
    repository: Repository,
    paths: Sequence[str],
    audio_column: str,
    clips: StreamedClips,
    on_progress: ProgressCallback | None = None,
) -> list[Path]:
    """Fetch the index of each parquet file that has none yet, and return them all.

    clips: fetch the few row groups by which the lengths of all clips are estimated. on_progress: may raise to stop.

    Raises HubError for a file that cannot be fetched; DataError for one that is damaged or has no audio in it.
    """
    files = [
        RemoteFile(repository.name, repository.kind, repository.commit, path, repository.sizes[path]) for path in paths
    ]
    folders = [origins.file_folder(repository, path) for path in paths]
    source = origins.source_folder(repository)
    source.mkdir(parents=True, exist_ok=True)
    missing = [
        (folder, file, audio_column)
        for file, folder in zip(files, folders, strict=True)
        if not _is_indexed(folder, audio_column)
    ]
    _index_all(missing, repository.name, on_progress)
    _estimate_rate(source, folders, clips)
    return [folder / INDEX for folder in folders]


def restore_files(known: Mapping[str, Any], on_progress: ProgressCallback | None = None) -> None:
    """Fetch the indices of the files of a run again that the cache has lost. known: folder -> origin, as JSON."""
    found = {Path(folder): Origin.from_json(value) for folder, value in known.items()}
    missing = [
        (folder, origin.file, origin.audio_column)
        for folder, origin in found.items()
        if not _is_indexed(folder, origin.audio_column)
    ]
    if missing:
        _index_all(missing, missing[0][1].repository, on_progress)


def _index_all(
    missing: Sequence[tuple[Path, RemoteFile, str]], name: str, on_progress: ProgressCallback | None
) -> None:
    """Make the indices of files: folder, file and audio column of each."""
    sources = {folder.parent for folder, _, _ in missing}
    for source in sources:
        source.mkdir(parents=True, exist_ok=True)
    reporter = _Reporter(name, on_progress)
    with Sandbox(sources, sources) as sandbox, ThreadPoolExecutor(NUM_THREADS) as threads:
        futures = [
            threads.submit(_index_file, file, folder, column, sandbox, reporter.on_wait)
            for folder, file, column in missing
        ]
        try:
            reporter.follow(futures)
        finally:
            reporter.stop()
            threads.shutdown(cancel_futures=True)


def read_rate(folder: Path) -> float:
    """Return the seconds of audio in a byte of the clips of a file, as they were estimated for its source."""
    return float(json.loads((folder.parent / RATE_FILE).read_text(encoding="utf-8"))["seconds_per_byte"])


def _is_indexed(folder: Path, audio_column: str) -> bool:
    origin = Origin.read(folder)
    return origin is not None and (folder / INDEX).exists() and audio_column in ("", origin.audio_column)


def _index_file(remote: RemoteFile, folder: Path, audio_column: str, sandbox: Sandbox, on_wait: OnWait) -> None:
    footer = _read_footer(remote, on_wait)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".index-") as drafts:
        draft = Path(drafts, INDEX)
        with open(draft, "wb") as file:
            file.truncate(remote.size)
            file.seek(remote.size - len(footer))
            file.write(footer)
        layout = sandbox.call(parquet_groups.read_layout, draft, audio_column, about=remote.path)
        _check_layout(layout, remote, audio_column)
        fetch_ranges(remote, draft, layout.others, on_wait)
        os.replace(draft, folder / INDEX)
    Origin(remote, layout.audio_column, layout.groups).write(folder)


def _read_footer(remote: RemoteFile, on_wait: OnWait) -> bytes:
    """Return the footer of a parquet file, with what ends it. Raises DataError for any other file."""
    tail = remote.read(max(0, remote.size - FIRST_READ_BYTES), remote.size, on_wait)
    length, magic = TAIL.unpack(tail[-TAIL.size :]) if len(tail) >= TAIL.size else (0, b"")
    size = length + TAIL.size
    if magic != MAGIC or size > min(remote.size, MAX_FOOTER_BYTES):
        raise DataError(
            f"{remote.path} of {remote.repository} is no parquet file; choose another split, or set stream to no."
        )
    if size > len(tail):
        tail = remote.read(remote.size - size, remote.size - len(tail), on_wait) + tail
    return tail[-size:]


def _check_layout(layout: FileLayout, remote: RemoteFile, audio_column: str) -> None:
    """Raise DataError for a file without audio in it, and for ranges beyond its end, which a damaged footer names."""
    if not layout.audio_column:
        wanted = f"no column {audio_column!r} with" if audio_column else "no column with"
        raise DataError(
            f"{remote.path} of {remote.repository} has {wanted} the bytes of recordings, so it cannot be streamed; "
            "set stream to no."
        )
    spans = [*layout.others, *((group.start, group.stop) for group in layout.groups)]
    if any(not 0 <= start <= stop <= remote.size for start, stop in spans):
        raise DataError(f"{remote.path} of {remote.repository} names columns beyond its end; it is damaged on the Hub.")


def _estimate_rate(source: Path, folders: Sequence[Path], clips: StreamedClips) -> None:
    """Estimate the seconds of audio in a byte, by row groups from the begin and the middle of the data."""
    if (source / RATE_FILE).exists():
        return
    pieces = _choose_pieces(folders)
    seconds, num_bytes = 0.0, 0
    with AudioReader([source]) as reader:
        for piece in pieces:
            with clips.hold(f"{piece}/-"):
                files = sorted(path for path in piece.iterdir() if not path.name.startswith("."))
                for path, measured in zip(
                    files, reader.measure([ClipSpan(str(path)) for path in files], 0.0), strict=True
                ):
                    if not measured.error:
                        seconds, num_bytes = seconds + measured.duration_s, num_bytes + path.stat().st_size
    if not seconds:
        raise DataError(f"None of the first recordings in {source.name} can be decoded, so it cannot be streamed.")
    write_json(source / RATE_FILE, {"seconds_per_byte": seconds / num_bytes})


def _choose_pieces(folders: Sequence[Path]) -> list[Path]:
    chosen = []
    for number in sorted({0, len(folders) // 2})[:NUM_SAMPLES]:
        groups: tuple[Group, ...] = origins.load_origin(folders[number]).groups
        chosen += [folders[number] / origins.name_group(0)] if groups else []
    return chosen


class _Reporter:
    """Tells in this thread what others do."""

    def __init__(self, name: str, on_progress: ProgressCallback | None) -> None:
        self._name, self._on_progress, self._waiting, self._is_stopped = name, on_progress, "", False

    def on_wait(self, text: str) -> None:
        """Keep a sentence for `follow`; raise to stop a thread that nobody follows any more."""
        self._waiting = text
        if self._is_stopped:
            raise HubError(f"Reading the texts of {self._name} was stopped.")

    def stop(self) -> None:
        self._is_stopped = True

    def follow(self, futures: Collection[Future[None]]) -> None:
        """Wait for all; raise the first error."""
        remaining = set(futures)
        while remaining:
            ended, remaining = wait(remaining, POLL_S, FIRST_COMPLETED)
            for future in ended:
                future.result()
            done = len(futures) - len(remaining)
            if self._on_progress:
                text = self._waiting or f"Reading the texts of {self._name}: {done} of {len(futures)} files"
                self._on_progress(text, done, len(futures))


def describe_size(num_bytes: int, max_bytes: int) -> str:
    """Describe what is streamed, for the log and the page."""
    return f"{format_size(num_bytes)} from the Hugging Face Hub through a cache of {format_size(max_bytes)}"
