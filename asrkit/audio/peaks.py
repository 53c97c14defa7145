"""The waveform of a recording of any length for a picture of it: the lowest and the highest sample of each 10 ms."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asrkit.audio.files import check_file, iter_mono
from asrkit.audio.notes import ignore_note
from asrkit.audio.waveform import Samples

BINS_PER_S = 100
MAX_BINS = 2_000_000
"""4 MB: 5.5 hours. The bins of longer recordings are longer."""
_BLOCK_S = 20.0
_FULL_SCALE = 127


def stream_peaks(path: str | Path) -> Iterator[Samples]:
    """Yield (n, 2) float32 arrays of the lowest and highest sample of the bins of a recording, in constant memory.

    Raises AudioError as `load_audio` does. A recording without audio has no bins.
    """
    check_file(path)
    rest, rest_rate, first = np.zeros(0, np.float32), 0, 0  # samples of the bin that is not complete; its number
    for rate, block in iter_mono(str(path), 0.0, None, _BLOCK_S, ignore_note):
        if rate != rest_rate:
            if len(rest):
                yield _reduce(rest, [0])
            rest, rest_rate, first = np.zeros(0, np.float32), rate, 0
        samples = np.concatenate([rest, block])
        begin = round(first * rate / BINS_PER_S)
        num_bins = max(0, int((begin + len(samples)) * BINS_PER_S / rate) - first)
        edges = np.round(np.arange(first, first + num_bins + 1) * rate / BINS_PER_S).astype(np.int64) - begin
        while num_bins and edges[num_bins] > len(samples):
            num_bins -= 1
        if num_bins:
            yield _reduce(samples[: edges[num_bins]], edges[:num_bins])
        rest, first = samples[edges[num_bins] :], first + num_bins
    if len(rest):
        yield _reduce(rest, [0])


def _reduce(samples: Samples, starts: npt.NDArray[np.int64] | list[int]) -> Samples:
    low, high = np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)
    return np.stack([low, high], axis=1).astype(np.float32)


class Peaks:
    """The peaks of a recording, as many as are known yet, in at most MAX_BINS bins.

    bin_s: the length of a bin; it doubles whenever there are too many.
    """

    def __init__(self) -> None:
        self.bin_s = 1 / BINS_PER_S
        self._bins = np.zeros((1 << 12, 2), np.int8)
        self._num_bins = 0
        self._factor = 1
        self._rest = np.zeros((0, 2), np.int8)  # bins of 10 ms that make no bin of this length yet
        self._lock = threading.Lock()

    @property
    def duration_s(self) -> float:
        """Seconds of the recording that are known."""
        return self._num_bins * self.bin_s + len(self._rest) / BINS_PER_S

    def add(self, peaks: Samples) -> None:
        """Append what `stream_peaks` yields."""
        scaled = np.clip(np.round(peaks * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE).astype(np.int8)
        with self._lock:
            self._append(scaled)

    def _append(self, scaled: npt.NDArray[np.int8]) -> None:
        bins = np.concatenate([self._rest, scaled])
        whole = len(bins) // self._factor * self._factor
        self._rest = bins[whole:]
        bins = _merge(bins[:whole], self._factor)
        needed = self._num_bins + len(bins)
        if needed > len(self._bins):
            self._bins = np.concatenate([self._bins[: self._num_bins], np.zeros((needed, 2), np.int8)])
        self._bins[self._num_bins : needed] = bins
        self._num_bins = needed
        if self._num_bins > MAX_BINS:
            self._double()

    def finish(self) -> None:
        """Count what is left over as a bin."""
        with self._lock:
            if not len(self._rest):
                return
            rest, self._rest = _merge(self._rest, len(self._rest)), self._rest[:0]
            self._bins = np.concatenate([self._bins[: self._num_bins], rest])
            self._num_bins += 1

    def read(self, first: int, num_bins: int, factor: int) -> npt.NDArray[np.int8]:
        """Return (n, 2) the lowest and highest values, -127 to 127, of up to `num_bins` bins of `factor` bins each."""
        with self._lock:
            bins = self._bins[: self._num_bins][first * factor : (first + num_bins) * factor]
        whole = len(bins) // factor * factor
        parts = [_merge(bins[:whole], factor), _merge(bins[whole:], len(bins) - whole)]
        return np.concatenate([part for part in parts if len(part)] or [bins])

    def _double(self) -> None:
        self._factor, self.bin_s = 2 * self._factor, 2 * self.bin_s
        whole = self._num_bins // 2 * 2
        odd = self._bins[whole : self._num_bins]
        self._bins = _merge(self._bins[:whole], 2)
        self._num_bins = len(self._bins)
        # A bin without a partner is as long as half of the new ones: it waits for one.
        self._rest = np.concatenate([np.repeat(odd, self._factor // 2, axis=0), self._rest])


def _merge(bins: npt.NDArray[np.int8], factor: int) -> npt.NDArray[np.int8]:
    """Return the peaks of each `factor` bins; the number of bins must be a multiple of it."""
    if factor <= 1 or not len(bins):
        return bins
    grouped = bins.reshape(-1, factor, 2)
    return np.stack([grouped[:, :, 0].min(axis=1), grouped[:, :, 1].max(axis=1)], axis=1)
