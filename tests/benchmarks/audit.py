"""Measure the speed of the whole audit against decoding the same files, and the cost of many clips.

    python -m tests.benchmarks.audit [--clips 100000]

First different FLAC clips of 2 to 20 seconds; then the given number of clips, made as in `manifest`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile

from asrkit.audit import inspection
from asrkit.audit.clips import Limits
from asrkit.data import sources
from tests.benchmarks.manifest import memory_mb, write_dataset

FLACS = 400
ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hours = make_flacs(Path(folder))
        source = sources.load(folder)
        bare = min(measure_s(lambda: decode(source)) for _ in range(ROUNDS))
        audited = min(measure_s(lambda: inspection.inspect(source, Limits())) for _ in range(ROUNDS))
    print(
        f"{FLACS} FLAC clips, {hours:.1f} h: audited at {hours / audited:.2f} h of audio a second, "
        f"{bare / audited:.2f} of the speed of decoding alone"
    )
    with tempfile.TemporaryDirectory() as folder:
        hours = write_dataset(Path(folder), options.clips)
        before, begun = memory_mb(), time.perf_counter()
        source = sources.load(folder)
        read = time.perf_counter() - begun
        found = inspection.inspect(source, Limits())
        spent = time.perf_counter() - begun
    print(
        f"{options.clips} WAV clips, {hours:.0f} h: {spent:.0f} s ({read:.1f} s of them for the table and headers), "
        f"{memory_mb() - before:.0f} MB more than before; {found.audit.verdict}"
    )


def make_flacs(folder: Path) -> float:
    """A folder with metadata.csv; -> its hours. Noise that swells and fades, as hard to pack as speech."""
    rng, lines, hours = np.random.default_rng(0), ["file_name,text"], 0.0
    for number in range(FLACS):
        seconds = rng.uniform(2, 20)
        at = np.arange(int(seconds * 16_000))
        samples = 0.1 * rng.standard_normal(len(at)) * (1 + np.sin(at / 3000))
        soundfile.write(folder / f"{number}.flac", samples, 16_000, subtype="PCM_16")
        lines.append(f"{number}.flac,{' '.join('word' for _ in range(int(2 * seconds)))} {number}")
        hours += seconds / 3600
    (folder / "metadata.csv").write_text("\n".join(lines))
    return hours


def decode(source: sources.Source) -> None:
    """On all cores, as the audit does."""
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda row: len(soundfile.read(row.audio)[0]), source.utterances))


def measure_s(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
