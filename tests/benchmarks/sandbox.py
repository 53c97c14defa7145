"""The cost of reading recordings in a sandbox: the same audit with and without one, in turns.

    python -m tests.benchmarks.sandbox [--clips 400] [--rounds 5]

FLAC clips of 2 to 20 seconds, then ten times as many WAV clips of half a second, for which a call costs most. Prints
the median of the ratios of neighbouring runs.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import soundfile

from asrkit.audio import confined
from asrkit.audit.clips import Limits, audit_clips
from asrkit.data.manifest import Utterance

RATE = 16_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(describe_processor())
    for name, suffix, lengths_s, count in (
        ("FLAC of 2 to 20 s", "flac", (2, 20), options.clips),
        ("WAV of 0.5 s", "wav", (0.5, 0.5), 10 * options.clips),
    ):
        with tempfile.TemporaryDirectory() as folder:
            rows = make_clips(Path(folder), count, suffix, lengths_s)
            for decode in (True, False):
                ratios = compare(rows, decode, options.rounds)
                what = "decoded" if decode else "headers"
                print(
                    f"{len(rows)} clips, {name}, {what}: {statistics.median(ratios):.2f} times as fast in a sandbox "
                    f"({', '.join(f'{ratio:.2f}' for ratio in ratios)})"
                )


def make_clips(folder: Path, count: int, suffix: str, lengths_s: tuple[float, float]) -> list[Utterance]:
    """Write noise that swells and fades, as hard to pack as speech."""
    rng, rows = np.random.default_rng(0), []
    for number in range(count):
        at = np.arange(int(rng.uniform(*lengths_s) * RATE))
        path = folder / f"{number}.{suffix}"
        soundfile.write(path, 0.1 * rng.standard_normal(len(at)) * (1 + np.sin(at / 3000)), RATE, subtype="PCM_16")
        rows.append(Utterance(str(path), f"clip {number}", len(at) / RATE))
    return rows


def compare(rows: Sequence[Utterance], decode: bool, rounds: int) -> list[float]:
    """Return the speed in a sandbox by that in this process, of each round."""
    measure_s(rows, decode, is_confined=True)  # starts the server
    ratios = []
    for number in range(rounds):
        order = (True, False) if number % 2 else (False, True)
        spent_s = {is_confined: measure_s(rows, decode, is_confined=is_confined) for is_confined in order}
        ratios.append(spent_s[False] / spent_s[True])
    return ratios


def measure_s(rows: Sequence[Utterance], decode: bool, *, is_confined: bool) -> float:
    with mock.patch.object(confined, "_is_own", lambda path: not is_confined):
        begun = time.perf_counter()
        audit_clips(rows, Limits(), decode)
        return time.perf_counter() - begun


def describe_processor() -> str:
    """Return the name of the processor, and whether it has AVX-512."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if platform.system() == "Linux" else []
    values = dict(line.split("\t: ", 1) for line in lines if "\t: " in line)
    name = next((value for key, value in values.items() if key.strip() == "model name"), platform.processor())
    flags = next((value for key, value in values.items() if key.strip() == "flags"), "")
    return f"{name}, {'with' if 'avx512f' in flags else 'without'} AVX-512"


if __name__ == "__main__":
    main()
