"""Manifest -> features -> Batch.

Clips are decoded when they are needed, in the loader's own process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from asrkit.audio import SAMPLING_RATE, load_audio
from asrkit.data.manifest import Utterance
from asrkit.training.augment import Augmentation
from asrkit.training.cache import Kept

IGNORED = -100
"""Label value that the loss passes over (PyTorch's and transformers' convention)."""


class SpeechDataset(Dataset):
    """Features and labels of each utterance.

    An item is asked for as `index`, or as `(epoch, index)` where augmentation shall differ from epoch to epoch; either
    way the same question has the same answer. Raises AudioError where a clip cannot be decoded.
    cache_bytes: how much decoded audio is kept for the next epoch, in each process that loads.
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
        self.decoded = Kept(cache_bytes)

    def __len__(self) -> int:
        return len(self.utterances)

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        row = self.utterances[index]
        samples = self.decoded.get(index, lambda: load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples)
        if self.augmentation is not None:
            samples = self.augmentation(samples, np.random.default_rng([self.seed, epoch, index]))
        return {
            "features": features(self.processor, samples),
            "labels": self.processor.tokenizer(row.text).input_ids,
            "duration_s": len(samples) / SAMPLING_RATE,
            "clip": index,
        }


def features(processor: Any, samples: np.ndarray) -> np.ndarray:
    """(samples,) waveform -> what the model reads: (samples,) normalised, or (frames, mel features) for w2v-BERT."""
    return processor.feature_extractor(samples, sampling_rate=SAMPLING_RATE, return_tensors="np")[
        processor.feature_extractor.model_input_names[0]
    ][0]


class Collator:
    """Items -> Batch: features padded at the end, labels padded with `IGNORED`, and `about`, which is not for the
    model: `{"audio_seconds": unpadded, "clips": numbers of the rows of the manifest}`.

    The mask is left out for models that were trained without one (`feat_extract_norm == "group"`).
    shortest: least padded length in samples (or mel frames), for SpecAugment, which refuses shorter than a mask.
    """

    def __init__(self, processor: Any, shortest: int = 0) -> None:
        self.extractor, self.shortest = processor.feature_extractor, shortest
        self.name = self.extractor.model_input_names[0]

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        longest = max(max(len(item["features"]) for item in items), self.shortest)
        batch = dict(
            self.extractor.pad(
                {self.name: [item["features"] for item in items]},
                padding="max_length",
                max_length=longest,
                return_tensors="pt",
            )
        )
        batch[self.name] = batch[self.name].to(torch.float32)
        if not wants_mask(self.extractor):
            batch.pop("attention_mask", None)
        width = max(1, max(len(item["labels"]) for item in items))
        labels = torch.full((len(items), width), IGNORED)
        for row, item in zip(labels, items, strict=True):
            row[: len(item["labels"])] = torch.tensor(item["labels"], dtype=torch.long)
        about = {"audio_seconds": sum(item["duration_s"] for item in items), "clips": [item["clip"] for item in items]}
        return {**batch, "labels": labels, "about": about}


def wants_mask(extractor: Any) -> bool:
    """Whether the model was trained with an attention mask over padding."""
    return bool(extractor.return_attention_mask)
