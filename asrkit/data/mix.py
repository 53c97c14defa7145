"""How much of each of several datasets is trained on: the setting `mix`.

An epoch has slots for the clips of each dataset, as many as make up its share of the audio: more than it has clips, or
fewer. In each epoch the slots, from the longest to the shortest, take clips at equal distances in the dataset sorted by
length, from another beginning. So all clips of a dataset come equally often in the long run, and a slot has about the
same length in each epoch, which lets batches be cut once. What an epoch takes follows from its number and the seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from asrkit.data import dataset_names
from asrkit.data.manifest import Column, Utterance
from asrkit.errors import ConfigError, DataError
from asrkit.units import format_count

GOLDEN = (math.sqrt(5) - 1) / 2
"""Steps of this length round a circle leave no part of it out for long."""


def parse_weights(mix: str, train: str) -> dict[str, float]:
    """Return dataset -> share of the audio, which add up to 1, of settings such as `2,1` and `a + b`; empty for no mix.

    Raises ConfigError for anything else.
    """
    if not mix.strip():
        return {}
    names, parts = dataset_names.separate(train), mix.split(",")
    try:
        weights = [float(part) for part in parts]
    except ValueError:
        weights = []
    if not weights or not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ConfigError(f"mix is {mix!r:.60}; give a number above 0 for each dataset, as 2,1.")
    if len(weights) != len(names) or len(names) < 2:
        raise ConfigError(
            f"mix has {format_count(len(weights), 'weight')} for {format_count(len(names), 'dataset')}; give one for "
            "each of several datasets."
        )
    return {name: weight / sum(weights) for name, weight in zip(names, weights, strict=True)}


class Mix:
    """The clips of each epoch.

    durations_s: the most seconds that each slot takes, (slots,). num_clips, num_slots: of each dataset.
    """

    def __init__(
        self, durations_s: np.ndarray, datasets: Iterable[str | None], weights: Mapping[str, float], seed: int = 0
    ) -> None:
        """durations_s: of the clips, (clips,). datasets: the name of each clip's. weights: as `parse_weights` returns.

        Raises DataError for a dataset without a clip.
        """
        numbers = {name: number for number, name in enumerate(weights)}
        members = np.array([numbers.get(name or "", -1) for name in datasets])
        self._seed = seed
        self._clips = [np.flatnonzero(members == number) for number in range(len(weights))]
        for name, clips in zip(weights, self._clips, strict=True):
            if not len(clips):
                raise DataError(f"{name} has no clip to train on, so mix cannot weight it; leave it out, or add clips.")
        self._clips = [clips[np.argsort(-durations_s[clips], kind="stable")] for clips in self._clips]
        self.num_clips = [len(clips) for clips in self._clips]
        self.num_slots = [
            max(1, round(share * durations_s.sum() / max(durations_s[clips].mean(), 1e-3)))
            for share, clips in zip(weights.values(), self._clips, strict=True)
        ]
        self.durations_s = durations_s[self._take(0.0)]

    @classmethod
    def of(cls, rows: Sequence[Utterance], weights: Mapping[str, float], seed: int) -> Mix:
        """Make the mix of the clips of a manifest. Raises DataError as the constructor does."""
        return cls(Column("duration_s", rows).to_numpy(), Column("dataset", rows), weights, seed)

    def draw(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the clip of each slot in an epoch, and how often it has come in that before: (slots,), (slots,)."""
        begin = np.random.default_rng([self._seed, len(self._clips)]).random()
        clips = self._take((begin + epoch * GOLDEN) % 1.0)
        # The repetitions of a clip are neighbours.
        firsts = np.flatnonzero(np.r_[True, clips[1:] != clips[:-1]])
        return clips, np.arange(len(clips)) - np.repeat(firsts, np.diff(np.r_[firsts, len(clips)]))

    def _take(self, offset: float) -> np.ndarray:
        """Return the clip of each slot, one dataset after the other; offset: from 0 to 1."""
        return np.concatenate(
            [
                clips[np.minimum(((np.arange(count) + offset) * len(clips) / count).astype(int), len(clips) - 1)]
                for clips, count in zip(self._clips, self.num_slots, strict=True)
            ]
        )
