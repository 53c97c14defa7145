"""The datasets that were loaded last, so that a page does not read one again for every request."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

from asrkit.data import access, confined
from asrkit.data.readers.annotations.outline import Outline
from asrkit.data.sources import Source
from asrkit.jobs import ProgressCallback
from asrkit.ui.common.component import Request

MAX_DATASETS = 4
COLUMN_SETTINGS = ("text_column", "audio_column", "speaker_column")
SETTINGS = (*COLUMN_SETTINGS, "tiers")
"""Settings that decide what is read of a dataset."""

DatasetKey = tuple[str, ...]


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset and a digest of its rows, which is equal for equal rows."""

    source: Source
    digest: str


def make_key(request: Request) -> DatasetKey:
    """Return what identifies the dataset of a request: its name, the SETTINGS, and the visitor who may read it."""
    return (
        str(request.get("data") or ""),
        *(str(request.get(name) or "") for name in SETTINGS),
        access.reader_key(),
    )


class DatasetCache:
    """The `MAX_DATASETS` datasets that were used last."""

    def __init__(self) -> None:
        self._datasets: OrderedDict[DatasetKey, LoadedDataset] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, request: Request) -> LoadedDataset | None:
        """Return the dataset of a request if it was loaded already."""
        with self._lock:
            return self._datasets.get(make_key(request))

    def get(self, request: Request) -> LoadedDataset:
        """Return the dataset of a request, loading it if necessary. Raises DataError if it cannot be read."""
        key = make_key(request)
        with self._lock:
            if key in self._datasets:
                self._datasets.move_to_end(key)
                return self._datasets[key]
        return self.load(request)

    def load(self, request: Request, on_progress: ProgressCallback | None = None) -> LoadedDataset:
        """Read the dataset of a request again. Raises DataError if it cannot be read."""
        key = make_key(request)
        source = _read(key, on_progress)
        dataset = LoadedDataset(source, _compute_digest(source))
        with self._lock:
            self._datasets[key] = dataset
            self._datasets.move_to_end(key)
            while len(self._datasets) > MAX_DATASETS:
                self._datasets.popitem(last=False)
        return dataset

    def read_outline(self, request: Request, audio: str) -> Outline | None:
        """Read all spans of one annotated recording of the dataset; None where no annotation describes it.

        Raises DataError if the dataset cannot be read.
        """
        if not self.get(request).source.tiers:
            return None
        return _read(make_key(request), outline_of=audio).outline


def _read(key: DatasetKey, on_progress: ProgressCallback | None = None, outline_of: str = "") -> Source:
    text, audio, speaker = (value or None for value in key[1:4])
    return confined.load(
        key[0].strip(),
        text_column=text,
        audio_column=audio,
        speaker_column=speaker,
        tiers=key[4],
        outline_of=outline_of,
        on_progress=on_progress,
    )


def _compute_digest(source: Source) -> str:
    digest = hashlib.blake2b(str(len(source.train)).encode(), digest_size=12)
    for row in source.utterances:
        digest.update(repr(row).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
