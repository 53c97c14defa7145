"""A Hub whose link breaks and that is busy at times, and parquet files with clips for it."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from asrkit.config import TrainConfig
from asrkit.data.manifest import Utterance
from asrkit.data.streams.clips import StreamedClips
from asrkit.hub.repositories import Repository
from tests.support import hub
from tests.support.hub_responses import HttpError

NAME = "tiny/streamed"
BUSY, SLOW_DOWN, BREAK = 503, 429, "break"


class FaultyHub(hub.Hub):
    """faults: what happens to the next requests of files: a status, or BREAK in the middle; None for a good answer.

    fail_every: of so many requests one fails, each time otherwise; 0 for none.

    retry_after: sent with a status. sent: bytes of the files, by path.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.faults: deque[int | str | None] = deque()
        self.fail_every, self.num_requests = 0, 0
        self.retry_after, self.aliases = "", dict[str, str]()
        self.sent: dict[str, int] = {}

    def files(self, kind: str, name: str, revision: str = "main") -> dict[str, Path]:
        """aliases: commit of the past -> the present one, for files that are changed behind the back of a test."""
        return super().files(kind, name, self.aliases.get(revision, revision))

    def repository(self, name: str = NAME) -> Repository:
        """Return the state of a dataset, as the client's inspection does."""
        files = self.files("datasets", name)
        sizes = {path: file.stat().st_size for path, file in files.items()}
        return Repository(name, "dataset", hub.hash_files(files), sizes)


class _Handler(hub._Handler):
    hub: FaultyHub

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionResetError:  # the client was killed
            self.close_connection = True

    def _serve_file(self, kind: str, parts: list[str]) -> None:
        self._fault = self._take_fault()
        if isinstance(self._fault, int):
            headers = {"Retry-After": self.hub.retry_after} if self.hub.retry_after else {}
            raise HttpError(self._fault, "", headers)
        self._path = "/".join(parts[4:])
        super()._serve_file(kind, parts)

    def _take_fault(self) -> int | str | None:
        hub = self.hub
        if hub.faults:
            return hub.faults.popleft()
        hub.num_requests += 1
        if not hub.fail_every or hub.num_requests % hub.fail_every:
            return None
        return (BUSY, BREAK, SLOW_DOWN)[hub.num_requests // hub.fail_every % 3]

    def _send(self, content: bytes) -> None:
        if self._fault == BREAK:
            content = content[: len(content) // 2]
        self.hub.sent[self._path] = self.hub.sent.get(self._path, 0) + len(content)
        super()._send(content)
        if self._fault == BREAK:
            self.connection.close()
            self.close_connection = True


@contextlib.contextmanager
def serve(root: Path) -> Iterator[FaultyHub]:
    """Serve the repositories below `root`, until the end of the block."""
    with hub.serve_hub(FaultyHub(root), _Handler) as faulty:
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


def write_speech(speech: Path, folder: Path, group_rows: int, num_files: int) -> None:
    """Write an audiofolder with a split column as parquet files, those of its training split in `num_files`."""
    import csv

    import pyarrow
    from pyarrow import parquet

    with open(speech / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parts = {f"validation-{0:05d}": [row for row in rows if row["split"] != "train"]}
    train = [row for row in rows if row["split"] == "train"]
    parts |= {f"train-{number:05d}": train[number::num_files] for number in range(num_files)}
    (folder / "data").mkdir(parents=True)
    for name, part in parts.items():
        clips = [
            {"bytes": (speech / row["file_name"]).read_bytes(), "path": Path(row["file_name"]).name} for row in part
        ]
        table = pyarrow.table({"audio": clips, "text": [row["text"] for row in part]})
        parquet.write_table(table, folder / f"data/{name}.parquet", row_group_size=group_rows)


def make_loader(rows: Sequence[Utterance], processor: Any, num_workers: int, cache_bytes: int, **settings: Any) -> Any:
    """Return the loader of the training of a single process, with so many loader processes."""
    from asrkit.training.loaders import make_train_loader

    values = {"mask_time_prob": 0.0, "augmentation": "none", "stream_cache_gb": cache_bytes / 1e9, **settings}
    config = TrainConfig().replace(values)
    args: Any = SimpleNamespace(process_index=0, world_size=1, dataloader_num_workers=num_workers)
    geometry: Any = None  # of masks, of which there are none
    return make_train_loader(config, args, rows, processor, 0, geometry, StreamedClips(cache_bytes))


def use_in_process(stand_in: FaultyHub, home: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the Hub's client of this process, and asrkit's cache, use the stand-in and folders below `home`."""
    from huggingface_hub import constants

    patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    patch.delenv("HF_TOKEN", raising=False)
    patch.setattr(constants, "ENDPOINT", stand_in.url)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants._HF_DEFAULT_ENDPOINT, stand_in.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))


def read_rows(stand_in: FaultyHub) -> list[Utterance]:
    """Return the rows of the dataset, as its index tells them."""
    from asrkit.data.readers import parquet
    from asrkit.data.readers.columns import NO_CHOICE
    from asrkit.data.streams.index import index_files

    clips, repository = StreamedClips(1 << 30), stand_in.repository()
    files = index_files(repository, sorted(repository.sizes), "", clips)
    clips.close()
    return [row for file in files for row in parquet.read(file, None, NO_CHOICE).utterances]
