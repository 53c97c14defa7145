"""The datasets that were loaded last, so that a page does not read one again for every request."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from asrkit.data import access, confined, dataset_names, embedded, fingerprint
from asrkit.data.fingerprint import Fingerprint
from asrkit.data.manifest import Column
from asrkit.data.readers import hub_names
from asrkit.data.readers.annotations.outline import Outline
from asrkit.data.sources import Source
from asrkit.data.utterance_table import digest_rows
from asrkit.jobs import ProgressCallback
from asrkit.runs.preparation_cache import SEARCHED
from asrkit.ui.common.component import Request

MAX_DATASETS = 4
MIN_KNOWN_ROWS = 10_000
"""Of a dataset that is not read again while its files are unchanged."""
COLUMN_SETTINGS = ("text_column", "audio_column", "speaker_column")
SETTINGS = (*COLUMN_SETTINGS, "tiers")
"""Settings that decide what is read of a dataset."""

DatasetKey = tuple[str, ...]


@dataclass(frozen=True)
class LoadedDataset:
    """A dataset and a digest of its rows, which is equal for equal rows. state: of its files, if it is known."""

    source: Source
    digest: str
    state: Fingerprint | None = None


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
        """Read the dataset of a request again, unless it is large and unchanged. DataError if it cannot be read."""
        key, dataset = make_key(request), self.find(request)
        if not (dataset and dataset.state and dataset.state.is_current()):
            begin_s, source = time.time(), _read(key, on_progress)
            digest = f"{len(source.train)}-{digest_rows(source.utterances).hex()}"
            dataset = LoadedDataset(source, digest, _take_state(key[0], source, begin_s))
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


def _take_state(data: str, source: Source, begin_s: float) -> Fingerprint | None:
    """Return the state of a large dataset's files, by which it is known to be unchanged; None where that is unknown.

    begin_s: when its reading began, in Unix seconds. Of files that have changed since, nobody knows which state was
    read. A file that was looked for in other folders may be found in yet another one, and of clips that were unpacked
    the folders do not tell of their archives.
    """
    rows, names = source.utterances, dataset_names.separate(data)
    if len(rows) < MIN_KNOWN_ROWS or access.is_visitor() or any(name.startswith(hub_names.PREFIX) for name in names):
        return None
    if any(mark.code in SEARCHED for marks in Column("marks", rows) for mark in marks):
        return None
    if (Column("duration_s", rows).to_numpy() < 0).any():
        return None
    folders = set(map(os.path.dirname, Column("audio", rows)))
    if any(Path(folder).is_relative_to(embedded.cache_dir()) for folder in folders):
        return None
    state = Fingerprint.of(map(fingerprint.locate, names), folders)
    return state if state.changed_at < begin_s else None
