"""The cost of reading recordings in a sandbox: the same audit with and without one, in turns.

    python -m tests.benchmarks.sandbox [--clips 400] [--rounds 5]

FLAC clips of 2 to 20 seconds, then ten times as many WAV clips of half a second, for which a call costs most. Prints
the median of the ratios of neighbouring runs: on the clock, which is right on an idle machine alone, and by the time of
the processors, with that of the confined processes.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import psutil
import soundfile

from asrkit.audio import confined
from asrkit.audit.clips import Limits, audit_clips
from asrkit.data.manifest import Utterance
from asrkit.sandbox import Sandbox

RATE = 16_000

Work = Callable[[Sequence[Utterance]], None]


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
            for work in (decode, read_headers, load):
                clock, processor = (statistics.median(ratios) for ratios in compare(rows, work, options.rounds))
                print(
                    f"{len(rows)} clips, {name}, {work.__name__}: a sandbox has {clock:.2f} of the speed on the clock, "
                    f"{processor:.2f} by the time of processors"
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


def compare(rows: Sequence[Utterance], work: Work, rounds: int) -> tuple[list[float], list[float]]:
    """Return the times without a sandbox by those in one, of each round: on the clock, and of the processors."""
    measure_s(rows, work, is_confined=True)  # starts the server
    clock, processor = [], []
    for number in range(rounds):
        order = (True, False) if number % 2 else (False, True)
        spent_s = {is_confined: measure_s(rows, work, is_confined=is_confined) for is_confined in order}
        clock.append(spent_s[False][0] / spent_s[True][0])
        processor.append(spent_s[False][1] / spent_s[True][1])
    return clock, processor


def measure_s(rows: Sequence[Utterance], work: Work, *, is_confined: bool) -> tuple[float, float]:
    """Return the seconds on the clock, and of all processors with those of the confined processes."""
    confined_s, close = [0.0], Sandbox.close

    def count_and_close(sandbox: Sandbox) -> None:
        confined_s[0] += sum(sum(psutil.Process(process._pid).cpu_times()[:2]) for process in sandbox._idle)
        close(sandbox)

    with (
        mock.patch.object(confined, "_is_own", lambda path: not is_confined),
        mock.patch.object(Sandbox, "close", count_and_close),
    ):
        begun, begun_processor = time.perf_counter(), time.process_time()
        work(rows)
        return time.perf_counter() - begun, time.process_time() - begun_processor + confined_s[0]


def decode(rows: Sequence[Utterance]) -> None:
    audit_clips(rows, Limits(), decode=True)


def read_headers(rows: Sequence[Utterance]) -> None:
    audit_clips(rows, Limits())


def load(rows: Sequence[Utterance]) -> None:
    """As the loader of a run does, in one thread, with the samples sent to it."""
    with confined.AudioReader(row.audio for row in rows) as reader:
        for row in rows:
            reader.load(row.audio)


def describe_processor() -> str:
    """Return the name of the processor, and whether it has AVX-512."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if platform.system() == "Linux" else []
    values = dict(line.split("\t: ", 1) for line in lines if "\t: " in line)
    name = next((value for key, value in values.items() if key.strip() == "model name"), platform.processor())
    flags = next((value for key, value in values.items() if key.strip() == "flags"), "")
    return f"{name}, {'with' if 'avx512f' in flags else 'without'} AVX-512"


if __name__ == "__main__":
    main()
