"""Manifest -> features -> batch.

A clip is decoded when it is needed, by a process that can do nothing else (`audio.confined`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypedDict

import numpy as np
import torch
from torch.utils.data import Dataset

from asrkit.audio import SAMPLING_RATE
from asrkit.audio.confined import AudioReader
from asrkit.data.manifest import Column, Utterance
from asrkit.decoding.tokens import Speller
from asrkit.models import features
from asrkit.models.features import InputFormat
from asrkit.training.augment import Augmentation
from asrkit.training.cache import ByteLimitedCache

IGNORED_LABEL = -100
"""Label value that the loss skips (PyTorch's and transformers' convention)."""

Batch = dict[str, Any]
"""Tensors for the model by name, and `about`: `{"audio_seconds": unpadded, "clips": indices in the manifest}`."""


class Item(TypedDict):
    """One clip. features: see `models.features.extract`. clip: its index in the manifest."""

    features: np.ndarray
    labels: list[int]
    duration_s: float
    clip: int


class SpeechDataset(Dataset[Item]):
    """Features and labels of each utterance.

    The key of an item is `index`, or `(epoch, index)` where augmentation differs between epochs. The same key always
    gives the same item. Raises AudioError where a clip cannot be decoded.
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

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        row = self.utterances[index]
        samples = self.decoded.get_or_compute(
            index, lambda: self.reader.load(row.audio, start_s=row.start_s, end_s=row.end_s).samples
        )
        if self.augmentation is not None:
            samples = self.augmentation(samples, np.random.default_rng([self.seed, epoch, index]))
        return {
            "features": features.extract(self.processor.feature_extractor, samples),
            # `model.load` has checked the training texts; of an evaluation text the unknown characters are left out.
            "labels": [token for token in self.speller.encode(row.text) if token is not None],
            "duration_s": len(samples) / SAMPLING_RATE,
            "clip": index,
        }


class Collator:
    """Items -> Batch: features padded at the end, labels padded with `IGNORED_LABEL`.

    The mask is left out for models that were trained without one (`feat_extract_norm == "group"`).
    min_length: smallest padded length in samples (or mel frames); SpecAugment refuses batches shorter than a mask.
    """

    def __init__(self, processor: Any, min_length: int = 0) -> None:
        self.layout, self.min_length = InputFormat.of(processor.feature_extractor), min_length

    def __call__(self, items: Sequence[Item]) -> Batch:
        batch = features.pad(self.layout, [item["features"] for item in items], self.min_length)
        width = max(1, max(len(item["labels"]) for item in items))
        labels = torch.full((len(items), width), IGNORED_LABEL)
        for row, item in zip(labels, items, strict=True):
            row[: len(item["labels"])] = torch.tensor(item["labels"], dtype=torch.long)
        about = {"audio_seconds": sum(item["duration_s"] for item in items), "clips": [item["clip"] for item in items]}
        return {**batch, "labels": labels, "about": about}
