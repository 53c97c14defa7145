"""A model of the tiny language (`tiny.synthesize`) that detects tones: what alignment asks of a Transcriber."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.support import tiny

FRAME = tiny.RATE // 50
BLANK_ID, FIRST_LETTER = 0, 3


class ToneModel:
    """Log posteriors by the pitch of each frame of 20 ms, blank after the first of a tone, as of a trained CTC model.

    share: the probability of the likeliest token.
    """

    num_tokens = FIRST_LETTER + len(tiny.HERTZ)

    def __init__(self, processor: Any, share: float = 0.97) -> None:
        self.processor, self.blank_id, self.engine, self.share = processor, BLANK_ID, self, share

    def log_probabilities(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self._score(clip) for clip in clips]

    def _score(self, clip: np.ndarray) -> np.ndarray:
        frames = clip[: len(clip) // FRAME * FRAME].reshape(-1, FRAME)
        pitches = np.abs(np.fft.rfft(frames)).argmax(axis=1) * tiny.RATE / FRAME
        letters = np.abs(pitches[:, None] - np.array([list(tiny.HERTZ.values())])).argmin(axis=1)
        is_loud = (frames**2).mean(axis=1) > 0.01
        begins = np.diff(is_loud, prepend=False) & is_loud
        tokens = np.where(begins, FIRST_LETTER + letters, BLANK_ID)
        probabilities = np.full((len(frames), self.num_tokens), (1 - self.share) / (self.num_tokens - 1))
        probabilities[np.arange(len(frames)), tokens] = self.share
        return np.log(probabilities).astype(np.float32)
