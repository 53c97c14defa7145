"""Seeded noise as audio."""

from __future__ import annotations

import numpy as np

from asrkit.audio import Waveform


def make_noise(num_samples: int, seed: int = 0) -> Waveform:
    """Return white noise of 0.1 RMS."""
    return Waveform((0.1 * np.random.default_rng(seed).standard_normal(num_samples)).astype(np.float32))
