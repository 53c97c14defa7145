"""Manifest -> features -> batch.

A clip is decoded when it is needed, by a process that can do nothing else (`audio.confined`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset

from asrkit.audio import SAMPLING_RATE
from asrkit.audio.confined import AudioReader
from asrkit.audio.waveform import Samples
from asrkit.data.manifest import Column, Utterance
from asrkit.decoding.tokens import Speller
from asrkit.errors import AudioError
from asrkit.models import features
from asrkit.models.features import InputFormat
from asrkit.training.augment import Augmentation
from asrkit.training.cache import ByteLimitedCache

IGNORED_LABEL = -100
"""Label value that the loss skips (PyTorch's and transformers' convention)."""

Batch = dict[str, Any]
"""Tensors for the model by name, and `about`: `{"audio_seconds": unpadded, "clips": indices in the manifest, "bad":
{index: why} of those that are left out}`. A batch without a good clip has a silent one, which is none of `clips`."""

MIN_SAMPLES = 400
"""Of a clip; no model makes a frame of fewer."""


class Item(TypedDict):
    """One clip. features: see `models.features.extract`. clip: its index in the manifest.

    error: why it cannot be used, of a bad clip, which has silence for features.
    """

    features: np.ndarray
    labels: list[int]
    duration_s: float
    clip: int
    error: NotRequired[str]


class SpeechDataset(Dataset[Item]):
    """Features and labels of each utterance.

    The key of an item is `index`, or `(epoch, index)` where augmentation differs between epochs, with the number of the
    repetition where a clip comes again within one. The same key always gives the same item.
    cache_bytes: how much decoded audio each loading process keeps for the next epoch.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        processor: Any,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache_bytes: float = 0,
    ) -> None:
        self.utterances, self.processor, self.augmentation, self.seed = utterances, processor, augmentation, seed
        self.decoded: ByteLimitedCache[np.ndarray] = ByteLimitedCache(cache_bytes)
        self.reader = AudioReader(Column("audio", utterances))

    def __len__(self) -> int:
        return len(self.utterances)

    @cached_property
    def speller(self) -> Speller:
        return Speller.from_tokenizer(self.processor.tokenizer)

    def __getitem__(self, key: int | tuple[int, ...]) -> Item:
        epoch, index, *repeat = key if isinstance(key, tuple) else (0, key)
        row, error = self.utterances[index], ""
        try:
            samples = self.decoded.get_or_compute(index, lambda: self._load(row))
        except AudioError as reason:
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
        return {**item, "error": error} if error else item

    def _load(self, row: Utterance) -> Samples:
        """Decode a clip. Raises AudioError for one that cannot be used."""
        samples = self.reader.load(row.audio, start_s=row.start_s, end_s=row.end_s).samples
        if len(samples) < MIN_SAMPLES:
            raise AudioError(f"{row.audio} has {len(samples) / SAMPLING_RATE:.3f} s of audio, which is too short.")
        return samples


class Collator:
    """Items -> Batch: features padded at the end, labels padded with `IGNORED_LABEL`, without the clips that are bad.

    The mask is left out for models that were trained without one (`feat_extract_norm == "group"`).
    min_length: smallest padded length in samples (or mel frames); SpecAugment refuses batches shorter than a mask.
    """

    def __init__(self, processor: Any, min_length: int = 0) -> None:
        self.layout, self.min_length = InputFormat.of(processor.feature_extractor), min_length

    def __call__(self, items: Sequence[Item]) -> Batch:
        bad = {item["clip"]: item["error"] for item in items if "error" in item}
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
        }
        return {**batch, "labels": labels, "about": about}
