"""`python -m asrkit.training.calibration`: measure how fast this machine trains, before its first run.

The starter takes steps for a second, on noise; what a run does besides is a share that was measured with the demo. The
first run replaces the result (`runs.pace`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from asrkit import startup
from asrkit.audio import SAMPLING_RATE
from asrkit.models import resolution
from asrkit.runs import pace
from asrkit.runs.store import RunStore, default_runs_dir

MEASURED_S = 1.0
BATCH, CLIP_S = 8, 1.1
"""Clips of the demo's usual length; a batch is about the 10 s that the demo takes."""
LABELS = 8
TRAIN_SHARE, EVAL_SHARE = 0.7, 0.45
"""Share of the bare speed that a run reaches: it also reads and augments clips, and decodes with a word list.

The demo on two cores with AVX-512 reaches 94 of 132, and in evaluations 157 of 344 seconds of audio a second."""


def main() -> int:
    """Measure, and keep the result for forecasts. Returns the exit code."""
    since = time.monotonic()
    with startup.fast_imports():
        import torch

        from asrkit.models import weights
        from asrkit.training.arguments import make_autocast

    folder = resolution.resolve(resolution.STARTER, RunStore(default_runs_dir()))
    if folder is None:
        return 1
    model, _ = weights.load_model(folder, weights.load_config(folder))
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    model.freeze_feature_encoder()
    model.to(device).train()
    startup_s = time.monotonic() - since
    audio = torch.randn(BATCH, round(CLIP_S * SAMPLING_RATE), device=device)
    labels = torch.randint(1, model.config.vocab_size - 1, (BATCH, LABELS), device=device)
    optimizer = torch.optim.AdamW(parameter for parameter in model.parameters() if parameter.requires_grad)

    def clock() -> float:
        # On the processor, the time that it spent on this process: others may be at work for a moment.
        return time.monotonic() if device.type != "cpu" else time.process_time() / torch.get_num_threads()

    def step() -> None:
        with make_autocast(device.type, "auto"):
            loss = model(audio, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for a GPU

    def evaluate() -> None:
        with torch.inference_mode(), make_autocast(device.type, "auto"):
            model(audio).logits.argmax(-1).cpu()

    pace.remember(
        pace.Pace(
            startup_s=round(startup_s, 2),
            train_speed=TRAIN_SHARE * _measure(step, clock),
            eval_speed=EVAL_SHARE * _measure(evaluate, clock),
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            freeze="feature-encoder",
            is_calibration=True,
            time=time.time(),
        ),
        device.type,
    )
    return 0


def _measure(work: Callable[[], None], clock: Callable[[], float]) -> float:
    """Return how many seconds of audio a second the repeated work takes, after a first time that allocates."""
    work()
    count, since = 0, clock()
    while clock() - since < MEASURED_S:
        work()
        count += 1
    return count * BATCH * CLIP_S / (clock() - since)


if __name__ == "__main__":
    sys.exit(main())
