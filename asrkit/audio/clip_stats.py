"""Statistics of a clip without a model: level, clipping, noise, and a fingerprint that finds copies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asrkit.audio.files import decode_audio
from asrkit.audio.notes import OnNote, ignore_note
from asrkit.audio.waveform import SILENCE_DBFS, loudest_rms

FULL_SCALE = 0.985
"""Level from which three samples in a row count as clipped: the peaks of an unclipped voice are shorter."""

_FRAME_S = 0.025
_QUIET, _LOUD = 10, 95  # percentiles of the frames' levels that stand for the background and the voice
_FLOOR = 1e-5  # -100 dBFS: digital silence is no lower than that
_MIN_FRAMES = 20


@dataclass(frozen=True, slots=True)
class ClipStats:
    """Level, clipping, noise and fingerprint of a clip.

    loudest_dbfs: RMS of the loudest 0.1 s. clipped_fraction: share of clipped samples. snr_db: level of the voice above
    the background, None for less than half a second. digest: equal for equal audio, whatever the file.
    """

    duration_s: float
    sampling_rate: int
    loudest_dbfs: float
    clipped_fraction: float
    snr_db: float | None
    digest: bytes

    @property
    def is_silent(self) -> bool:
        return self.loudest_dbfs < SILENCE_DBFS


def measure_clip(
    path: str | Path, *, start_s: float = 0.0, end_s: float | None = None, on_note: OnNote = ignore_note
) -> ClipStats:
    """Decode a clip, or a part of it, at its own rate, and measure it. Raises AudioError as `load_audio` does."""
    rate, samples = decode_audio(path, start_s=start_s, end_s=end_s, on_note=on_note)
    return measure_samples(samples, rate)


def measure_samples(samples: np.ndarray, rate: int) -> ClipStats:
    """Measure (n,) float32 samples, n >= 1."""
    coarse = np.clip(np.round(samples * 32767), -32768, 32767).astype(np.int16)
    digest = hashlib.blake2b(coarse.tobytes(), digest_size=12, key=str(rate).encode()).digest()
    loudest = 20 * np.log10(max(loudest_rms(samples, rate), _FLOOR))
    return ClipStats(len(samples) / rate, rate, float(loudest), _clipped(samples), _snr_db(samples, rate), digest)


def _clipped(samples: np.ndarray) -> float:
    if len(samples) < 3 or max(samples.max(), -samples.min()) < FULL_SCALE:
        return 0.0
    high, low = samples >= FULL_SCALE, samples <= -FULL_SCALE
    runs = (high[:-2] & high[1:-1] & high[2:]).sum() + (low[:-2] & low[1:-1] & low[2:]).sum()
    return float(runs) / len(samples)


def _snr_db(samples: np.ndarray, rate: int) -> float | None:
    frame = round(_FRAME_S * rate)
    count = len(samples) // frame
    if count < _MIN_FRAMES:
        return None
    frames = samples[: count * frame].reshape(count, frame)
    levels = np.sqrt(np.maximum(np.einsum("ij,ij->i", frames, frames) / frame, _FLOOR**2))
    quiet, loud = np.percentile(levels, (_QUIET, _LOUD))
    return float(20 * np.log10(loud / quiet))
