"""Human recordings to a folder of 16 kHz FLAC clips with a list, as `corpus` writes them, for `starter` to train on.

    python -m assets.recipe.human HUMAN_SPEECH... SPEECH HELD_OUT

Each HUMAN_SPEECH has `metadata.csv` with file_name, text, speaker and source. Of the source `librispeech`, a fifth of
the readers is written to HELD_OUT/readers.jsonl and never trained on, nor is what other sources have of them. All other
speakers are trained on; the quiet around the speech of other sources is cut.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path

import numpy as np
import soundfile
import soxr

RATE = 16_000
FRAME = RATE // 50
MARGIN = RATE // 4
"""Samples of quiet that are kept around the speech."""
LOUD_SHARE = 0.35
"""Of the way from the level of the quiet to that of the speech; what is above it is speech."""
MIN_S = 0.3
NUM_HELD_OUT = 43
READERS = "librispeech"
"""The source whose readers are held out."""
SYMBOLS = frozenset("abcdefghijklmnopqrstuvwxyz'")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("out", type=Path)
    parser.add_argument("held_out", type=Path)
    options = parser.parse_args()
    for folder in (options.out, options.held_out):
        folder.mkdir(parents=True, exist_ok=True)
    rows = [(source, row) for source in options.sources for row in read_rows(source)]
    readers = sorted({row["speaker"] for _, row in rows if row["source"] == READERS})
    random.Random(0).shuffle(readers)
    held_out = set(readers[:NUM_HELD_OUT])
    lists: dict[Path, list[dict]] = {options.out / "human.jsonl": [], options.held_out / "readers.jsonl": []}
    train, test = lists.values()
    for number, (source, row) in enumerate(rows):
        is_held_out = row["speaker"] in held_out
        if is_held_out and row["source"] != READERS:
            continue
        samples = load(source / row["file_name"])
        if row["source"] != READERS:
            samples = trim(samples)
        if len(samples) < MIN_S * RATE:
            continue
        path = options.out / f"human-{number:05d}.flac"
        soundfile.write(path, samples / max(1e-6, np.abs(samples).max()) * 0.7, RATE, subtype="PCM_16")
        clip = {"path": str(path), "text": clean(row["text"]), "voice": f"human-{row['source']}:{row['speaker']}"}
        clips = test if is_held_out else train
        clips.append({**clip, "duration_s": len(samples) / RATE})
    for path, clips in lists.items():
        path.write_text("".join(json.dumps(clip) + "\n" for clip in clips))


def read_rows(source: Path) -> list[dict[str, str]]:
    with open(source / "metadata.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def load(path: Path) -> np.ndarray:
    """Return the samples of a recording, mono at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(1)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE)


def trim(samples: np.ndarray) -> np.ndarray:
    """Cut the quiet before the first and after the last loud frame, but for a margin."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    level_db = 10 * np.log10((frames**2).mean(1) + 1e-10)
    quiet, loud = np.percentile(level_db, [10, 95])
    heard = np.flatnonzero(level_db > quiet + LOUD_SHARE * (loud - quiet))
    if not len(heard):
        return samples
    return samples[max(0, heard[0] * FRAME - MARGIN) : (heard[-1] + 1) * FRAME + MARGIN]


def clean(text: str) -> str:
    """Return the text in the starter's letters."""
    return " ".join("".join(letter if letter in SYMBOLS else " " for letter in text.lower()).split())


if __name__ == "__main__":
    main()
