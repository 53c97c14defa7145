"""What the worker writes before the first step: the run as it begins, its leaks, and the loss of an earlier worker."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from asrkit import __version__
from asrkit.config import TrainConfig
from asrkit.data.manifest import Column, Utterance
from asrkit.decoding import ctc
from asrkit.runs import audit_record, events
from asrkit.runs.run import Run
from asrkit.training import distributed
from asrkit.training.reporting import emit

if TYPE_CHECKING:
    from asrkit.training.model import CtcModel
    from asrkit.training.trainer import CtcTrainer

PACKAGES = ("transformers", "torch", "torchaudio", "datasets", "tokenizers", "jiwer")


def emit_started(trainer: CtcTrainer, model: CtcModel, step: int, hardware: str) -> None:
    """Emit the `started` event. hardware: the name of the device."""
    from asrkit.training.arguments import resolve_precision

    config, train = trainer.config, trainer.train_rows
    steps_per_epoch, total_steps = _count_steps(trainer)
    emit(
        trainer.run,
        events.STARTED,
        step,
        **_describe_run(config, model, train, trainer.eval_rows),
        exchange_s=trainer.exchange and round(trainer.exchange.seconds, 4),
        hardware=hardware,
        device=str(trainer.args.device),
        total_steps=total_steps,
        precision=resolve_precision(config.mixed_precision),
        update_s=round(_sum_durations(train) / steps_per_epoch, 2),
        clip_s=round(float(np.median(Column("duration_s", train).to_numpy())), 2),
        label_entropy=round(ctc.label_entropy(Column("text", train)), 4),
    )


def _count_steps(trainer: CtcTrainer) -> tuple[int, int]:
    """Optimizer steps of an epoch and of the run."""
    values = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())
    return values[1], values[-1]


def count_gradient_bytes(model: CtcModel) -> int:
    """Return the size of the gradients of an update."""
    return sum(each.numel() * each.element_size() for each in model.parameters() if each.requires_grad)


def _sum_durations(rows: Sequence[Utterance]) -> float:
    return float(Column("duration_s", rows).to_numpy().sum())


def _describe_run(
    config: TrainConfig, model: CtcModel, train: Sequence[Utterance], held_out: Sequence[Utterance]
) -> dict[str, Any]:
    """Data, model and software of the run, for the `started` event."""
    return {
        "metric_for_best_model": config.metric_for_best_model,
        "normaliser": config.text_rules,
        "train_utterances": len(train),
        "eval_utterances": len(held_out),
        "train_hours": round(_sum_durations(train) / 3600, 4),
        "eval_hours": round(_sum_durations(held_out) / 3600, 4),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "architecture": type(model).__name__,
        "vocabulary": model.config.vocab_size,
        "processes": distributed.WORLD_SIZE,
        "python": platform.python_version(),
        "versions": {"asrkit": __version__, **{name: _installed_version(name) for name in PACKAGES}},
    }


def _installed_version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def emit_leaks(run: Run, step: int, reported: frozenset[str]) -> None:
    """Emit the leaks between train and eval manifests that the audit found, unless already reported."""
    for leak in audit_record.load_leak_findings(run):
        if leak["code"] not in reported:
            emit(run, events.FINDING, step, code=leak["code"], cause=leak["effect"], remedy=leak["fix"])


def emit_lost_worker(run: Run, step: int, cause: str) -> None:
    """Emit the finding that an earlier worker of the same job could not save. cause: how it ended."""
    begin = f"the checkpoint of step {step}" if step else "the beginning"
    remedy = f"The run goes on from {begin}; what came after it is computed again."
    emit(run, events.FINDING, step, code="worker-lost", cause=cause, remedy=remedy)
