"""What a model is given: features of each clip, then a padded batch of them, with a mask where the model takes one.

Features are extracted clip by clip, so that those of a clip never depend on the others in its batch: some extractors
pad the audio first, and their last windows see the padding. torch is imported on the first call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from asrkit.audio.resampling import resample_from_16_khz

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class InputFormat:
    """The names and shapes that a model takes, by its feature extractor.

    mask_name: None for models that were trained without a mask over padding. has_channels: the waveform has an axis for
    its one channel, (batch, 1, samples).
    """

    input_name: str
    mask_name: str | None
    sampling_rate: int
    padding_value: float
    has_channels: bool

    @classmethod
    def of(cls, extractor: Any) -> InputFormat:
        """Return the format of what a Hugging Face feature extractor makes."""
        name, *masks = extractor.model_input_names
        mask_name = next(iter(masks), "attention_mask") if extractor.return_attention_mask else None
        return cls(
            name, mask_name, int(extractor.sampling_rate), float(extractor.padding_value), mask_name == "padding_mask"
        )


def extract(extractor: Any, samples: np.ndarray) -> np.ndarray:
    """(n,) waveform at 16 kHz -> model input without padding: (samples,), or (frames, mel features)."""
    samples = resample_from_16_khz(samples, extractor.sampling_rate)
    if type(extractor).__name__ == "Wav2Vec2FeatureExtractor":  # what it does, in half the time
        normalised = extractor.zero_mean_unit_var_norm([samples], None) if extractor.do_normalize else [samples]
        return np.asarray(normalised[0], np.float32)
    extracted = extractor(
        samples, sampling_rate=extractor.sampling_rate, return_tensors="pt", return_attention_mask=True
    )
    name, *masks = extractor.model_input_names
    array: np.ndarray = extracted[name][0].numpy()
    if name == "input_values":
        array = array.reshape(-1)
    mask = extracted.get(next(iter(masks), "attention_mask"))
    if mask is not None:
        array = array[: int(mask[0].sum())]
    # Mel features are divided by their standard deviation: those of a clip of one frame are NaN.
    return np.nan_to_num(array) if array.ndim > 1 else array


def pad(
    layout: InputFormat, features: Sequence[np.ndarray], min_length: int = 0, pin: bool = False
) -> dict[str, torch.Tensor]:
    """Pad features at the end to one batch of float32.

    min_length: of the padded features. pin: in memory that a GPU reads while it computes.

    Returns the tensors for the model by name, the mask among them where the model takes one: True on true values.
    """
    import torch

    lengths = [len(one) for one in features]
    shape = (len(features), max(*lengths, min_length), *features[0].shape[1:])
    values = torch.full(shape, layout.padding_value, dtype=torch.float32, pin_memory=pin)
    mask = torch.zeros(shape[:2], dtype=torch.bool, pin_memory=pin)  # an eighth of the bytes of an integer's
    for row, one in enumerate(features):
        values[row, : len(one)] = torch.from_numpy(np.ascontiguousarray(one))
        mask[row, : len(one)] = True
    batch = {layout.input_name: values[:, None] if layout.has_channels else values}
    return batch if layout.mask_name is None else {**batch, layout.mask_name: mask}
