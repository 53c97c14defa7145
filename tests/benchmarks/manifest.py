"""Measure time and memory from a CSV of 100,000 clips to frozen manifests.

    python -m tests.benchmarks.manifest [--clips 100000]

The clips are hard links to a thousand WAV files of 2 to 20 seconds, so there are as many directory entries, headers and
rows as in a real dataset.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from asrkit import config as configs
from asrkit.runs import preparation
from asrkit.runs.store import RunStore

NUM_FILES, RATE = 1000, 16_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hours = write_dataset(Path(folder), options.clips)
        memory_before_mb, start = memory_mb(), time.perf_counter()
        config = configs.TrainConfig(preset="", train=str(Path(folder) / "metadata.csv"))
        prepared = preparation.prepare_data(config, RunStore(Path(folder) / "runs"))
        run = RunStore(Path(folder) / "runs").create(config, fill=prepared.write)
        duration_s = time.perf_counter() - start
        size_mb = run.manifest_path("train").stat().st_size / 2**20
    print(
        f"{options.clips} clips, {hours:.0f} h: {duration_s:.1f} s, {memory_mb() - memory_before_mb:.0f} MB more memory"
        f" (a manifest of {size_mb:.0f} MB)"
    )


def write_dataset(folder: Path, num_clips: int) -> float:
    """Write an audiofolder and return its duration in hours."""
    rng, hours = np.random.default_rng(0), 0.0
    lengths = rng.uniform(2, 20, NUM_FILES)
    for number, length in enumerate(lengths):
        samples = (rng.standard_normal(int(length * RATE)) * 3000).astype("int16")
        soundfile.write(folder / f"source-{number}.wav", samples, RATE, subtype="PCM_16")
    with open(folder / "metadata.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "text", "speaker"])
        for number in range(num_clips):
            (folder / f"{number // 1000:03d}").mkdir(exist_ok=True)
            name = f"{number // 1000:03d}/{number:06d}.wav"
            os.link(folder / f"source-{number % NUM_FILES}.wav", folder / name)
            hours += lengths[number % NUM_FILES] / 3600
            table.writerow([name, f"one two three {'four ' * (number % 5)}", f"speaker-{number % 300}"])
    return hours


def memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
