"""Mono float32 samples at 16 kHz, and what can be measured without a model."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile

from asrkit.errors import AudioError

SAMPLING_RATE = 16_000
"""Samples a second of every `Waveform`: what all supported acoustic models expect."""
MIN_SAMPLING_RATE, MAX_SAMPLING_RATE = 1_000, 384_000
MAX_CHANNELS = 64
MAX_VALUES_PER_S = 64 * 48_000
"""Sampling rate times channels."""
MAX_SAMPLES = 3600 * 48_000
"""Mono samples that are held at once: an hour at 48 kHz, three at 16 kHz. `blocks` has no such limit."""
WAV_HEADER_BYTES = 44
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


def check_format(rate: int, num_channels: int, name: str) -> None:
    """Raise AudioError for a sampling rate or channels that speech never has: a header of a few bytes may claim any."""
    if rate < MIN_SAMPLING_RATE:
        raise AudioError(f"{name} has a sampling rate of {rate} Hz; speech needs at least {MIN_SAMPLING_RATE} Hz.")
    if rate > MAX_SAMPLING_RATE:
        raise AudioError(
            f"{name} has a sampling rate of {rate} Hz; convert it to one of {MAX_SAMPLING_RATE} Hz or less."
        )
    if num_channels > MAX_CHANNELS or rate * num_channels > MAX_VALUES_PER_S:
        raise AudioError(f"{name} has {num_channels} channels of {rate} Hz, which are too many; export one or two.")


def encode_wav(samples: npt.NDArray[np.floating], rate: int = SAMPLING_RATE) -> bytes:
    """Encode (n,) floating-point samples as a 16-bit WAV file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def make_wav_header(num_samples: int) -> bytes:
    """Return the header, of WAV_HEADER_BYTES, of a WAV file at 16 kHz: mono, 16 bit."""
    size = 2 * num_samples
    audio = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, SAMPLING_RATE, 2 * SAMPLING_RATE, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + audio + struct.pack("<4sI", b"data", size)


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
