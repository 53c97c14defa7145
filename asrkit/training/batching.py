"""Batches with little padding, the same for the same seed and epoch.

Clips are sorted by length and cut into windows of a few batches; an epoch shuffles inside each window and then shuffles
the batches. The cuts depend on lengths alone, so every epoch has the same number of batches and a run that is resumed
at batch k goes on with exactly what it would have seen. The first epoch begins with the batch that needs most memory,
so that what does not fit is found out in the first minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

WINDOW = 4
"""Batches a window: more mixes clips better, fewer pads less."""


class LengthBatches:
    """A batch sampler: lists of `(epoch, index)` for one process of `world`.

    durations: seconds of each clip, (clips,).
    seconds: bound on a batch's padded length (clips x longest); 0 takes `clips` clips a batch whatever their length.
    """

    def __init__(self, durations: Sequence[float], *, seconds: float, clips: int, seed: int,
                 rank: int = 0, world: int = 1) -> None:
        self.seed, self.rank, self.world, self.epoch = seed, rank, world, 0
        self.durations = np.asarray(durations, float)
        self.windows = _windows(self.durations, seconds, clips)
        self.count = -(-sum(-(-len(window) // size) for window, size in self.windows) // world)

    def __len__(self) -> int:
        """Batches an epoch for each process."""
        return self.count

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        batches: list[np.ndarray] = []
        for window, size in self.windows:
            mixed = rng.permutation(window)
            batches += [mixed[start : start + size] for start in range(0, len(mixed), size)]
        order = rng.permutation(len(batches))
        if self.epoch == 0:
            largest = np.argmax([len(batch) * self.durations[batch].max() for batch in batches])
            order = np.concatenate([[largest], order[order != largest]])
        # Every process takes equally many; the few that are missing are taken from the start again.
        order = np.resize(order, self.count * self.world)[self.rank :: self.world]
        for number in order:
            yield [(self.epoch, int(index)) for index in batches[number]]


def _windows(durations: np.ndarray, seconds: float, clips: int) -> list[tuple[np.ndarray, int]]:
    """(indices of similar length, batch size) from the longest down; a batch of its size never exceeds `seconds`."""
    order = np.argsort(-durations, kind="stable")
    windows, start = [], 0
    while start < len(order):
        longest = max(durations[order[start]], 0.01)
        size = max(1, int(seconds / longest)) if seconds else clips
        stop = min(len(order), start + size * WINDOW)
        windows.append((order[start:stop], size))
        start = stop
    return windows
