"""Batches with little padding, identical for the same seed and epoch.

Clips are sorted by length and cut into batches. An epoch mixes the clips of neighbouring batches (a window of them,
which moves by half its width every other epoch, so that clips travel) and then shuffles the batches. The cuts depend
on the lengths alone: every epoch has the same number of batches, and a run that resumes at batch k continues with
exactly the batches it would have had. The first epoch begins with the batches that need most memory, so that a run that
does not fit fails in its first minute. There are enough of them for two updates, because the optimizer allocates its
state at the end of the first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from asrkit.data.batch_cuts import cut_batches
from asrkit.data.mix import Mix


class EpochBatchSampler(ABC):
    """A batch sampler of epochs with equally many batches.

    num_batches: per epoch of each process.
    """

    num_batches: int
    epoch = 0

    def __len__(self) -> int:
        return self.num_batches

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[tuple[int, ...]]]:
        return self.iter_epoch(self.epoch)

    @abstractmethod
    def iter_epoch(self, epoch: int) -> Iterator[list[tuple[int, ...]]]:
        """Yield the batches of an epoch."""


class LengthBatchSampler(EpochBatchSampler):
    """A batch sampler that yields lists of `(epoch, index)` for one process of `world_size`.

    durations_s: seconds of each clip, (clips,).
    batch_seconds: bound on a batch's padded length (clips x longest); 0 puts `batch_size` clips into each batch.
    batches_per_update: batches of an optimizer step, over all processes.
    mix: of several datasets; durations_s are then those of its slots. A clip that comes again in an epoch is
    `(epoch, index, repetition)`.
    """

    def __init__(
        self,
        durations_s: Sequence[float] | np.ndarray,
        *,
        batch_seconds: float,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        batches_per_update: int = 1,
        mix: Mix | None = None,
    ) -> None:
        self.mix = mix
        self.seed, self.rank, self.world_size = seed, rank, world_size
        self.batches_per_update = batches_per_update
        self.durations_s = np.asarray(durations_s, float)
        self.order = np.argsort(-self.durations_s, kind="stable")
        batches = cut_batches(self.durations_s[self.order], batch_seconds, batch_size)
        self.cuts, self.num_oversized, self.window = batches.cuts, batches.num_oversized, batches.window
        self.num_batches = batches.count_per_process(world_size)

    def iter_epoch(self, epoch: int) -> Iterator[list[tuple[int, ...]]]:
        rng = np.random.default_rng([self.seed, epoch])
        clips, cuts = self._mix(rng, epoch), self.cuts
        order = rng.permutation(len(cuts) - 1)
        if epoch == 0:
            padded_s = np.diff(cuts) * np.maximum.reduceat(self.durations_s[clips], cuts[:-1])
            largest = np.argsort(-padded_s, kind="stable")[: 2 * self.batches_per_update]
            order = np.concatenate([largest, order[~np.isin(order, largest)]])
        # Every process gets the same number of batches; missing ones are repeated from the start.
        order = np.resize(order, self.num_batches * self.world_size)[self.rank :: self.world_size]
        taken, repeats = self.mix.draw(epoch) if self.mix else (np.arange(len(clips)), np.zeros(len(clips), int))
        for number in order:
            yield make_keys(epoch, taken, repeats, clips[cuts[number] : cuts[number + 1]])

    def _mix(self, rng: np.random.Generator, epoch: int) -> np.ndarray:
        """Clip indices of an epoch, in the order of its batches, from the longest clips to the shortest, (clips,)."""
        last, clips = len(self.cuts) - 1, self.order.copy()
        first, shift = self.num_oversized, self.window // 2 * (epoch % 2)
        while first < last:
            stop = min(last, first + (shift or self.window))
            begin, end, shift = self.cuts[first], self.cuts[stop], 0
            clips[begin:end] = rng.permutation(self.order[begin:end])
            first = stop
        return clips


def make_keys(epoch: int, clips: np.ndarray, repeats: np.ndarray, slots: np.ndarray) -> list[tuple[int, ...]]:
    """Return the keys of the clips in some slots. repeats: how often the clip of each slot has come before."""
    pairs = zip(clips[slots].tolist(), repeats[slots].tolist(), strict=True)
    return [(epoch, index, repeat) if repeat else (epoch, index) for index, repeat in pairs]
