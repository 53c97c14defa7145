"""Batches with little padding, the same for the same seed and epoch.

Clips are sorted by length and cut into batches; an epoch mixes the clips of neighbouring batches (a window of them,
which moves by half its width every other epoch, so that clips travel) and then shuffles the batches. The cuts depend on
lengths alone, so every epoch has the same number of batches and a run that is resumed at batch k goes on with exactly
what it would have seen. The first epoch begins with the batches that need most memory, so that what does not fit is
found out in the first minute: enough for two updates, because the optimizer takes its memory at the end of the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

WINDOWS = 32
"""Least number of windows of an epoch, of two batches or more: fewer mix clips better, more pad less."""


class LengthBatches:
    """A batch sampler: lists of `(epoch, index)` for one process of `world`.

    durations: seconds of each clip, (clips,).
    seconds: bound on a batch's padded length (clips x longest); 0 takes `clips` clips a batch whatever their length.
    update: batches of an optimizer step, over all processes.
    """

    def __init__(
        self,
        durations: Sequence[float],
        *,
        seconds: float,
        clips: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        update: int = 1,
    ) -> None:
        self.seed, self.rank, self.world, self.update, self.epoch = seed, rank, world, update, 0
        self.durations = np.asarray(durations, float)
        self.order = np.argsort(-self.durations, kind="stable")
        falling = self.durations[self.order]
        self.alone = int((falling > seconds).sum()) if seconds else 0
        tight = _cuts(falling, seconds, clips, self.alone, 1)
        self.width = max(2, (len(tight) - 1) // WINDOWS)
        self.cuts = _cuts(falling, seconds, clips, self.alone, self.width)
        self.count = -(-(len(self.cuts) - 1) // world)

    def __len__(self) -> int:
        """Batches an epoch for each process."""
        return self.count

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        batches = self._mixed(rng)
        order = rng.permutation(len(batches))
        if self.epoch == 0:
            padded = np.array([len(batch) * self.durations[batch].max() for batch in batches])
            largest = np.argsort(-padded, kind="stable")[: 2 * self.update]
            order = np.concatenate([largest, order[~np.isin(order, largest)]])
        # Every process takes equally many; the few that are missing are taken from the start again.
        order = np.resize(order, self.count * self.world)[self.rank :: self.world]
        for number in order:
            yield [(self.epoch, int(index)) for index in batches[number]]

    def _mixed(self, rng: np.random.Generator) -> list[np.ndarray]:
        """This epoch's batches, from the longest clips down."""
        last, batches = len(self.cuts) - 1, [self.order[clip : clip + 1] for clip in range(self.alone)]
        first, shift = self.alone, self.width // 2 * (self.epoch % 2)
        while first < last:
            stop = min(last, first + (shift or self.width))
            cuts, shift = self.cuts[first : stop + 1], 0
            batches += np.split(rng.permutation(self.order[cuts[0] : cuts[-1]]), cuts[1:-1] - cuts[0])
            first = stop
        return batches


def _cuts(falling: np.ndarray, seconds: float, clips: int, alone: int, width: int) -> np.ndarray:
    """(batches + 1,) places in `falling`, the durations from the longest down, at which batches begin and end.

    The first `alone` clips are a batch each. No other exceeds `seconds`, whichever clips of the `width` batches around
    it are mixed in.
    """
    cuts = list(range(alone + 1))
    while cuts[-1] < len(falling):
        longest = max(falling[cuts[max(alone, len(cuts) - width)]], 0.01)
        cuts.append(min(len(falling), cuts[-1] + (max(1, int(seconds / longest)) if seconds else clips)))
    if len(cuts) > alone + 2 and 2 * (cuts[-1] - cuts[-2]) < cuts[-2] - cuts[-3]:
        cuts[-2] = (cuts[-3] + cuts[-1] + 1) // 2  # a few clips that are left would weigh as much as a whole batch
    return np.array(cuts)
