"""How much faster a CPU trains and listens in the memory order of `asrkit.models.memory_format`, with the same losses.

    python -m tests.benchmarks.layout [--seconds 2 8]

Each line is one run: the median of alternating steps of the same model in both orders, on the same batch.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time

import torch
from transformers import AutoModelForCTC

from asrkit.models.memory_format import use_channels_last
from asrkit.models.resolution import STARTER_DIR

BATCH_S = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[1.0, 2.5, 5.0, 15.0], help="clip lengths")
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    plain = AutoModelForCTC.from_pretrained(STARTER_DIR, dtype=torch.float32)
    models = {"plain": plain, "straight": use_channels_last(copy.deepcopy(plain))}
    for precision in (torch.bfloat16, torch.float32):
        for length in options.seconds:
            train, listen = measure(models, length, precision, options.steps)
            print(
                f"{str(precision).removeprefix('torch.'):8} clips of {length:4.1f} s: training x{train:.2f}, "
                f"inference x{listen:.2f}",
                flush=True,
            )


def measure(models, length: float, precision: torch.dtype, steps: int) -> tuple[float, float]:
    """Speed of the straightened model over the plain one: (forward and backward, forward alone)."""
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
                begun = time.perf_counter()
                loss = model(**batch).loss
                loss.backward()
                spent[name][0].append(time.perf_counter() - begun)
                with torch.inference_mode():
                    begun = time.perf_counter()
                    model(**batch)
                    spent[name][1].append(time.perf_counter() - begun)
            model.zero_grad()
            losses.append(loss.item())
        assert abs(losses[0] - losses[1]) < 0.01 * losses[0], losses
    medians = {name: [statistics.median(times[1:]) for times in both] for name, both in spent.items()}
    return tuple(a / b for a, b in zip(medians["plain"], medians["straight"], strict=True))


if __name__ == "__main__":
    main()
