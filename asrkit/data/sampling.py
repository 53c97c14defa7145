"""Samples of a dataset: an order of its clips of which every beginning is spread over speakers and lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asrkit.data.manifest import Column, Utterance

NUM_LENGTHS = 8
"""Groups of clips of like lengths, each of which gives as many clips to a sample."""
GOLDEN_RATIO = (1 + 5**0.5) / 2


def order_evenly(utterances: Sequence[Utterance], seed: int) -> np.ndarray:
    """Return the indices of all clips in an order of which the first n are a sample of n clips; the same for a seed.

    Each eighth of the clips by length gives every eighth clip. Within it, speakers take part in proportion to their
    clips: sorted by speaker, the clips are taken in the order of a van der Corput sequence, which halves the largest
    gap again and again (van der Corput, "Verteilungsfunktionen", 1935); each eighth begins at another place,
    with the golden ratio between them, so that no two take the same places.
    """
    rng = np.random.default_rng(seed)
    speakers = sorted({speaker or "" for speaker in Column("speaker", utterances)})
    ranks = dict(zip(speakers, rng.permutation(len(speakers)).tolist(), strict=True))
    speaker_ranks = np.fromiter(
        (ranks[speaker or ""] for speaker in Column("speaker", utterances)), int, len(utterances)
    )
    shuffled = rng.permutation(len(utterances))  # clips of one speaker and one length have no order of their own
    by_length = shuffled[np.argsort(Column("duration_s", utterances).to_numpy()[shuffled], kind="stable")]
    groups, starts = np.array_split(by_length, NUM_LENGTHS), (rng.random() + GOLDEN_RATIO * np.arange(NUM_LENGTHS)) % 1
    taken = []
    for number in rng.permutation(NUM_LENGTHS):
        by_speaker = groups[number][np.argsort(speaker_ranks[groups[number]], kind="stable")]
        taken.append(np.roll(by_speaker, int(starts[number] * len(by_speaker)))[_van_der_corput(len(by_speaker))])
    turns = np.concatenate([np.arange(len(group)) for group in taken])
    return np.concatenate(taken)[np.argsort(turns, kind="stable")]


def take_sample(utterances: Sequence[Utterance], count: int, seed: int) -> list[Utterance]:
    """Return a sample of `count` utterances, in their order; all of them where there are no more."""
    if count >= len(utterances):
        return list(utterances)
    return [utterances[index] for index in sorted(order_evenly(utterances, seed)[:count].tolist())]


def _van_der_corput(count: int) -> np.ndarray:
    """Return 0 to count - 1 in the order of their reversed bits, (count,)."""
    num_bits = max(1, (count - 1).bit_length())
    numbers = np.arange(1 << num_bits)
    reversed_bits = sum(((numbers >> bit) & 1) << (num_bits - 1 - bit) for bit in range(num_bits))
    return np.asarray(reversed_bits)[np.asarray(reversed_bits) < count]
