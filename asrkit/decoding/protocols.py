"""Protocols of decoders and acoustic models."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from asrkit.audio import Waveform
from asrkit.decoding.transcript import Word


class Decoder(Protocol):
    """Turns the posteriors of a clip into words."""

    def decode(self, log_probabilities: np.ndarray, frame_s: float) -> list[Word]:
        """Return the words of (frames, tokens) log posteriors, timed within the clip; frame_s: duration of a frame."""
        ...


class AcousticModel(Protocol):
    """A CTC model as far as decoding needs it; `transcription.transcriber.Transcriber` is one.

    processor: the Hugging Face processor, with a tokenizer. decoder: the one that the checkpoint was trained for.
    """

    @property
    def processor(self) -> Any: ...

    @property
    def blank_id(self) -> int: ...

    @property
    def decoder(self) -> Decoder: ...

    def log_probabilities(self, wave: Waveform) -> np.ndarray:
        """Return (frames, tokens) float32 log posteriors, evenly spaced over the clip."""
        ...
