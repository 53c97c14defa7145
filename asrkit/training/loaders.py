"""The data loader of the training manifest."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from asrkit.config import TrainConfig
from asrkit.data.manifest import Column, Utterance
from asrkit.models.frames import FrameGeometry
from asrkit.runs import launchers
from asrkit.training.augment import STRENGTHS
from asrkit.training.batching import LengthBatchSampler
from asrkit.training.data import Collator, Item, SpeechDataset


class EpochDataLoader(DataLoader[Item]):
    """A DataLoader that passes the epoch on to its batch sampler; Trainer calls `set_epoch`."""

    def set_epoch(self, epoch: int) -> None:
        assert isinstance(self.batch_sampler, LengthBatchSampler)
        self.batch_sampler.set_epoch(epoch)

    def close(self) -> None:
        """End the processes that persist between epochs. Left to the end of the program, each may take 5 s."""
        if self._iterator is not None and self.num_workers:
            self._iterator._shutdown_workers()  # type: ignore[attr-defined]  # of the iterator with processes
        self._iterator = None


def make_train_loader(
    config: TrainConfig,
    args: TrainingArguments,
    rows: Sequence[Utterance],
    processor: Any,
    cache_bytes: float,
    geometry: FrameGeometry,
) -> EpochDataLoader:
    """Return the loader of one process.

    cache_bytes: decoded audio to keep where only one process decodes. geometry: of the model's frames.
    """
    sampler = LengthBatchSampler(
        Column("duration_s", rows).to_numpy(),
        batch_seconds=config.batch_seconds,
        batch_size=config.train_batch_size,
        seed=config.seed,
        rank=args.process_index,
        world_size=args.world_size,
        batches_per_update=args.world_size * config.gradient_accumulation_steps,
    )
    num_workers = args.dataloader_num_workers
    dataset = SpeechDataset(
        rows,
        processor,
        None if config.augmentation == "none" else STRENGTHS[config.augmentation],
        config.seed,
        cache_bytes=cache_bytes if num_workers < 2 else 0,  # several workers would each cache the same clips
    )
    return EpochDataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=Collator(processor, _min_length(config, geometry)),
        num_workers=num_workers,
        prefetch_factor=prefetch_factor(num_workers),
        persistent_workers=bool(num_workers),
        worker_init_fn=outlive_preemption,
        pin_memory=torch.cuda.is_available(),
    )


def make_eval_loader(
    dataset: SpeechDataset, batches: Sequence[list[int]], processor: Any, num_workers: int
) -> DataLoader[Item]:
    """Return a loader of these batches, given as indices in the dataset.

    It has a random generator of its own: every iterator draws a seed, which would change the rest of the training.
    """
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=Collator(processor),
        generator=torch.Generator(),
        num_workers=num_workers,
        worker_init_fn=outlive_preemption,
        prefetch_factor=prefetch_factor(num_workers),
        pin_memory=torch.cuda.is_available(),
    )


def outlive_preemption(_: int) -> None:
    """Let a loader process go on when a cluster asks all processes of a job to end, as long as the worker needs it."""
    if launchers.JOB in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def prefetch_factor(num_workers: int) -> int | None:
    """Batches that each process makes ahead: 16 in all at most, because they are in shared memory."""
    return max(2, min(4, 16 // num_workers)) if num_workers else None


def _min_length(config: TrainConfig, geometry: FrameGeometry) -> int:
    """Smallest padded length: SpecAugment refuses a batch with fewer frames than a mask is long."""
    return geometry.min_inputs(config.mask_time_length + 1) if config.mask_time_prob else 0
