"""A Hub whose link breaks and that is busy at times, and parquet files with clips for it."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from asrkit.hub.repositories import Repository
from tests.support import hub
from tests.support.http_server import serve_http
from tests.support.hub_responses import HttpError

NAME = "tiny/streamed"
BUSY, SLOW_DOWN, BREAK = 503, 429, "break"


class FaultyHub(hub.Hub):
    """faults: what happens to the next requests of files: a status, or BREAK in the middle; None for a good answer.

    retry_after: sent with a status. sent: bytes of the files, by path.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.faults: deque[int | str | None] = deque()
        self.retry_after = ""
        self.sent: dict[str, int] = {}

    def repository(self, name: str = NAME) -> Repository:
        """Return the state of a dataset, as the client's inspection does."""
        files = self.files("datasets", name)
        sizes = {path: file.stat().st_size for path, file in files.items()}
        return Repository(name, "dataset", hub.hash_files(files), sizes)


class _Handler(hub._Handler):
    hub: FaultyHub

    def _serve_file(self, kind: str, parts: list[str]) -> None:
        self._fault = self.hub.faults.popleft() if self.hub.faults else None
        if isinstance(self._fault, int):
            headers = {"Retry-After": self.hub.retry_after} if self.hub.retry_after else {}
            raise HttpError(self._fault, "", headers)
        self._path = "/".join(parts[4:])
        super()._serve_file(kind, parts)

    def _send(self, content: bytes) -> None:
        if self._fault == BREAK:
            content = content[: len(content) // 2]
        super()._send(content)
        self.hub.sent[self._path] = self.hub.sent.get(self._path, 0) + len(content)
        if self._fault == BREAK:
            self.connection.close()
            self.close_connection = True


@contextlib.contextmanager
def serve(root: Path) -> Iterator[FaultyHub]:
    """Serve the repositories below `root`, until the end of the block."""
    faulty = FaultyHub(root)
    with serve_http(type("Handler", (_Handler,), {"hub": faulty})) as port:
        faulty.url = f"http://127.0.0.1:{port}"
        yield faulty


def make_wav(seconds: float, hertz: float) -> bytes:
    """Return a tone in a little noise, which no codec makes small, as the bytes of a WAV file."""
    file, num_samples = io.BytesIO(), round(16_000 * seconds)
    tone = 0.3 * np.sin(2 * np.pi * hertz / 16_000 * np.arange(num_samples))
    tone += 0.02 * np.random.default_rng(0).standard_normal(num_samples)
    soundfile.write(file, tone, 16_000, "PCM_16", format="WAV")
    return file.getvalue()


def write_parquet(
    path: Path, lengths_s: Sequence[float], group_rows: int, texts: Sequence[str] = (), **more: list
) -> None:
    """Write clips of these lengths, `group_rows` in a row group. more: further columns."""
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    clips = [{"bytes": make_wav(s, 200 + 10 * n), "path": f"clip{n}.wav"} for n, s in enumerate(lengths_s)]
    columns = {"audio": clips, "sentence": list(texts) or [f"number {n}" for n in range(len(clips))], **more}
    parquet.write_table(pyarrow.table(columns), path, row_group_size=group_rows)
