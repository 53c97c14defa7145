"""The one resampler of the project: recordings of any sampling rate -> 16 kHz, and from there to a model's rate.

Training, evaluation, files and the live microphone all go through the same filter, so inference gets the same
signal as training. `tests/benchmarks/resampling.py` compares it with torchaudio's and FFmpeg's.
"""

from __future__ import annotations

import math

import numpy as np
import soxr

from asrkit.audio.waveform import SAMPLING_RATE, Samples, check_format

QUALITY = "HQ"


class StreamResampler:
    """Resample mono blocks that follow each other to 16 kHz; the size of the blocks does not change the result."""

    def __init__(self, rate: int) -> None:
        """Raises AudioError for a sampling rate that no recording of speech has."""
        check_format(rate, 1, "The recording")
        self.rate = rate
        self._stream: soxr.ResampleStream | None = None
        if rate != SAMPLING_RATE:
            self._stream = soxr.ResampleStream(rate, SAMPLING_RATE, 1, dtype="float32", quality=QUALITY)
        self._num_read = self._num_written = 0

    def push(self, block: Samples) -> Samples:
        """Resample the next (n,) samples; the last few milliseconds come with the next block or with `finish`."""
        if self._stream is None:
            return block
        resampled = self._stream.resample_chunk(np.ascontiguousarray(block, np.float32))
        self._num_read += len(block)
        self._num_written += len(resampled)
        return resampled

    def finish(self) -> Samples:
        """Return what is left: ceil(n * 16000 / rate) samples in all for the n that were pushed."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        num_left = math.ceil(self._num_read * SAMPLING_RATE / self.rate) - self._num_written
        # soxr rounds the length; silence behind the end makes it complete a last sample that was begun.
        silence = np.zeros(math.ceil(self.rate / SAMPLING_RATE), np.float32)
        resampled: Samples = self._stream.resample_chunk(silence, last=True)
        return resampled[:num_left]


def resample(samples: Samples, rate: int) -> Samples:
    """Resample (n,) samples to 16 kHz: (ceil(n * 16000 / rate),) float32."""
    if rate == SAMPLING_RATE:
        return samples
    stream = StreamResampler(rate)
    return np.concatenate([stream.push(samples), stream.finish()])


def resample_from_16_khz(samples: Samples, rate: int) -> Samples:
    """Resample (n,) samples at 16 kHz to a model's rate: (ceil(n * rate / 16000),) float32."""
    if rate == SAMPLING_RATE:
        return samples
    length = math.ceil(len(samples) * rate / SAMPLING_RATE)
    resampled = soxr.resample(np.ascontiguousarray(samples, np.float32), SAMPLING_RATE, rate, quality=QUALITY)[:length]
    return np.pad(resampled, (0, length - len(resampled))).astype(np.float32, copy=False)
