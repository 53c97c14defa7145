"""Caches of what every epoch reads again: decoded audio, and the output of a frozen feature encoder.

Both are limited in bytes; what does not fit is computed again. The results are the same with and without them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import torch

if TYPE_CHECKING:
    from asrkit.models.anatomy import Anatomy
    from asrkit.training.model import CtcModel


class HasBytes(Protocol):
    """A NumPy array or a tensor."""

    @property
    def nbytes(self) -> int: ...


Value = TypeVar("Value", bound=HasBytes)


class ByteLimitedCache(Generic[Value]):
    """Arrays or tensors by key, up to `max_bytes` in total.

    Nothing is evicted: an epoch reads every entry once, so evicting the oldest would evict the one needed next.
    """

    def __init__(self, max_bytes: float) -> None:
        self.free_bytes = max_bytes
        self.entries: dict[Hashable, Value] = {}

    def get_or_compute(self, key: Hashable, compute: Callable[[], Value]) -> Value:
        """Return the entry of `key`, or the result of `compute`, which is stored if it fits."""
        value = self.entries.get(key)
        if value is None:
            value = compute()
            self.put(key, value)
        return value

    def has_room(self, key: Hashable, value: HasBytes) -> bool:
        """Whether `put` would store `value`."""
        return key not in self.entries and value.nbytes <= self.free_bytes

    def put(self, key: Hashable, value: Value) -> None:
        """Store `value` if it fits and `key` is new."""
        if self.has_room(key, value):
            self.entries[key] = value
            self.free_bytes -= value.nbytes


class EncoderCache:
    """Wraps the frozen convolutions of a wav2vec2-like model on the CPU and caches their output for each clip.

    A GPU computes them faster than it gets them: with a cache, training XLS-R 300M on an H100 took half as long again.

    Exact only where a clip's frames depend on its own samples alone and these are the same in every epoch: see
    `is_exact`. Without a preceding `set_batch` (evaluation) the cache is neither read nor written.
    """

    def __init__(self, model: CtcModel, model_anatomy: Anatomy, max_bytes: float) -> None:
        encoder = model.base_model.feature_extractor
        self.count_frames = model_anatomy.count_frames
        self.convolve: Callable[[torch.Tensor], torch.Tensor] = encoder.forward
        self.frames: ByteLimitedCache[torch.Tensor] = ByteLimitedCache(max_bytes)
        self._batch: tuple[list[int], torch.Tensor] | None = None
        encoder.forward = self

    def set_batch(self, clips: list[int], mask: torch.Tensor) -> None:
        """Announce the clips of the next batch. mask: (clips, samples), 1 on true samples, 0 on padding."""
        self._batch = clips, mask

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch does not annotate it
    def __call__(self, input_values: torch.Tensor) -> torch.Tensor:
        """(batch, samples) -> (batch, channels, frames).

        Padding frames are zero where they come from the cache; the model masks them.
        """
        batch, self._batch = self._batch, None
        if batch is None:
            return self.convolve(input_values)
        clips, mask = batch
        cached = [self.frames.entries[clip] for clip in clips if clip in self.frames.entries]
        if len(cached) < len(clips):
            return self._compute(input_values, clips, mask)
        num_frames = int(self.count_frames(torch.tensor([input_values.shape[-1]])))
        output = cached[0].new_zeros(len(cached), num_frames, cached[0].shape[-1])
        for row, frames in zip(output, cached, strict=True):
            row[: len(frames)] = frames
        return output.transpose(1, 2)

    def _compute(self, input_values: torch.Tensor, clips: list[int], mask: torch.Tensor) -> torch.Tensor:
        """Run the convolutions and cache the true frames of each clip."""
        output = self.convolve(input_values)
        lengths = self.count_frames(mask.sum(-1)).tolist()
        rows = output.detach().transpose(1, 2)
        for clip, frames, length in zip(clips, rows, lengths, strict=True):
            if self.frames.has_room(clip, frames[:length]):
                self.frames.put(clip, frames[:length].clone())
        return output


def is_exact(model: CtcModel, model_anatomy: Anatomy, *, augmented: bool) -> bool:
    """Whether `EncoderCache` leaves results unchanged.

    It does for frozen convolutions that normalise within a frame ("layer" norm, where the model is given a mask), and
    without augmentation of the waveform.
    """
    encoder = getattr(model.base_model, "feature_extractor", None)
    return (
        encoder is not None
        and model_anatomy.inputs.mask_name is not None
        and not augmented
        and getattr(model.config, "feat_extract_norm", "layer") == "layer"
        and not model_anatomy.has_adapter  # which shortens the frames behind the encoder
        and not any(parameter.requires_grad for parameter in encoder.parameters())
    )
