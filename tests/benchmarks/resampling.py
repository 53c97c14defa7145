"""Compare the resampler with torchaudio's and FFmpeg's: speed, flatness of the speech band, rejection of aliases.

    python -m tests.benchmarks.resampling [--seconds 60]

On one thread. Each line gives times real time, the gain at 7 kHz and how far a tone at 9 kHz, which 16 kHz cannot hold
and which would be heard at 7 kHz, is attenuated.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from torchaudio.functional import resample as resample_torchaudio

from asrkit.audio import SAMPLING_RATE, StreamResampler, resample

ROUNDS = 3
BLOCK_S = 0.1
RATES = (8_000, 22_050, 44_100, 48_000)

Resample = Callable[[np.ndarray, int], np.ndarray]


def in_blocks(samples: np.ndarray, rate: int) -> np.ndarray:
    """As the live microphone does it."""
    stream, size = StreamResampler(rate), round(BLOCK_S * rate)
    blocks = [stream.push(samples[start : start + size]) for start in range(0, len(samples), size)]
    return np.concatenate([*blocks, stream.finish()])


def with_torchaudio(samples: np.ndarray, rate: int) -> np.ndarray:
    return resample_torchaudio(torch.from_numpy(samples), rate, SAMPLING_RATE).numpy()


def with_ffmpeg(samples: np.ndarray, rate: int) -> np.ndarray:
    converter = av.AudioResampler(format="flt", layout="mono", rate=SAMPLING_RATE)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="flt", layout="mono")
    frame.sample_rate = rate
    return np.concatenate([block.to_ndarray()[0] for part in (frame, None) for block in converter.resample(part)])


CANDIDATES: dict[str, Resample] = {
    "ours": resample,
    "ours, blocks of 0.1 s": in_blocks,
    "torchaudio": with_torchaudio,
    "FFmpeg": with_ffmpeg,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(describe_processor())
    for rate in RATES:
        samples = (0.1 * np.random.default_rng(0).standard_normal(round(options.seconds * rate))).astype(np.float32)
        seconds = {name: measure_s(run, samples, rate) for name, run in CANDIDATES.items()}
        for name, run in CANDIDATES.items():
            line = (
                f"{rate} Hz, {name}: {options.seconds / seconds[name]:,.0f} x real time, "
                f"{seconds['torchaudio'] / seconds[name]:.1f} x torchaudio"
            )
            if rate > 2 * 9_000:
                line += f"; 7 kHz {gain_db(run, 7_000, rate):+.2f} dB, 9 kHz {gain_db(run, 9_000, rate):.0f} dB"
            print(line, flush=True)


def measure_s(run: Resample, samples: np.ndarray, rate: int) -> float:
    """Return the fastest of some rounds, after one that is not counted."""
    run(samples, rate)
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        run(samples, rate)
        times.append(time.perf_counter() - begin)
    return min(times)


def gain_db(run: Resample, hertz: float, rate: int) -> float:
    tone = np.sin(2 * np.pi * hertz * np.arange(rate) / rate).astype(np.float32)
    middle = run(tone, rate)[2_000:-2_000]
    return float(20 * np.log10(np.sqrt(2 * (middle.astype(np.float64) ** 2).mean()) + 1e-10))


def describe_processor() -> str:
    """The processor and which of the instruction sets that matter here it has."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    fields = dict(line.split("\t: ", 1) if "\t: " in line else (line, "") for line in lines)
    fields = {name.strip(): value for name, value in fields.items()}
    sets = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in fields.get("flags", "").split()]
    return f"{fields.get('model name', 'unknown processor')}, {', '.join(sets) or 'without AVX2'}"


if __name__ == "__main__":
    main()
