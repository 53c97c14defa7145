"""Right: what does not fit into the GPU's memory is divided. Without a GPU, the model refuses large batches."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from asrkit.config import TrainConfig
from asrkit.data.manifest import Utterance
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.training.evaluation import Evaluation
from asrkit.training.model import load
from asrkit.training.resume import ResumeState
from asrkit.training.trainer import CtcTrainer
from tests.gpu import models, speech
from tests.gpu.pack import Pack
from tests.support.evaluation import evaluate as evaluate_clips

NUM_CLIPS = 8
MAX_LEFT_GB = 0.2
"""cuBLAS keeps its workspaces."""


def run(pack: Pack) -> None:
    length_s = pack.pick(15.0, 1.0)
    rows = speech.write_clips(pack.folder / "clips", [length_s] * (2 * NUM_CLIPS))
    base = models.write_checkpoint(pack.folder / "base", "middle", pack.is_small)
    split_updates(pack, base, rows)
    pack.free()
    divide_evaluations(pack, base, rows)
    pack.free()
    if pack.has_gpu:
        left_gb = torch.cuda.memory_allocated() / 2**30
        pack.measure("memory left after all models are gone", left_gb, "GB", at_most=MAX_LEFT_GB, is_exact=True)
    else:
        pack.skip("memory left after all models are gone", "there is no GPU")


def split_updates(pack: Pack, base: Path, rows: list[Utterance]) -> None:
    """Train two updates whole and in two parts for their needs, then with memory in between."""
    whole = train(pack, base, rows, num_parts=1)
    halves = train(pack, base, rows, num_parts=2)
    pack.measure("memory of an update as a whole", whole.peak_gb, "GB")
    pack.measure("memory of an update in halves", halves.peak_gb, "GB")
    pack.measure("memory of an update in halves, with what is reserved", halves.reserved_gb, "GB")
    with limited_memory(pack, whole.peak_gb, min(halves.reserved_gb, (whole.peak_gb + halves.peak_gb) / 2)) as limit:
        limited = train(pack, base, rows, num_parts=1, limit=limit)
    pack.check("an update that does not fit is computed in parts", limited.num_parts >= 2, f"{limited.num_parts} parts")
    pack.check("the run reports it", "batch-split" in limited.findings, ", ".join(limited.findings))
    pairs = list(zip(whole.losses, limited.losses, strict=True))
    error = max(abs(found / wanted - 1) for wanted, found in pairs)
    pack.measure("relative difference of the losses", error, at_most=0.01, is_exact=True, detail=str(pairs))


class Training:
    """What a training of two updates used and reported.

    What has to fit lies between both peaks: out of memory, PyTorch gives back what it reserved and does not use.
    """

    def __init__(self, trainer: CtcTrainer, peak_gb: float, reserved_gb: float) -> None:
        self.peak_gb, self.reserved_gb, self.num_parts = peak_gb, reserved_gb, trainer.micro_batcher.num_parts
        history = trainer.run.events()[0]
        self.losses = [event.data["loss"] for event in history if event.kind == events.TRAIN]
        self.findings = [event.data["code"] for event in history if event.kind == events.FINDING]


def train(
    pack: Pack,
    base: Path,
    rows: list[Utterance],
    num_parts: int,
    limit: Callable[[Any], None] = lambda model: None,
) -> Training:
    """Train two updates. limit: is given the model before."""
    config = TrainConfig(
        preset="",
        model=str(base),
        train="callsigns",
        train_batch_size=NUM_CLIPS,
        max_steps=2,
        learning_rate=1e-5,
        logging_steps=1,
        eval_on_start=False,
        eval_steps=10**6,
        save_steps=10**6,
        cache_gb=0,
        freeze="nothing",
    )
    processor, model = load(str(base), config, [])
    run = RunStore(pack.folder / "runs").create(config)
    pack.reset_peak()
    trainer = CtcTrainer(run, config, model, processor, rows, rows[:2], ResumeState(num_parts=num_parts))
    limit(model)
    trainer.train()
    reserved_gb = torch.cuda.max_memory_reserved() / 2**30 if pack.has_gpu else pack.peak_gb()
    return Training(trainer, pack.peak_gb(), reserved_gb)


@contextlib.contextmanager
def limited_memory(pack: Pack, too_much_gb: float, enough_gb: float) -> Iterator[Callable[[Any], None]]:
    """Leave memory for less than `too_much_gb` and more than `enough_gb`; -> what to do with the model."""
    pack.free()
    if not pack.has_gpu:
        yield lambda model: refuse_large_batches(model, NUM_CLIPS // 2)
        return
    free_gb = torch.cuda.mem_get_info()[0] / 2**30
    size_gb = free_gb - (too_much_gb + enough_gb) / 2
    ballast = torch.empty(math.floor(max(0.0, size_gb) * 2**30), dtype=torch.uint8, device=pack.device)
    print(f"{free_gb:.2f} GB are free, {size_gb:.2f} GB of them are taken", flush=True)
    yield lambda model: None
    del ballast


def refuse_large_batches(model: Any, max_clips: int) -> None:
    """Make the forward pass run out of memory for more clips."""
    forward = model.forward

    def limited(*args: Any, **batch: Any) -> Any:
        if len(batch["labels"]) > max_clips:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(*args, **batch)

    model.forward = limited


class WarningCounter(logging.Handler):
    """Collects the warnings of a logger."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def divide_evaluations(pack: Pack, base: Path, rows: list[Utterance]) -> None:
    """Evaluate all clips at once and in quarters for their needs, then with memory in between."""
    processor, model = load(str(base), TrainConfig(preset="", model=str(base)), [])
    model.to(pack.device)

    def evaluate(size: int) -> tuple[Evaluation, float]:
        pack.reset_peak()
        before_gb = torch.cuda.memory_reserved() / 2**30 if pack.has_gpu else 0.0
        result = evaluate_clips(model, processor, rows, batch_size=size, normaliser="none")
        after_gb = torch.cuda.max_memory_reserved() / 2**30 if pack.has_gpu else 0.0
        return result, after_gb - before_gb

    wanted, whole_gb = evaluate(len(rows))
    _, part_gb = evaluate(len(rows) // 4)
    pack.measure("memory of an evaluation of all clips at once", whole_gb, "GB")
    pack.measure("memory of an evaluation in quarters", part_gb, "GB")
    counter = WarningCounter()
    logging.getLogger("asrkit").addHandler(counter)
    with limited_memory(pack, whole_gb, part_gb) as limit:
        limit(model)
        found, _ = evaluate(len(rows))
    logging.getLogger("asrkit").removeHandler(counter)
    divided = [message for message in counter.messages if "do not fit" in message]
    pack.check("an evaluation that does not fit continues with fewer clips", bool(divided), "; ".join(divided))
    same = abs(found.loss / wanted.loss - 1) < 0.01 and found.utterances == wanted.utterances
    pack.check("its result is the same", same, f"loss {found.loss:.4f} and {wanted.loss:.4f}")
