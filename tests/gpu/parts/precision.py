"""Right: fp16 with loss scaling learns on this card, and what is not finite is reported."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from asrkit.config import TrainConfig
from asrkit.runs import events, preparation
from asrkit.runs.store import RunStore
from asrkit.training.arguments import resolve_precision
from asrkit.training.model import load
from asrkit.training.trainer import CtcTrainer
from tests.gpu.pack import Pack
from tests.support import tiny
from tests.support.half_precision import simulate_fp16

MIN_LEARNED = 0.8
"""The loss after training is below this share of the first one."""


def run(pack: Pack) -> None:
    data = tiny.write_dataset(pack.folder / "tones", train=pack.pick(200, 24), held_out=8)
    base = tiny.write_checkpoint(pack.folder / "base", **pack.pick({"hidden_size": 128}, {}))
    automatic = resolve_precision("auto")
    pack.check("precision that a run chooses on this machine", automatic in ("bf16", "fp16", "no"), automatic)
    for precision in ("no", "bf16", "fp16"):
        trainer = make_trainer(pack, data, base, precision, pack.pick(300, 40))
        trainer.train()
        reports = [event.data for event in trainer.run.events()[0] if event.kind == events.TRAIN]
        losses = [report["loss"] for report in reports]
        first, last = average(losses[:5]), average(losses[-5:])
        pack.measure(
            f"{precision}: loss at the end, share of the first", last / first, at_most=MIN_LEARNED, is_exact=True
        )
        if precision == "fp16":
            scales = [report["loss_scale"] for report in reports]
            pack.check("fp16: the loss is scaled", scales[-1] >= 1, f"from {scales[0]:g} to {scales[-1]:g}")
            weights = trainer.accelerator.unwrap_model(trainer.model).parameters()
            pack.check("fp16: all weights are finite", all(bool(torch.isfinite(one).all()) for one in weights))
    report_overflow(pack, data, base)


def average(losses: list[float | None]) -> float:
    """Return the mean of the finite losses."""
    known = [loss for loss in losses if loss is not None]
    return sum(known) / len(known) if known else math.nan


def report_overflow(pack: Pack, data: Path, base: Path) -> None:
    """Train in fp16 with weights that overflow: finite in float32, infinite beyond 65,504."""
    trainer = make_trainer(pack, data, base, "fp16", 30)
    with torch.no_grad():
        trainer.model.wav2vec2.feature_projection.projection.weight.mul_(1e7)
    before = [parameter.detach().clone() for parameter in trainer.model.parameters()]
    trainer.train()
    codes = [event.data["code"] for event in trainer.run.events()[0] if event.kind == events.FINDING]
    for code in ("non-finite", "fp16-overflow"):
        pack.check(f"fp16: {code} is reported", code in codes, ", ".join(codes))
    after = trainer.accelerator.unwrap_model(trainer.model).parameters()
    same = all(torch.equal(old.cpu(), new.detach().cpu()) for old, new in zip(before, after, strict=True))
    pack.check("fp16: an update that is not finite leaves the weights alone", same)


def make_trainer(pack: Pack, data: Path, base: Path, precision: str, max_steps: int) -> Any:
    config = TrainConfig(
        preset="",
        model=str(base),
        train=str(data),
        mixed_precision="no" if precision == "fp16" and not pack.has_gpu else precision,
        max_steps=max_steps,
        num_epochs=1000,
        train_batch_size=8,
        learning_rate=3e-3,
        logging_steps=1,
        eval_on_start=False,
        eval_steps=10**6,
        save_steps=10**6,
        vocabulary="keep",
    )
    store = RunStore(pack.folder / "runs")
    prepared = preparation.prepare_data(config, store)
    processor, model = load(str(base), config, [row.text for row in prepared.train])
    trainer = CtcTrainer(store.create(config), config, model, processor, prepared.train, prepared.eval[:2])
    if precision == "fp16" and not pack.has_gpu:
        simulate_fp16(trainer)
    return trainer
