"""Mono float32 samples at 16 kHz, and what can be measured without a model."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile

from asrkit.errors import AudioError

SAMPLING_RATE = 16_000
"""Samples a second of every `Waveform`: what all supported acoustic models expect."""
MIN_SAMPLING_RATE = 1_000
SILENCE_DBFS = -60.0
SILENCE_WINDOW_S = 0.1
MIN_SPEECH_S = 0.2

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Waveform:
    """samples: (n,) float32, mono, 16 kHz, full scale at ±1."""

    samples: Samples

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLING_RATE


def encode_wav(samples: npt.NDArray[np.floating], rate: int = SAMPLING_RATE) -> bytes:
    """Encode (n,) floating-point samples as a 16-bit WAV file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def check_speech(wave: Waveform, min_duration_s: float = MIN_SPEECH_S) -> None:
    """Raise AudioError for a recording that is too short to hold a word, or silent.

    Silent means that no 0.1 s of it reaches -60 dBFS (RMS, offset removed), which is what a muted microphone delivers.
    """
    if wave.duration_s < min_duration_s:
        raise AudioError(
            f"The recording is {wave.duration_s:.2f} s long; "
            f"speak for at least {min_duration_s:g} s between start and stop."
        )
    if loudest_rms(wave.samples) < 10 ** (SILENCE_DBFS / 20):
        raise AudioError(
            "The recording is silent; check that the right microphone is selected, that it is not muted, and that the "
            "browser may use it."
        )


def loudest_rms(samples: Samples, rate: int = SAMPLING_RATE) -> float:
    """Return the RMS of the loudest 0.1 s of (n,) samples, offset removed."""
    window = round(SILENCE_WINDOW_S * rate)
    samples = samples - samples.mean(dtype=np.float64).astype(samples.dtype)
    whole = len(samples) // window * window
    frames, rest = samples[:whole].reshape(-1, window), samples[whole:]
    power = max(np.einsum("ij,ij->i", frames, frames).max(initial=0.0), float(rest @ rest))
    return float(np.sqrt(power / window))
