"""Measure how close the training loop comes to the limit of the machine.

    python -m tests.benchmarks.training [DATA] [--batch-seconds 32] [--steps 120]

The limit is forward, backward and optimizer step of the same model on the same audio, cut into equal pieces without
padding and kept in memory. Ours is the loop of a run, with decoding, batching by length, caches, events and logging,
for several epochs. Both run in one process, one after the other, twice; the better of each counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from asrkit import config as configs
from asrkit.audio import SAMPLING_RATE, load_audio
from asrkit.models import resolution
from asrkit.runs import events, preparation
from asrkit.runs.prepared_data import PreparedData
from asrkit.runs.store import RunStore
from asrkit.training import model as loading
from asrkit.training.arguments import resolve_precision
from asrkit.training.trainer import CtcTrainer

WARM = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?", default="callsigns")
    parser.add_argument("--model", default=resolution.STARTER)
    parser.add_argument("--batch-seconds", type=float, default=32)
    parser.add_argument("--steps", type=int, default=120)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        config = configs.TrainConfig(
            preset="",
            model=options.model,
            train=options.data,
            batch_seconds=options.batch_seconds,
            vocabulary="extend",
            max_steps=options.steps,
            num_epochs=1000,
            eval_on_start=False,
            eval_steps=10**6,
            save_steps=10**6,
            logging_steps=1,
        )
        data = preparation.prepare_data(config, store)
        rounds = [(ours(store, config, data), limit(store, config, data)) for _ in range(2)]
    reached, possible = (max(figures) for figures in zip(*rounds, strict=True))
    print(f"ours {reached:.1f}, limit {possible:.1f} audio seconds a second: {reached / possible:.2f} of the limit")


def ours(store: RunStore, config: configs.TrainConfig, data: PreparedData) -> float:
    """Unpadded seconds of audio a second, from the first steps on, evaluation and saving not counted."""
    run = store.create(config)
    processor, model = loading.load(
        str(resolution.fetch(config.model, store)), config, [row.text for row in data.train]
    )
    trainer = CtcTrainer(run, config, model, processor, data.train, data.eval[:1])
    trainer.train()
    train_events = [one for one in run.events()[0] if one.kind == events.TRAIN]
    audio_s = sum(
        one.data["audio_seconds_per_second"] * (one.time - before.time)
        for before, one in zip(train_events[WARM:], train_events[WARM + 1 :], strict=False)
    )
    return audio_s / (train_events[-1].time - train_events[WARM].time)


def limit(store: RunStore, config: configs.TrainConfig, data: PreparedData) -> float:
    """The same for bare steps on packed audio."""
    _, model = loading.load(str(resolution.fetch(config.model, store)), config, [row.text for row in data.train])
    samples = np.concatenate(
        [load_audio(row.audio, start_s=row.start_s, end_s=row.end_s).samples for row in data.train]
    )
    length = int(np.median([row.duration_s for row in data.train]) * SAMPLING_RATE)
    num_clips = max(1, int(config.batch_seconds * SAMPLING_RATE / length))
    labels = int(np.median([len(row.text) for row in data.train]))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).train()
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-5, fused=True)
    bf16, begun = resolve_precision("auto") == "bf16", 0.0
    steps = max(WARM + 10, config.max_steps)
    for step in range(steps):
        if step == WARM:
            begun = time.perf_counter()
        start = step * num_clips * length % max(1, len(samples) - num_clips * length)
        values = torch.from_numpy(samples[start : start + num_clips * length].reshape(num_clips, length)).to(device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            loss = model(
                values, labels=torch.randint(3, model.config.vocab_size, (num_clips, labels), device=device)
            ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return (steps - WARM) * num_clips * length / SAMPLING_RATE / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
