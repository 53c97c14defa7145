"""Where sorted clips are cut into batches: for the training and its forecast, and for inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_WINDOWS = 32
"""Windows of an epoch, each of at least two batches: fewer windows mix clips better, more pad less."""

MIN_FILL, MIN_GPU_FILL = 0.8, 0.5
"""In inference, clips share a batch if the shortest is at least this part of the longest: the rest would be spent on
padding. A GPU works no faster on a small batch: it waits for the program, which starts some thousand kernels for each.
"""
GPU_BATCH_S, GPU_BATCH_S_PER_GB = 640.0, 15.0
"""Seconds of audio in a batch of inference on a GPU: as many as keep it busy, fewer on one with little memory. On an
H100, batches of 640 s of XLS-R 300M ran at 8,500 times real time, of 140 s at 5,400."""


@dataclass(frozen=True)
class BatchCuts:
    """Clips, sorted from the longest to the shortest, as batches.

    cuts: (batches + 1,) positions where batches begin. num_oversized: clips that are a batch each, because they are
    longer than a batch may be. window: number of neighbouring batches whose clips may be mixed.
    """

    cuts: np.ndarray
    num_oversized: int
    window: int

    def count_per_process(self, world_size: int = 1) -> int:
        """Return the number of batches of an epoch for each process."""
        return -(-(len(self.cuts) - 1) // world_size)


def cut_batches(descending: np.ndarray, batch_seconds: float, batch_size: int) -> BatchCuts:
    """Cut clips into batches that keep their bound however the clips of a window are mixed.

    descending: (clips,) durations in seconds, the longest first. batch_seconds: bound on a batch's padded length
    (clips x longest); 0 puts `batch_size` clips into each batch.
    """
    num_oversized = int((descending > batch_seconds).sum()) if batch_seconds else 0
    unmixed = _cut(descending, batch_seconds, batch_size, num_oversized, 1)
    window = max(2, (len(unmixed) - 1) // MIN_WINDOWS)
    return BatchCuts(_cut(descending, batch_seconds, batch_size, num_oversized, window), num_oversized, window)


def _cut(descending: np.ndarray, batch_seconds: float, batch_size: int, num_oversized: int, window: int) -> np.ndarray:
    """Return the (batches + 1,) positions in `descending`, the durations from longest to shortest, where batches begin.

    The first `num_oversized` clips are a batch each. No other batch exceeds `batch_seconds`, whichever clips of the
    `window` batches around it are mixed in.
    """
    cuts = list(range(num_oversized + 1))
    while cuts[-1] < len(descending):
        longest = max(descending[cuts[max(num_oversized, len(cuts) - window)]], 0.01)
        size = max(1, int(batch_seconds / longest)) if batch_seconds else batch_size
        cuts.append(min(len(descending), cuts[-1] + size))
    if len(cuts) > num_oversized + 2 and 2 * (cuts[-1] - cuts[-2]) < cuts[-2] - cuts[-3]:
        # A small last batch would weigh as much as a full one.
        cuts[-2] = (cuts[-3] + cuts[-1] + 1) // 2
    return np.array(cuts)


def max_inference_batch_s(device_type: str) -> float:
    """Return the seconds of padded audio in a batch of inference: what keeps the caches, or the GPU, busy."""
    if device_type == "cpu":
        return 24.0
    import torch

    if device_type != "cuda" or not torch.cuda.is_available():
        return 240.0
    return min(GPU_BATCH_S, GPU_BATCH_S_PER_GB * torch.cuda.get_device_properties(0).total_memory / 2**30)


def min_inference_fill(device_type: str) -> float:
    """Return the part of the longest clip of a batch that its shortest has at least."""
    return MIN_GPU_FILL if device_type == "cuda" else MIN_FILL


def fill_batches(lengths: Sequence[float], max_batch: float, min_fill: float, min_length: float = 0) -> list[list[int]]:
    """Group the indices of clips by length, longest first; those shorter than `min_length` are in no batch.

    max_batch: padded length of a batch, in the unit of the lengths. min_fill: the shortest length of a batch by its
    longest.
    """
    batches: list[list[int]] = []
    long_enough = (index for index, length in enumerate(lengths) if length >= min_length)
    for index in sorted(long_enough, key=lambda index: -lengths[index]):
        longest = lengths[batches[-1][0]] if batches else 0
        if batches and (len(batches[-1]) + 1) * longest <= max_batch and lengths[index] >= min_fill * longest:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
