"""Resampling to 16 kHz: in one call, and block by block."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from asrkit.audio.waveform import MIN_SAMPLING_RATE, SAMPLING_RATE, Samples
from asrkit.errors import AudioError


class StreamResampler:
    """Mono blocks of any rate -> 16 kHz, without a seam between blocks."""

    def __init__(self, rate: int) -> None:
        if rate < MIN_SAMPLING_RATE:
            raise AudioError(
                f"The recording has a sampling rate of {rate} Hz; speech needs at least {MIN_SAMPLING_RATE} Hz."
            )
        self.rate, self._converter = rate, None
        if rate != SAMPLING_RATE:
            import av

            self._converter = av.AudioResampler(format="flt", layout="mono", rate=SAMPLING_RATE)

    def push(self, block: Samples) -> Samples:
        """(n,) float32 -> about n * 16000 / rate samples; the last few come with the next block or with `finish`."""
        if self._converter is None or not len(block):
            return block
        import av

        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block, np.float32)[None], format="flt", layout="mono")
        frame.sample_rate = self.rate
        return self._joined(self._converter.resample(frame))

    def finish(self) -> Samples:
        return self._joined(self._converter.resample(None)) if self._converter else np.zeros(0, np.float32)

    @staticmethod
    def _joined(frames: list[Any]) -> Samples:
        return np.concatenate([np.zeros(0, np.float32), *(frame.to_ndarray()[0] for frame in frames)])


def resample(samples: Samples, rate: int) -> Samples:
    """(n,) at `rate` -> (ceil(n * 16000 / rate),) float32 at 16 kHz."""
    if rate == SAMPLING_RATE:
        return samples
    if SAMPLING_RATE // math.gcd(rate, SAMPLING_RATE) > 1600:
        # The filter bank has rate * SAMPLING_RATE / gcd² taps: gigabytes for 44,099 Hz. To 10 Hz nobody hears it.
        rate = round(rate, -1)
    import torch
    from torchaudio.functional import resample as torch_resample

    return torch_resample(torch.from_numpy(samples), rate, SAMPLING_RATE).numpy()
