"""A Transcriber for the tiny language (`tiny.synthesize`) that detects tones instead of running a model."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from asrkit.audio import SAMPLING_RATE
from asrkit.audio.segmentation import Segment
from asrkit.decoding.segment_merger import SegmentMerger
from asrkit.decoding.transcript import Word
from asrkit.transcription.transcriber import Transcriber
from tests.support import tiny


class ToneTranscriber(Transcriber):
    """Decodes the tones of `tiny.synthesize` by their pitch; a gap of 0.1 s ends a word."""

    decoder: Any = None
    engine: Any = SimpleNamespace(num_threads=2, max_batch_s=24.0, device=torch.device("cpu"))

    def __init__(self) -> None:
        pass

    def transcribe_segments(
        self, pieces: Sequence[Segment], merger: SegmentMerger, decoder: object = None
    ) -> list[Word]:
        words = []
        for piece in pieces:
            words += merger.push(
                [word.shift(piece.start / SAMPLING_RATE) for word in decode_tones(piece.samples)],
                piece.keep_to / SAMPLING_RATE if piece.is_forced_cut else None,
            )
        return words


def decode_tones(samples: np.ndarray) -> list[Word]:
    """Tones -> words with times; a tone that is cut off counts if half of it is left."""
    size = SAMPLING_RATE // 100
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    loud = (frames**2).mean(axis=1) > 0.01
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    words, letters, begin, last = [], "", 0, -100
    for first, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - first < 4:
            continue
        if letters and first - last > 8:
            words.append(Word(letters, begin / 100, last / 100, 1.0))
            letters = ""
        begin = begin if letters else first
        sound = samples[first * size : stop * size]
        pitch = np.abs(np.fft.rfft(sound)).argmax() * SAMPLING_RATE / len(sound)
        letters += min(tiny.HERTZ, key=lambda letter: abs(tiny.HERTZ[letter] - pitch))
        last = stop
    if letters:
        words.append(Word(letters, begin / 100, last / 100, 1.0))
    return words
