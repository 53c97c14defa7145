"""The data loader of the training manifest."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import threadpoolctl
import torch
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from asrkit.config import TrainConfig
from asrkit.data.manifest import Column, Utterance
from asrkit.data.mix import Mix, parse_weights
from asrkit.data.streams.clips import StreamedClips
from asrkit.models.frames import FrameGeometry
from asrkit.runs import launchers
from asrkit.training import distributed
from asrkit.training.augment import STRENGTHS
from asrkit.training.batching import LengthBatchSampler
from asrkit.training.data import Collator, Item, SpeechDataset
from asrkit.training.streamed_order import BUFFERS_IN_CACHE, Pieces, StreamedBatchSampler, UpcomingPieces

BatchSampler = LengthBatchSampler | StreamedBatchSampler


class EndlessBatches:
    """The batches of an epoch and of all that follow."""

    def __init__(self, sampler: BatchSampler, first_epoch: int) -> None:
        self.sampler, self.first_epoch = sampler, first_epoch

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        for epoch in itertools.count(self.first_epoch):
            yield from self.sampler.iter_epoch(epoch)


class EpochDataLoader(DataLoader[Item]):
    """Iterates over one epoch at a time; Trainer tells which by `set_epoch`.

    Its processes go on with the next epoch while the last batches of one are in use: to begin anew took half a second,
    three updates of a fast GPU. It has a random generator of its own: every iterator draws a seed, which would change
    the rest of the training.
    """

    def __init__(self, dataset: SpeechDataset, sampler: BatchSampler, **options: Any) -> None:
        """options: of a DataLoader."""
        super().__init__(dataset, batch_sampler=sampler, generator=torch.Generator(), **options)
        self.epochs, self._options = sampler, options
        self._endless: Iterator[Any] | None = None
        self._next_epoch = 0  # of the endless iterator

    def set_epoch(self, epoch: int) -> None:
        self.epochs.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # of a DataLoader's own iterator
        if not self.num_workers:
            return super().__iter__()
        epoch = self.epochs.epoch
        if self._endless is None or self._next_epoch != epoch:
            self.close()
            batches: Any = EndlessBatches(self.epochs, epoch)
            endless = DataLoader(self.dataset, batch_sampler=batches, generator=torch.Generator(), **self._options)
            self._endless = iter(endless)
        self._next_epoch = epoch + 1
        return itertools.islice(self._endless, len(self))

    def close(self) -> None:
        """End the processes. Left to the end of the program, each may take 5 s."""
        if self._endless is not None:
            self._endless._shutdown_workers()  # type: ignore[attr-defined]  # of the iterator with processes
        self._endless = None


def make_train_loader(
    config: TrainConfig,
    args: TrainingArguments,
    rows: Sequence[Utterance],
    processor: Any,
    cache_bytes: float,
    geometry: FrameGeometry,
    streamed: StreamedClips | None = None,
) -> EpochDataLoader:
    """Return the loader of one process.

    cache_bytes: decoded audio to keep where only one process decodes. geometry: of the model's frames. streamed:
    fetches streamed clips.
    """
    sampler = _make_sampler(config, args, rows)
    num_workers = args.dataloader_num_workers
    dataset = SpeechDataset(
        rows,
        processor,
        None if config.augmentation == "none" else STRENGTHS[config.augmentation],
        config.seed,
        cache_bytes=cache_bytes if num_workers < 2 else 0,  # several workers would each cache the same clips
        streamed=streamed,
        upcoming=UpcomingPieces(sampler) if isinstance(sampler, StreamedBatchSampler) else None,
        limits_s=(config.min_duration_s, config.max_duration_s),
    )
    return EpochDataLoader(
        dataset,
        sampler,
        collate_fn=Collator(processor, _min_length(config, geometry)),
        num_workers=num_workers,
        prefetch_factor=prefetch_factor(num_workers),
        worker_init_fn=begin_loader_process,
        pin_memory=torch.cuda.is_available(),
    )


def _make_sampler(config: TrainConfig, args: TrainingArguments, rows: Sequence[Utterance]) -> BatchSampler:
    """Return the order of clips of one process: where some are streamed, one that needs few pieces at once."""
    weights = parse_weights(config.mix, config.train)
    mix = Mix.of(rows, weights, config.seed) if weights else None
    durations_s = Column("duration_s", rows).to_numpy()
    if pieces := Pieces.of(rows, config.seed):
        return StreamedBatchSampler(
            durations_s,
            pieces,
            batch_seconds=config.batch_seconds,
            batch_size=config.train_batch_size,
            max_buffer_bytes=config.stream_cache_bytes / BUFFERS_IN_CACHE / distributed.LOCAL_WORLD_SIZE,
            seed=config.seed,
            rank=args.process_index,
            world_size=args.world_size,
            mix=mix,
        )
    return LengthBatchSampler(
        mix.durations_s if mix else durations_s,
        batch_seconds=config.batch_seconds,
        batch_size=config.train_batch_size,
        seed=config.seed,
        rank=args.process_index,
        world_size=args.world_size,
        batches_per_update=args.world_size * config.gradient_accumulation_steps,
        mix=mix,
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
        worker_init_fn=begin_loader_process,
        prefetch_factor=prefetch_factor(num_workers),
        pin_memory=torch.cuda.is_available(),
    )


def begin_loader_process(_: int) -> None:
    """Give a loader process one thread for NumPy's matrix products, and let it outlive the preemption of a job.

    torch has one thread there already. Eight processes with 16 threads each made mel features at 27 times real time
    each, with one thread at 280. When a cluster asks all processes of a job to end, the worker needs these a little
    longer.
    """
    threadpoolctl.threadpool_limits(1, user_api="blas")
    if launchers.JOB in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def prefetch_factor(num_workers: int) -> int | None:
    """Batches that each process makes ahead: 16 in all at most, because they are in shared memory."""
    return max(2, min(4, 16 // num_workers)) if num_workers else None


def _min_length(config: TrainConfig, geometry: FrameGeometry) -> int:
    """Smallest padded length: SpecAugment refuses a batch with fewer frames than a mask is long."""
    return geometry.min_inputs(config.mask_time_length + 1) if config.mask_time_prob else 0
