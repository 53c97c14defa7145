"""Clips with the lengths of known corpora, cut from the demo's speech, with random texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from asrkit.audio import SAMPLING_RATE, load_audio
from asrkit.data import sources
from asrkit.data.manifest import Utterance

MEANS_S = {"ascend": (3.1, 0.75), "common-voice": (5.0, 0.35), "librispeech": (12.3, 0.45)}
"""Mean length and spread (standard deviation of the logarithm) that resemble the corpora's."""
LIMITS_S = {"ascend": (0.4, 15.0), "common-voice": (1.5, 10.5), "librispeech": (1.5, 17.0)}
LETTERS_PER_S = 12.0
SOURCE_S = 300.0


def draw_lengths(corpus: str, total_s: float, seed: int = 0) -> list[float]:
    """Draw lengths that add up to `total_s` or a little more. LibriSpeech's, most of which are long, are mirrored."""
    rng, (mean_s, spread), (low_s, high_s) = np.random.default_rng(seed), MEANS_S[corpus], LIMITS_S[corpus]
    lengths: list[float] = []
    while sum(lengths) < total_s:
        if corpus == "librispeech":
            length = high_s - rng.lognormal(np.log(high_s - mean_s) - spread**2 / 2, spread)
        else:
            length = rng.lognormal(np.log(mean_s) - spread**2 / 2, spread)
        lengths.append(float(np.clip(length, low_s, high_s)))
    return lengths


def write_clips(folder: Path, lengths_s: list[float], seed: int = 0) -> list[Utterance]:
    """Write FLAC files of these lengths; return them as utterances with as many random letters as speech would have."""
    folder.mkdir(parents=True)
    rng, speech = np.random.default_rng(seed), load_speech()
    rows = []
    for number, length_s in enumerate(lengths_s):
        size = round(length_s * SAMPLING_RATE)
        start = int(rng.integers(0, len(speech)))
        samples = np.take(speech, range(start, start + size), mode="wrap")
        path = folder / f"{number:06d}.flac"
        soundfile.write(path, samples, SAMPLING_RATE, subtype="PCM_16")
        rows.append(Utterance(str(path), make_text(length_s, rng), size / SAMPLING_RATE))
    return rows


def load_speech() -> np.ndarray:
    """(samples,) of the demo's clips one after the other, `SOURCE_S` at most."""
    parts: list[np.ndarray] = []
    for row in sources.load("callsigns").train:
        parts.append(load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples)
        if sum(map(len, parts)) > SOURCE_S * SAMPLING_RATE:
            break
    return np.concatenate(parts)


def make_text(length_s: float, rng: np.random.Generator) -> str:
    """Return random words of five letters, about `LETTERS_PER_S` with the spaces; one letter at least."""
    letters = "".join(rng.choice(list("etaoinshrdlcu"), max(1, int(length_s * LETTERS_PER_S * 5 / 6))))
    return " ".join(letters[start : start + 5] for start in range(0, len(letters), 5))
