"""Manifest -> features -> batch.

A clip is decoded when it is needed, by a process that can do nothing else (`audio.confined`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset

from asrkit.audio import SAMPLING_RATE, SILENCE_DBFS, loudest_rms
from asrkit.audio.confined import AudioReader
from asrkit.audio.waveform import Samples
from asrkit.data.manifest import Column, Utterance
from asrkit.data.streams import origins
from asrkit.data.streams.clips import StreamedClips
from asrkit.decoding.tokens import Speller
from asrkit.errors import AudioError
from asrkit.models import features
from asrkit.models.features import InputFormat
from asrkit.training.augment import Augmentation
from asrkit.training.cache import ByteLimitedCache
from asrkit.training.streamed_order import UpcomingPieces

IGNORED_LABEL = -100
"""Label value that the loss skips (PyTorch's and transformers' convention)."""

Batch = dict[str, Any]
"""Tensors for the model by name, and `about`: `{"audio_seconds": unpadded, "clips": indices in the manifest, "bad":
{index: why} of those that are left out, "outside": those that are for their lengths, where there are any}`. A batch
without a good clip has a silent one, which is none of `clips`."""

MIN_SAMPLES = 400
"""Of a clip; no model makes a frame of fewer."""


class Item(TypedDict):
    """One clip. features: see `models.features.extract`. clip: its index in the manifest.

    error: why it cannot be used, of a bad clip, which has silence for features. is_outside: whether it is not bad, but
    longer or shorter than clips of the run may be.
    """

    features: np.ndarray
    labels: list[int]
    duration_s: float
    clip: int
    error: NotRequired[str]
    is_outside: NotRequired[bool]


class _OutsideLimitsError(AudioError):
    """A clip has another length than clips of the run may have."""


class SpeechDataset(Dataset[Item]):
    """Features and labels of each utterance.

    The key of an item is `index`, or `(epoch, index)` where augmentation differs between epochs, with the number of the
    repetition where a clip comes again within one. The same key always gives the same item.
    cache_bytes: how much decoded audio each loading process keeps for the next epoch. streamed: fetches streamed clips,
    which are audited here. upcoming: which of them are needed next. limits_s: of their lengths.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        processor: Any,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache_bytes: float = 0,
        streamed: StreamedClips | None = None,
        upcoming: UpcomingPieces | None = None,
        limits_s: tuple[float, float] = (0.0, math.inf),
    ) -> None:
        self.utterances, self.processor, self.augmentation, self.seed = utterances, processor, augmentation, seed
        self.decoded: ByteLimitedCache[np.ndarray] = ByteLimitedCache(cache_bytes)
        self.reader = AudioReader(origins.list_readable(Column("audio", utterances)))
        self.streamed, self.upcoming, self.limits_s = streamed, upcoming, limits_s

    def __len__(self) -> int:
        return len(self.utterances)

    @cached_property
    def speller(self) -> Speller:
        return Speller.from_tokenizer(self.processor.tokenizer)

    def __getitem__(self, key: int | tuple[int, ...]) -> Item:
        epoch, index, *repeat = key if isinstance(key, tuple) else (0, key)
        row, error, is_outside = self.utterances[index], "", False
        if self.streamed and self.upcoming and (pieces := self.upcoming.note(epoch, index)) is not None:
            self.streamed.fetch_ahead(pieces)
        try:
            samples = self.decoded.get_or_compute(index, lambda: self._load(row))
        except AudioError as reason:
            is_outside = isinstance(reason, _OutsideLimitsError)
            samples, error = np.zeros(max(MIN_SAMPLES, round(row.duration_s * SAMPLING_RATE)), np.float32), str(reason)
        if self.augmentation is not None and not error:
            samples = self.augmentation(samples, np.random.default_rng([self.seed, epoch, index, *repeat]))
        item: Item = {
            "features": features.extract(self.processor.feature_extractor, samples),
            # `model.load` has checked the training texts; of an evaluation text the unknown characters are left out.
            "labels": [token for token in self.speller.encode(row.text) if token is not None],
            "duration_s": len(samples) / SAMPLING_RATE,
            "clip": index,
        }
        return {**item, "error": error, "is_outside": is_outside} if error else item

    def _load(self, row: Utterance) -> Samples:
        """Decode a clip. Raises AudioError for one that cannot be used."""
        with self.streamed.hold(row.audio) if self.streamed else contextlib.nullcontext():
            samples = self.reader.load(row.audio, start_s=row.start_s, end_s=row.end_s).samples
        if len(samples) < MIN_SAMPLES:
            raise AudioError(f"{row.audio} has {len(samples) / SAMPLING_RATE:.3f} s of audio, which is too short.")
        if self.streamed and origins.piece_of(row.audio):
            self._audit(row, samples)
        return samples

    def _audit(self, row: Utterance, samples: Samples) -> None:
        """Raise AudioError for a streamed clip that an audit before the run would have dropped."""
        seconds, (shortest_s, longest_s) = len(samples) / SAMPLING_RATE, self.limits_s
        if not shortest_s <= seconds <= longest_s:
            raise _OutsideLimitsError(f"{row.audio} has {seconds:.2f} s.")
        if loudest_rms(samples) < 10 ** (SILENCE_DBFS / 20):
            raise AudioError(f"{row.audio} is silent.")


class Collator:
    """Items -> Batch: features padded at the end, labels padded with `IGNORED_LABEL`, without the clips that are bad.

    The mask is left out for models that were trained without one (`feat_extract_norm == "group"`).
    min_length: smallest padded length in samples (or mel frames); SpecAugment refuses batches shorter than a mask.
    """

    def __init__(self, processor: Any, min_length: int = 0) -> None:
        self.layout, self.min_length = InputFormat.of(processor.feature_extractor), min_length

    def __call__(self, items: Sequence[Item]) -> Batch:
        bad = {item["clip"]: item["error"] for item in items if "error" in item and not item.get("is_outside")}
        outside = [item["clip"] for item in items if item.get("is_outside")]
        good = [item for item in items if "error" not in item]
        items = good or items[:1]
        batch = features.pad(self.layout, [item["features"] for item in items], self.min_length)
        width = max(1, max(len(item["labels"]) for item in items))
        labels = torch.full((len(items), width), IGNORED_LABEL)
        for row, item in zip(labels, items, strict=True):
            row[: len(item["labels"])] = torch.tensor(item["labels"], dtype=torch.long)
        about = {
            "audio_seconds": sum(item["duration_s"] for item in good),
            "clips": [item["clip"] for item in good],
            "bad": bad,
            **({"outside": outside} if outside else {}),
        }
        return {**batch, "labels": labels, "about": about}
