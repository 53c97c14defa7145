"""Waveform augmentation: speaker (warp), room, channel and background noise.

All randomness comes from the generator that is passed in, so a step repeated after a resume gets the same waveform.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

RATE = 16_000
TELEPHONE_HZ = (300.0, 3400.0)


@dataclass(frozen=True)
class Augmentation:
    """Probabilities and ranges; `STRENGTHS` has the named sets.

    warp: factor by which pitch, formants and tempo move together (a vocal tract longer or shorter).
    snr_db: signal-to-noise ratio of the added coloured noise.
    cut_s: longest cut at each end, as of a recorder that starts late; edge_s: longest silence added at each end.
    reverberation_s: time for the synthetic room's response to fall by 60 dB.
    """

    warp: tuple[float, float] = (1.0, 1.0)
    warp_probability: float = 0.0
    room_probability: float = 0.0
    reverberation_s: tuple[float, float] = (0.1, 0.6)
    band_probability: float = 0.0
    tilt_probability: float = 0.0
    noise_probability: float = 0.0
    snr_db: tuple[float, float] = (8.0, 35.0)
    clip_probability: float = 0.0
    cut_s: float = 0.0
    edge_s: float = 0.0

    def __call__(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(samples,) float32 at 16 kHz -> the augmented utterance; warp and edges change its length."""
        if rng.random() < self.warp_probability:
            samples = warp(samples, float(np.exp(rng.uniform(*np.log(self.warp)))))
        if self.cut_s and rng.random() < 0.5:
            before, after = (int(rng.uniform(0, self.cut_s) * RATE) for _ in range(2))
            samples = samples[before : max(before + 1, len(samples) - after)]
        if self.edge_s:
            before, after = (int(rng.uniform(0, self.edge_s) * RATE) for _ in range(2))
            samples = np.pad(samples, (before, after))
        if rng.random() < self.room_probability:
            samples = reverberate(samples, rng.uniform(*self.reverberation_s), rng)
        if rng.random() < self.noise_probability:
            samples = add_noise(samples, rng.uniform(*self.snr_db), rng)
        samples = self._channel(samples, rng)
        if rng.random() < self.clip_probability:
            ceiling = np.abs(samples).max(initial=1e-6) * rng.uniform(0.3, 0.9)
            samples = np.clip(samples, -ceiling, ceiling)
        return samples.astype(np.float32)

    def _channel(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Telephone band with companding, another band limit, and a spectral tilt."""
        band, tilt = rng.random() < self.band_probability, rng.random() < self.tilt_probability
        if not (band or tilt):
            return samples
        size = next_fast_length(len(samples))
        spectrum, hertz = np.fft.rfft(samples, size), np.fft.rfftfreq(size, 1 / RATE)
        if tilt:
            slope_db = rng.uniform(-6, 6)  # per octave around 1 kHz, flat outside 100 Hz to 6 kHz
            octaves = np.log2(np.clip(hertz, 100, 6000) / 1000)
            spectrum *= 10 ** (slope_db * octaves / 20)
        telephone = band and rng.random() < 0.6
        if band:
            low, high = TELEPHONE_HZ if telephone else (rng.uniform(50, 400), rng.uniform(2800, 7500))
            # Fourth-order slopes: a brick wall would ring.
            spectrum *= 1 / np.sqrt(1 + (hertz / (high * rng.uniform(0.95, 1.15))) ** 16)
            spectrum *= 1 / np.sqrt(1 + (low * rng.uniform(0.5, 1.1) / np.maximum(hertz, 1)) ** 8)
        samples = np.fft.irfft(spectrum, size)[: len(samples)]
        return mu_law(samples) if telephone and rng.random() < 0.5 else samples


STRENGTHS = {
    "none": Augmentation(),
    "light": Augmentation(
        warp=(0.92, 1.08),
        warp_probability=0.5,
        noise_probability=0.3,
        snr_db=(15, 40),
        tilt_probability=0.3,
    ),
    "strong": Augmentation(
        warp=(0.78, 1.25),
        warp_probability=0.8,
        room_probability=0.4,
        band_probability=0.5,
        tilt_probability=0.5,
        noise_probability=0.7,
        snr_db=(5, 35),
        clip_probability=0.05,
        cut_s=0.03,
        edge_s=0.3,
    ),
}


NUM_WARP_LENGTHS = 24
"""Number of lengths that a warp chooses from; the longest is about a tenth longer than the clip."""


@functools.cache
def _fast_lengths() -> np.ndarray:
    """Return all lengths up to two minutes whose prime factors are 2, 3, 5 and 7, ascending.

    Their Fourier transforms are fast. From half a second on, neighbours are at most 2 % apart.
    """
    limit = 120 * RATE
    lengths = [1]
    for prime in (2, 3, 5, 7):
        for length in lengths:  # the list grows during the loop, which reaches every power
            if length * prime <= limit:
                lengths.append(length * prime)
    return np.unique(lengths)


def next_fast_length(length: int) -> int:
    """Return the smallest length >= `length` with a fast Fourier transform; `length` itself beyond two minutes."""
    lengths = _fast_lengths()
    return int(lengths[np.searchsorted(lengths, length)]) if length <= lengths[-1] else length


def warp(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play `samples` `factor` times faster: band-limited resampling by the discrete Fourier transform.

    The transform uses two lengths that it is fast at and whose ratio is nearly `factor`.
    """
    lengths, target = _fast_lengths(), max(1, round(len(samples) / factor))
    sizes = lengths[np.searchsorted(lengths, len(samples)) :][:NUM_WARP_LENGTHS]
    if len(sizes) < NUM_WARP_LENGTHS:  # beyond two minutes
        size, length = len(samples), target
    else:
        nearest = lengths[np.minimum(np.searchsorted(lengths, sizes / factor), len(lengths) - 1)]
        best = np.argmin(np.abs(nearest * factor / sizes - 1))
        size, length = int(sizes[best]), int(nearest[best])
    spectrum = np.fft.rfft(samples, size)
    resampled = np.zeros(length // 2 + 1, spectrum.dtype)
    shared = min(len(spectrum), len(resampled))
    resampled[:shared] = spectrum[:shared]
    warped = np.fft.irfft(resampled, length)[:target] * (length / size)
    return np.pad(warped, (0, target - len(warped)))


def reverberate(samples: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Convolve with a decaying noise tail (Polack's model) after the direct sound; length and energy stay the same."""
    tail = int(seconds * RATE)
    response = rng.standard_normal(tail, np.float32) * 10 ** (-3 * np.arange(tail) / tail)
    response *= rng.uniform(0.15, 0.7) / np.sqrt((response**2).sum() + 1e-9)
    response[: int(0.002 * RATE)] = 0
    response[0] = 1
    size = next_fast_length(len(samples) + tail)
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]
    return wet * np.sqrt((samples**2).sum() / ((wet**2).sum() + 1e-9))


def add_noise(samples: np.ndarray, snr_db: float, rng: np.random.Generator) -> np.ndarray:
    """Add noise whose power falls as 1/f**k, k from 0 (white) to 2 (brown), at `snr_db`."""
    size = next_fast_length(len(samples))
    spectrum = np.fft.rfft(rng.standard_normal(size, np.float32))
    spectrum[1:] *= np.arange(1, len(spectrum), dtype=np.float32) ** (-rng.uniform(0, 2) / 2)
    spectrum[0] = 0
    noise = np.fft.irfft(spectrum, size)[: len(samples)]
    noise_power = (samples**2).mean() / 10 ** (snr_db / 10)
    return samples + noise * np.sqrt(noise_power / ((noise**2).mean() + 1e-12))


def mu_law(samples: np.ndarray) -> np.ndarray:
    """Apply 8-bit companding and expansion, as a telephone line does (ITU-T G.711, continuous form, mu = 255)."""
    peak = np.abs(samples).max(initial=1e-6)
    compressed = np.sign(samples) * np.log1p(255 * np.abs(samples) / peak) / np.log(256)
    quantized = np.round(compressed * 127) / 127
    return np.sign(quantized) * np.expm1(np.abs(quantized) * np.log(256)) / 255 * peak
