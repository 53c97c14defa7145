"""Streamed clips: their pieces are fetched into the cache when they are needed, and before.

What the Hub sent is taken apart by a confined process, which sees nothing but the folder of its source.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

from asrkit.audio import Waveform
from asrkit.audio.confined import AudioReader
from asrkit.data.streams import origins, parquet_groups
from asrkit.data.streams.cache import PieceCache
from asrkit.data.streams.options import NOT_STREAMED
from asrkit.data.streams.origins import INDEX, Origin
from asrkit.errors import AsrkitError, AudioError
from asrkit.hub.ranges import OnWait, RemoteFile
from asrkit.sandbox import Sandbox

logger = logging.getLogger(__name__)

SHARD = ".shard.parquet"
MAX_READ_BYTES = 64 << 20
"""That are in memory at once."""
RETRY_S = 1.0
"""How long a thread that fetches ahead rests after a failure, or where others have the pieces that it is to fetch."""


class StreamedClips:
    """Fetches the pieces of streamed clips, for all threads of this process.

    max_bytes: of the cache. on_wait: see `hub.ranges.OnWait`; called from the thread that waits.
    """

    def __init__(self, max_bytes: int = NOT_STREAMED.cache_bytes, on_wait: OnWait = lambda text: None) -> None:
        self.max_bytes, self._on_wait = max_bytes, on_wait
        self._origins = functools.lru_cache(maxsize=10_000)(origins.load_origin)
        self._sandboxes: dict[Path, Sandbox] = {}
        self._ahead: _FetchAhead | None = None

    def __reduce__(self) -> tuple[object, ...]:  # for loader processes that are not forked
        return StreamedClips, (self.max_bytes, self._on_wait)

    @contextlib.contextmanager
    def hold(self, audio: str) -> Iterator[None]:
        """Keep the piece of a clip on the disk in this context; do nothing for a file that is not streamed.

        Raises HubError where it cannot be fetched, AudioError where it is damaged, DataError where there is no room.
        """
        if not (piece := origins.piece_of(audio)):
            yield
            return
        path = Path(piece)
        with self._cache(path).hold(path, functools.partial(self._make, path), self._size(path)):
            yield

    def fetch_ahead(self, pieces: Sequence[str]) -> None:
        """Fetch these pieces in the background, in this order, instead of those that were named before."""
        if self._ahead is None or not self._ahead.is_alive:
            self._ahead = _FetchAhead(self._prefetch)
        self._ahead.set(pieces)

    def close(self) -> None:
        """End the background thread after its present piece, and the confined processes."""
        if self._ahead:
            self._ahead.stop()
        for sandbox in self._sandboxes.values():
            sandbox.close()

    def _prefetch(self, piece: str) -> bool:
        path = Path(piece)
        return self._cache(path).prefetch(path, functools.partial(self._make, path), self._size(path))

    def _cache(self, piece: Path) -> PieceCache:
        return PieceCache(piece.parents[2], self.max_bytes)

    def _size(self, piece: Path) -> int:
        return self._origins(piece.parent).groups[int(piece.name)].audio_bytes

    def _make(self, piece: Path, draft: Path) -> None:
        folder, number = piece.parent, int(piece.name)
        origin = self._origins(folder)
        group, shard = origin.groups[number], draft / SHARD
        copy_footer(folder / INDEX, shard, origin.file.size)
        fetch_ranges(origin.file, shard, [(group.start, group.stop)], self._on_wait)
        self._sandbox(folder.parent).call(
            parquet_groups.extract_clips,
            shard,
            folder / INDEX,
            origin.audio_column,
            number,
            draft,
            about=f"Row group {number} of {origin.file.path}",
            error=AudioError,
        )
        shard.unlink()

    def _sandbox(self, source: Path) -> Sandbox:
        if source not in self._sandboxes:
            self._sandboxes[source] = Sandbox([source], [source])
        return self._sandboxes[source]


class ClipReader:
    """Decodes these clips, streamed ones among them, and no others; a context manager. For all threads at once."""

    def __init__(self, files: Iterable[str]) -> None:
        self._reader, self._streamed = AudioReader(origins.list_readable(files)), StreamedClips()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._streamed.close()
        self._reader.close()

    def load(self, audio: str, *, start_s: float = 0.0, end_s: float | None = None) -> Waveform:
        """Decode as `load_audio` does. HubError for a streamed clip that cannot be fetched."""
        with self._streamed.hold(audio):
            return self._reader.load(audio, start_s=start_s, end_s=end_s)


class _FetchAhead:
    """A thread that fetches pieces. It gives way while the interpreter ends."""

    def __init__(self, fetch: Callable[[str], bool]) -> None:
        self._fetch = fetch
        self._wanted: Sequence[str] = ()
        self._changed, self._is_stopped = threading.Event(), False
        context = contextvars.copy_context()  # of whoever reads the Hub
        self._thread = threading.Thread(target=context.run, args=[self._run], daemon=True, name="fetch-ahead")
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs in this process, which may have been forked."""
        return self._thread.is_alive()

    def set(self, pieces: Sequence[str]) -> None:
        self._wanted = pieces
        self._changed.set()

    def stop(self) -> None:
        self._is_stopped = True
        self._changed.set()

    def _run(self) -> None:
        while not self._is_stopped:
            self._changed.wait()
            self._changed.clear()
            for piece in self._wanted:
                if self._is_stopped or self._changed.is_set():
                    break
                try:
                    self._fetch(piece)
                except (AsrkitError, OSError) as error:
                    # Whoever needs the clip meets the same error.
                    logger.warning("%s could not be fetched ahead: %s", piece, error)
                    self._changed.wait(RETRY_S)


def copy_footer(source: Path, target: Path, size: int) -> None:
    """Make a file of this size that has the footer of another one of the same size, and is empty elsewhere."""
    with open(source, "rb") as index, open(target, "wb") as file:
        index.seek(size - parquet_groups.TAIL.size)
        length, _ = parquet_groups.TAIL.unpack(index.read(parquet_groups.TAIL.size))
        start = size - parquet_groups.TAIL.size - length
        file.truncate(size)
        index.seek(start)
        file.seek(start)
        file.write(index.read())


def fetch_ranges(remote: RemoteFile, target: Path, spans: Sequence[tuple[int, int]], on_wait: OnWait) -> None:
    """Fetch parts of a remote file into their places in a file."""
    with open(target, "r+b") as file:
        for start, stop in spans:
            file.seek(start)
            for begin in range(start, stop, MAX_READ_BYTES):
                file.write(remote.read(begin, min(stop, begin + MAX_READ_BYTES), on_wait))


def has_index(folder: Path) -> bool:
    """Whether the texts of a streamed file are here."""
    return Origin.read(folder) is not None and (folder / INDEX).exists()
