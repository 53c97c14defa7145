"""Live transcription of a microphone: provisional text during speech, and final words after each pause.

Audio is segmented, decoded and merged exactly as a file's is, so the final words are those of the same audio as a file.
Only what follows the last pause (at most 15 s) is decoded again and again, so a chunk costs the same after an hour as
at the start.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asrkit.audio import SAMPLING_RATE
from asrkit.audio.segmentation import Segment, Segmenter
from asrkit.audio.waveform import Samples
from asrkit.decoding.segment_merger import SegmentMerger
from asrkit.decoding.transcript import Word

if TYPE_CHECKING:  # stream imports without torch
    from asrkit.decoding.protocols import Decoder
    from asrkit.transcription.transcriber import Transcriber

NO_SAMPLES: Samples = np.zeros(0, np.float32)
MAX_PARTIAL_SHARE = 0.25
"""Largest share of real time that is spent on provisional text: a slow model updates it less often."""
MIN_PARTIAL_INTERVAL_S = 0.4
"""Seconds of audio between two updates of the provisional text, at least."""


@dataclass(frozen=True)
class LiveUpdate:
    """final: new words, which never change. partial: the provisional words after all final ones."""

    final: Sequence[Word]
    partial: Sequence[Word]


class LiveSession:
    """Transcribes one microphone. Calls must come one after another."""

    def __init__(self, transcriber: Transcriber, decoder: Decoder | None = None) -> None:
        self._transcriber, self._decoder = transcriber, decoder
        self._segmenter, self._merger = Segmenter(), SegmentMerger()
        self._partial: list[Word] = []
        self._next_partial = 0  # the position in samples from which on the provisional text is updated

    @property
    def duration_s(self) -> float:
        return self._segmenter.position / SAMPLING_RATE

    def push_chunk(self, samples: Samples) -> LiveUpdate:
        """Take the next (n,) float32 samples at 16 kHz."""
        final = self._transcribe_final(self._segmenter.push(samples))
        if not self._segmenter.has_speech:
            self._partial = []
        elif final or self._segmenter.position >= self._next_partial:
            self._partial = self._transcribe_partial()
        return LiveUpdate(final, self._partial)

    def finish(self, samples: Samples = NO_SAMPLES) -> LiveUpdate:
        """Take the last (n,) samples; return the last words as final. They are transcribed once, without a partial."""
        segments = [*self._segmenter.push(samples), *self._segmenter.finish()]
        self._partial = []
        return LiveUpdate(self._transcribe_final(segments), [])

    def _transcribe_final(self, segments: list[Segment]) -> list[Word]:
        return self._transcriber.transcribe_segments(segments, self._merger, self._decoder) if segments else []

    def _transcribe_partial(self) -> list[Word]:
        started, segment = time.monotonic(), self._segmenter.pending
        words = self._transcriber.transcribe_segments([segment], SegmentMerger(), self._decoder)
        interval_s = max(MIN_PARTIAL_INTERVAL_S, (time.monotonic() - started) / MAX_PARTIAL_SHARE)
        self._next_partial = self._segmenter.position + round(interval_s * SAMPLING_RATE)
        return self._merger.preview(words)
