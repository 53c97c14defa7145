"""What is computed once and read again at every epoch: decoded audio, and what a frozen feature encoder makes of it.

Both stay within a number of bytes; what does not fit is computed again each time. Results are the same either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Key = Any


class Kept:
    """Arrays or tensors by key, until they fill `limit` bytes. The first to come stay: an epoch needs all of them once,
    so that throwing out the oldest would throw out what is needed next."""

    def __init__(self, limit: float) -> None:
        self.room = limit
        self.kept: dict[Key, Any] = {}

    def get(self, key: Key, make: Callable[[], np.ndarray]) -> np.ndarray:
        """What is kept under `key`, else what `make` gives, kept if there is room."""
        found = self.kept.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

    def put(self, key: Key, value: np.ndarray | torch.Tensor) -> None:
        if key not in self.kept and value.nbytes <= self.room:
            self.kept[key] = value
            self.room -= value.nbytes


class EncoderMemory:
    """Stands before the frozen convolutions of a wav2vec2-like model and remembers what they made of each clip.

    Exact only where a clip's frames depend on its own samples alone and these are the same at every epoch: see
    `is_exact`. While `clips` is None (evaluation) nothing is remembered or looked up.
    """

    def __init__(self, model: torch.nn.Module, limit: float) -> None:
        self.encoder, self.counts = model.base_model.feature_extractor, model._get_feat_extract_output_lengths
        self.convolve, self.clips, self.mask = self.encoder.forward, None, None
        self.frames = Kept(limit)
        self.encoder.forward = self

    def expect(self, clips: list[int], mask: torch.Tensor) -> None:
        """The next batch is of these clips, whose true samples are those of mask, (clips, samples)."""
        self.clips, self.mask = clips, mask

    @torch.compiler.disable
    def __call__(self, input_values: torch.Tensor) -> torch.Tensor:
        """(batch, samples) -> (batch, channels, frames). Frames of padding are zero where they come from memory; the
        model masks them."""
        clips, self.clips = self.clips, None
        if clips is None:
            return self.convolve(input_values)
        known = [self.frames.kept.get(clip) for clip in clips]
        if any(one is None for one in known):
            made, lengths = self.convolve(input_values), self.counts(self.mask.sum(-1)).tolist()
            for clip, frames, length in zip(clips, made.detach().transpose(1, 2), lengths, strict=True):
                if clip not in self.frames.kept and frames[:length].nbytes <= self.frames.room:
                    self.frames.put(clip, frames[:length].to("cpu", copy=True))
            return made
        total = int(self.counts(torch.tensor(input_values.shape[-1])))
        batch = known[0].new_zeros(len(known), total, known[0].shape[-1])
        for row, frames in zip(batch, known, strict=True):
            row[: len(frames)] = frames
        return batch.to(input_values.device).transpose(1, 2)


def is_exact(model: torch.nn.Module, *, masked: bool, augmented: bool) -> bool:
    """Whether `EncoderMemory` changes nothing: frozen convolutions that normalise within a frame ("layer" norm, where
    the model is given a mask), and no augmentation of the waveform."""
    encoder = getattr(model.base_model, "feature_extractor", None)
    return (
        encoder is not None
        and masked
        and not augmented
        and getattr(model.config, "feat_extract_norm", "layer") == "layer"
        and not getattr(model.config, "add_adapter", False)  # which shortens the frames behind the encoder
        and not any(parameter.requires_grad for parameter in encoder.parameters())
    )
