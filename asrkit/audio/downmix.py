"""Channels -> mono.

The mean of all channels halves a voice that only one of them carries, and two channels in opposite phase cancel out (a
cable that is soldered wrongly, a "wide" microphone setting). So channels in opposite phase are inverted before they are
added, and the sum is scaled to the level of the loudest channel: for equal channels this is the mean, for one channel
beside silence that channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from asrkit.audio.notes import AudioNote
from asrkit.audio.waveform import SILENCE_DBFS, SILENCE_WINDOW_S, Samples

WINDOW_S = 10.0
"""Signs and level are chosen for so much audio at a time: speakers of an interview take turns."""
FADE_S = 0.02
"""Time in which one choice passes into the next."""
OPPOSITE_CORRELATION = -0.5
"""Below it a channel is in opposite phase to the loudest: the mean of the two has lost 6 dB or more."""
SILENT_CHANNEL_DB = -30.0
"""A channel that is so far below the loudest, throughout the recording, carries no voice."""

_SURROUND_WEIGHTS = {"FL": 0.707, "FR": 0.707, "FC": 1.0, "LFE": 0.0}
_OTHER_SURROUND_WEIGHT = 0.5


def surround_weights(names: Sequence[str]) -> list[float] | None:
    """Return the weights of the channels of a surround layout (ITU-R BS.775), None for other layouts."""
    if len(names) < 3 or "FC" not in names:
        return None
    return [_SURROUND_WEIGHTS.get(name, _OTHER_SURROUND_WEIGHT) for name in names]


class Downmixer:
    """Mix blocks that follow each other to mono; the size of the blocks does not change the result."""

    def __init__(self, rate: int, num_channels: int, weights: Sequence[float] | None = None) -> None:
        """weights: of the channels in the sum; equal by default."""
        self._rate, self._size = rate, round(WINDOW_S * rate)
        self._weights = np.array(weights or [1.0] * num_channels, np.float32)
        self._mono = num_channels == 1
        self._waiting: list[Samples] = []
        self._num_waiting = 0
        self._gains: npt.NDArray[np.float32] | None = None  # of the window before
        self._levels = np.zeros(num_channels)
        self._num_windows = self._num_inverted = 0

    def push(self, block: Samples) -> Samples:
        """Mix the next (n, channels) samples; up to WINDOW_S of them come with a later block or with `finish`."""
        if self._mono:
            return block[:, 0]
        self._waiting.append(block)
        self._num_waiting += len(block)
        if self._num_waiting < self._size:
            return np.zeros(0, np.float32)
        samples = np.concatenate(self._waiting)
        whole = len(samples) // self._size * self._size
        self._waiting, self._num_waiting = [samples[whole:]], len(samples) - whole
        return np.concatenate([self._mix(samples[start : start + self._size]) for start in range(0, whole, self._size)])

    def finish(self) -> Samples:
        """Return what is left."""
        if self._mono or not self._num_waiting:
            return np.zeros(0, np.float32)
        rest = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting, self._num_waiting = [], 0
        return self._mix(rest)

    def notes(self) -> list[AudioNote]:
        """Return what was done with the channels so far."""
        notes = []
        if self._num_inverted:
            share = self._num_inverted / self._num_windows
            detail = "throughout" if share == 1 else f"{share:.0%} of the time"
            notes.append(AudioNote("opposite-phase", detail))
        loudest = float(self._levels.max())
        is_silent = self._levels < loudest * 10 ** (SILENT_CHANNEL_DB / 20)
        if loudest >= 10 ** (SILENCE_DBFS / 20) and is_silent.sum() == len(is_silent) - 1 > 0:
            silent = [str(index + 1) for index in np.flatnonzero(is_silent)]
            channels = "channel" if len(silent) == 1 else "channels"
            notes.append(AudioNote("silent-channel", f"{channels} {', '.join(silent)} of {len(is_silent)}"))
        return notes

    def _mix(self, samples: Samples) -> Samples:
        gains = self._choose_gains(samples)
        before, self._gains = gains if self._gains is None else self._gains, gains
        mono: Samples = samples @ gains
        if not np.array_equal(before, gains):
            length = min(len(mono), round(FADE_S * self._rate))
            fade = np.linspace(1, 0, length, endpoint=False, dtype=np.float32)
            mono[:length] += (samples[:length] @ (before - gains)) * fade
        return mono

    def _choose_gains(self, samples: Samples) -> npt.NDArray[np.float32]:
        """(n, channels) -> (channels,)."""
        mean = self._weights / self._weights.sum()
        if len(samples) < SILENCE_WINDOW_S * self._rate or not np.isfinite(samples).all():
            return mean if self._gains is None else self._gains
        centered = samples - samples.mean(axis=0, dtype=np.float64).astype(np.float32)
        levels = _loudest(centered, self._rate)
        self._levels = np.maximum(self._levels, levels)
        self._num_windows += 1
        if not levels.max():
            return mean if self._gains is None else self._gains
        products = centered.T @ centered[:, levels.argmax()]
        power = np.einsum("ij,ij->j", centered, centered)
        is_opposite = products < OPPOSITE_CORRELATION * np.sqrt(power * power[levels.argmax()])
        self._num_inverted += bool((is_opposite & (levels >= levels.max() * 10 ** (SILENT_CHANNEL_DB / 20))).any())
        signed = self._weights * np.where(is_opposite, -1, 1)
        if signed @ (mean if self._gains is None else self._gains) < 0:  # keep the polarity of the window before
            signed = -signed
        level = float(_loudest(centered @ signed[:, None], self._rate)[0])
        scale = min(1 / self._weights.max(), float(levels.max()) / level) if level else 1 / self._weights.sum()
        return (signed * scale).astype(np.float32)


def _loudest(samples: Samples, rate: int) -> npt.NDArray[np.floating]:
    """(n, channels) with n >= 0.1 s -> (channels,) the RMS of the loudest 0.1 s of each."""
    window = round(SILENCE_WINDOW_S * rate)
    frames = samples[: len(samples) // window * window].reshape(-1, window, samples.shape[1])
    return np.sqrt(np.einsum("ijk,ijk->ik", frames, frames).max(axis=0) / window)


def mix_all(samples: Samples, rate: int) -> tuple[Samples, Iterable[AudioNote]]:
    """Mix (n, channels) samples to (n,); return them and what was done."""
    mixer = Downmixer(rate, samples.shape[1])
    parts = [mixer.push(samples), mixer.finish()]
    return parts[0] if not len(parts[1]) else np.concatenate(parts), mixer.notes()
