"""Clips of the demo: synthetic speech, for tests that tones are not enough for."""

import csv
from pathlib import Path

import numpy as np

from asrkit.audio import load_audio

CALLSIGNS = Path(__file__).parents[2] / "assets" / "demo" / "callsigns"


def clips(count: int) -> list[np.ndarray]:
    """Spread over the speakers."""
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        names = [row["file_name"] for row in csv.DictReader(file)]
    return [load_audio(CALLSIGNS / name).samples for name in names[:: len(names) // count][:count]]
