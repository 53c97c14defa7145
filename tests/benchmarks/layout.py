"""Speed of training and inference on a CPU with the memory format of `asrkit.models.memory_format`; losses stay equal.

    python -m tests.benchmarks.layout [--seconds 2 8]

Each line is one run: the median of alternating steps of the same model in both formats, on the same batch.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time

import torch
from transformers import AutoModelForCTC

from asrkit.models import memory_format
from asrkit.models.resolution import STARTER_DIR

BATCH_S = 32
"""Seconds of audio in a batch."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 2.5, 5.0, 15.0], help="clip lengths")
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    plain = AutoModelForCTC.from_pretrained(STARTER_DIR, dtype=torch.float32)
    models = {"plain": plain, "channels_last": memory_format.use(copy.deepcopy(plain), "channels-last")}
    for precision in (torch.bfloat16, torch.float32):
        for length in options.seconds:
            train, infer = measure(models, length, precision, options.steps)
            print(
                f"{str(precision).removeprefix('torch.'):8} clips of {length:4.1f} s: training x{train:.2f}, "
                f"inference x{infer:.2f}",
                flush=True,
            )


def measure(
    models: dict[str, torch.nn.Module], length: float, precision: torch.dtype, steps: int
) -> tuple[float, float]:
    """Return the speed-up of (forward and backward, forward alone) in the channels-last format."""
    clips = max(1, int(BATCH_S / length))
    batch = {
        "input_values": torch.randn(clips, int(length * 16_000)),
        "attention_mask": torch.ones(clips, int(length * 16_000), dtype=torch.long),
        "labels": torch.randint(4, 30, (clips, int(length * 10))),
    }
    spent = {name: ([], []) for name in models}
    for _ in range(steps + 1):
        losses = []
        for name, model in models.items():
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
                started = time.perf_counter()
                loss = model(**batch).loss
                loss.backward()
                spent[name][0].append(time.perf_counter() - started)
                with torch.inference_mode():
                    started = time.perf_counter()
                    model(**batch)
                    spent[name][1].append(time.perf_counter() - started)
            model.zero_grad()
            losses.append(loss.item())
        assert abs(losses[0] - losses[1]) < 0.01 * losses[0], losses
    medians = {name: [statistics.median(times[1:]) for times in both] for name, both in spent.items()}
    return tuple(a / b for a, b in zip(medians["plain"], medians["channels_last"], strict=True))


if __name__ == "__main__":
    main()
