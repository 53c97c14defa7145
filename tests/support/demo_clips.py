"""Clips of the demo: synthetic speech, for tests that need more than tones."""

import csv
from pathlib import Path

import numpy as np

from asrkit.audio import load_audio

CALLSIGNS = Path(__file__).parents[2] / "assets" / "demo" / "callsigns"


def load_clips(count: int) -> list[np.ndarray]:
    """Load so many clips, spread over the speakers."""
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        names = [row["file_name"] for row in csv.DictReader(file)]
    return [load_audio(CALLSIGNS / name).samples for name in names[:: len(names) // count][:count]]
