"""A microphone, chunk by chunk: text while somebody speaks, and behind it text that never changes.

The sound is split, heard and joined exactly as a file's is, so that what is final is what the same sound would say as a
file. Only what was said since the last pause (15 s at most) is heard over and over, so a chunk costs the same after an
hour as at the start.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asrkit.audio import SAMPLING_RATE
from asrkit.audio.segmentation import Segment, Segmenter
from asrkit.decoding.segment_merger import SegmentMerger
from asrkit.decoding.transcript import Word

if TYPE_CHECKING:
    from asrkit.decoding.protocols import Decoder
    from asrkit.transcription.transcriber import Transcriber

SHARE = 0.25
"""Of real time, at most, that is spent on text which may still change: a slow model says it less often."""
LEAST_S = 0.4
"""At most this often is it said anew."""


@dataclass(frozen=True)
class Heard:
    """final: words that are new and stay. partial: what is said since then, as it sounds so far."""

    final: Sequence[Word]
    partial: Sequence[Word]


class LiveSession:
    """One visitor's microphone. Calls must come one after another."""

    def __init__(self, transcriber: Transcriber, decoder: Decoder | None = None) -> None:
        self._transcriber, self._decoder = transcriber, decoder
        self._segmenter, self._merger = Segmenter(), SegmentMerger()
        self._partial: list[Word] = []
        self._due = 0  # the sample from which on the partial text is to be said anew

    @property
    def duration_s(self) -> float:
        return self._segmenter.position / SAMPLING_RATE

    def push(self, samples: np.ndarray) -> Heard:
        """The next (n,) float32 samples at 16 kHz."""
        final = self._finished(self._segmenter.push(samples))
        if not self._segmenter.has_speech:
            self._partial = []
        elif final or self._segmenter.position >= self._due:
            self._partial = self._so_far()
        return Heard(final, self._partial)

    def finish(self) -> Heard:
        """No more comes: what was said last is final too."""
        self._partial = []
        return Heard(self._finished(self._segmenter.finish()), [])

    def _finished(self, pieces: list[Segment]) -> list[Word]:
        return self._transcriber.words_of(pieces, self._merger, self._decoder) if pieces else []

    def _so_far(self) -> list[Word]:
        begun, piece = time.monotonic(), self._segmenter.pending
        words = self._transcriber.words_of([piece], SegmentMerger(), self._decoder)
        pause_s = max(LEAST_S, (time.monotonic() - begun) / SHARE)
        self._due = self._segmenter.position + round(pause_s * SAMPLING_RATE)
        return self._merger.preview(words)
