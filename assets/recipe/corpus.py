"""Speak a plan of prompts into a folder of 16 kHz FLAC clips, resumably and on all cores.

    python -m assets.recipe.corpus OUT --engine espeak --clips 3000

A clip's number fixes its text, speaker and tempo, so that a second call goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import soundfile

from assets.recipe import texts, voices

RATE = 16_000
_english: texts.English | None = None


def _one(job: tuple[str, int, Path]) -> dict | None:
    global _english
    engine, number, folder = job
    _english = _english or texts.English()
    rng = np.random.default_rng([sum(map(ord, engine)), number])
    text, voice = _english.draw(rng), voices.draw(engine, rng)
    path = folder / f"{engine}-{number:06d}.flac"
    row = {"path": str(path), "text": text, "voice": str(voice)}
    if not path.exists():
        samples, rate = voices.speak(text, voice, rng)
        samples = at_16k(trim(samples), rate)
        if not 0.1 * RATE < len(samples) < 15 * RATE:
            return None
        partial = path.with_suffix(".part")
        soundfile.write(partial, samples, RATE, format="FLAC", subtype="PCM_16")
        os.replace(partial, path)
    return {**row, "duration_s": soundfile.info(path).duration}


def trim(samples: np.ndarray, floor: float = 0.004) -> np.ndarray:
    """Drop the synthesiser's silence at both ends; scale the peak to 0.7. Float32 in, float32 out."""
    peak = np.abs(samples).max(initial=0.0)
    loud = np.flatnonzero(np.abs(samples) > floor * max(peak, 1e-6))
    return (samples[loud[0] : loud[-1] + 1] / max(peak, 1e-6) * 0.7).astype(np.float32) if peak > 0 else samples[:0]


def at_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    divisor = np.gcd(rate, RATE)
    return samples if rate == RATE else resample_poly(samples, RATE // divisor, rate // divisor).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--clips", type=int, required=True)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    jobs = [(options.engine, number, options.out) for number in range(options.clips)]
    with multiprocessing.Pool(options.processes) as pool, open(options.out / f"{options.engine}.jsonl", "w") as listing:
        for row in pool.imap(_one, jobs, chunksize=8):
            if row:
                listing.write(json.dumps(row) + "\n")
                listing.flush()


if __name__ == "__main__":
    main()
