"""Rejection of the words of a closed list where something else was said.

A decoder that knows a list of words alone finds some of them in any speech. How badly they fit shows in their cost: how
much likelier the best path without a list is, in their frames. Speech on the list and other speech each last for a
while, so the words of a clip are judged together, as the states of a two-state Markov chain (a filler model, as in
Rose and Paul, "A hidden Markov model based keyword recognition system", ICASSP 1990, but over words instead of frames).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LETTER_COST_NATS, MIN_LETTERS = 2.7, 0.25
"""Cost of each letter but one at which a word of the list and another one are equally likely. Short words fit any
speech somewhere, so the first letter is no evidence; a word of one letter counts as MIN_LETTERS."""
COST_WEIGHT = 0.5
"""Of a cost beyond that: neighbouring frames are not independent, so their sum exaggerates. With it, the probabilities
of `list_probabilities` have an expected calibration error of 1 to 2 %."""
SWITCH_COST_NATS = 3.0
"""Cost of a change between speech on the list and other speech.

All were chosen on the checkpoints of five lists: the demo's, colours and commands, first names, and Spanish numbers and
days, trained on synthetic speech, and the words of orders in a restaurant, trained on human speech.
"""
MAX_REJECTED_PROBABILITY = 0.5
"""A word is rejected where it is more likely than not that no word of the list was said."""


def list_probabilities(costs: Sequence[float], num_letters: Sequence[int]) -> list[float]:
    """Return for each word of a clip the probability that a word of the list was said there.

    costs: ln P(best path) - ln P(best path through the list), over the frames of each word, in nats.
    num_letters: tokens of each word.
    """
    if not costs:
        return []
    letters = np.maximum(np.asarray(num_letters) - 1.0, MIN_LETTERS)
    evidence = COST_WEIGHT * (LETTER_COST_NATS * letters - np.asarray(costs))
    emitted = np.stack([evidence, np.zeros(len(evidence))], axis=1)  # on the list, not on it
    stay = -np.log1p(np.exp(-SWITCH_COST_NATS))
    moves = np.full((2, 2), stay - SWITCH_COST_NATS)
    np.fill_diagonal(moves, stay)
    forward, backward = emitted.copy(), np.zeros_like(emitted)
    for index in range(1, len(emitted)):
        forward[index] += np.logaddexp.reduce(forward[index - 1][:, None] + moves, axis=0)
    for index in range(len(emitted) - 2, -1, -1):
        backward[index] = np.logaddexp.reduce(moves + emitted[index + 1] + backward[index + 1], axis=1)
    total = forward + backward
    return np.exp(total[:, 0] - np.logaddexp(total[:, 0], total[:, 1])).tolist()
