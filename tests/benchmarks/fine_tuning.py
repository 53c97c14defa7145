"""Seconds an update and memory of fine-tuning XLS-R 300M's architecture whole, with LoRA and with adapters only.

    python -m tests.benchmarks.fine_tuning [--updates 3] [--clips 2] [--seconds 5] [--first 5] [--small]

Random weights: speed and memory do not depend on them. Each way runs in a process of its own, in the precision that
`mixed_precision=auto` chooses here; the first update is not counted. CPU time is that of all threads: on a machine that
does other work, too, it says more than the time on the clock.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS: dict[str, dict[str, Any]] = {
    "whole (feature encoder frozen)": {},
    "LoRA, rank 16": {"freeze": "lora"},
    "adapters only": {"freeze": "all-but-adapters"},
    "whole, gradient checkpointing": {"gradient_checkpointing": True},
    "LoRA, gradient checkpointing": {"freeze": "lora", "gradient_checkpointing": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a clip")
    parser.add_argument("--small", action="store_true", help="a tiny model, to try the script")
    parser.add_argument("--first", type=int, default=len(WAYS), help="measure this many of the ways")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--base", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options)))
        return
    from tests.gpu import models

    with tempfile.TemporaryDirectory(prefix="asrkit-fine-tuning-") as folder:
        base = models.write_checkpoint(Path(folder, "base"), "xls-r-300m", options.small)
        print(f"{'':32} trained  s/update  CPU s/update  peak GB  estimated GB")
        for way in list(WAYS)[: options.first]:
            command = [sys.executable, "-m", "tests.benchmarks.fine_tuning", *sys.argv[1:], "--way", way]
            done = subprocess.run([*command, "--base", str(base)], stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{way:32} {found['trained'] / 1e6:5.1f} M {found['seconds']:8.1f} {found['cpu_seconds']:12.1f} "
                f"{found['peak_gb']:9.2f} {found['estimated_gb']:9.2f}",
                flush=True,
            )


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Train some updates as a run does; return the mean of an update, and the peak of the process."""
    import numpy as np
    import torch

    from asrkit.config import TrainConfig
    from asrkit.runs import estimate
    from asrkit.runs.store import RunStore
    from asrkit.training.arguments import peak_memory_bytes, resolve_precision
    from asrkit.training.data import Collator
    from asrkit.training.model import load

    config = TrainConfig(preset="", model=options.base, train_batch_size=options.clips, **WAYS[options.way])
    processor, model = load(options.base, config, [])
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    rng = np.random.default_rng(0)
    items: list[Any] = [
        {
            "features": rng.standard_normal(int(16_000 * options.seconds)).astype(np.float32),
            "labels": rng.integers(3, 20, 40).tolist(),
            "duration_s": options.seconds,
            "clip": number,
        }
        for number in range(options.clips)
    ]
    batch: dict[str, Any] = dict(Collator(processor)(items))
    batch.pop("about")
    model.train()
    for update in range(options.updates + 1):
        if update == 1:
            started, cpu_started = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=resolve_precision("auto") == "bf16"):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    expected = estimate.estimate_run(config, [options.seconds] * options.clips, RunStore(Path(options.base)))
    return {
        "trained": sum(parameter.numel() for parameter in trained),
        "seconds": (time.perf_counter() - started) / options.updates,
        "cpu_seconds": (time.process_time() - cpu_started) / options.updates,
        "peak_gb": peak_memory_bytes() / 2**30,
        "estimated_gb": expected.memory_bytes / 2**30 if expected else 0.0,
    }


if __name__ == "__main__":
    main()
