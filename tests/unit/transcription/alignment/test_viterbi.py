"""The search for the best path, against one that tries every path."""

import itertools
import math

import numpy as np
import pytest

from asrkit.transcription.alignment import posteriors as posterior_file
from asrkit.transcription.alignment import viterbi
from asrkit.transcription.alignment.posteriors import BETWEEN_WORDS, BLANK, EXTRA_COST, UNSPELLED, PosteriorFile
from asrkit.transcription.alignment.viterbi import ANYTHING, BETWEEN, INSIDE, Band, TokenSequence, find_path


def write_posteriors(log_probabilities):
    """Columns of the tokens 1 and 2; blank 0, delimiter 3."""
    posteriors = PosteriorFile([1, 2], 0, 3)
    posteriors.append(log_probabilities)
    return posteriors


def whole_band(num_frames, num_tokens):
    return Band(np.zeros(num_frames, np.int64), np.full(num_frames, num_tokens))


def missing_cost(first, last):
    return (last - first) * viterbi.MISSING_COST + viterbi.PASSAGE_COST if last > first else 0.0


def score_path(states, rows, text):
    """Return the score of a path by the rules in the module's docstring; -inf for one that there is not."""
    total = 0.0
    for frame, state in enumerate(states):
        total += step_score(states[frame - 1] if frame else None, state, text)
        row, index = rows[frame], state // 2
        if state % 2:
            total += row[text.columns[index]]
        else:
            total += row[{INSIDE: BLANK, BETWEEN: BETWEEN_WORDS, ANYTHING: UNSPELLED}[int(text.gaps[index])]]
    return total + end_score(states[-1], text)


def step_score(before, state, text):
    """Return the score of going from a state to that of the next frame; None: from the beginning."""
    if before is None:
        starts = [(-missing_cost(0, gap), 2 * gap) for gap in range(len(text) + 1) if text.gaps[gap] != INSIDE]
    elif before % 2:
        starts = [(0.0, before)]
    else:
        gap = before // 2
        later = [j for j in range(gap + 1, len(text) + 1) if text.gaps[j] != INSIDE and text.gaps[gap] != INSIDE]
        starts = [(0.0, before), *((-missing_cost(gap, j), 2 * j) for j in later)]
    return max((score for score, start in starts if can_follow(start, state, text)), default=-math.inf)


def can_follow(start, state, text):
    if state in (start, start + 1) and (state == start or start + 1 <= 2 * len(text)):
        return True
    is_next_token = start % 2 == 1 and state == start + 2
    return is_next_token and text.columns[start // 2] != text.columns[state // 2]


def end_score(state, text):
    gap = (state + 1) // 2
    return -math.inf if text.gaps[gap] == INSIDE else -missing_cost(gap, len(text))


@pytest.mark.parametrize("seed", range(12))
def test_path_is_the_best_of_all(seed, monkeypatch):
    """Costs are so low here that passages are left out in paths of few frames."""
    monkeypatch.setattr(viterbi, "MISSING_COST", 0.7)
    monkeypatch.setattr(viterbi, "PASSAGE_COST", 0.4)
    monkeypatch.setattr(posterior_file, "EXTRA_COST", 1.0)
    monkeypatch.setattr(viterbi, "BLOCK_FRAMES", 2)
    rng = np.random.default_rng(seed)
    text = TokenSequence(np.array([0, 1, 1]), np.array([BETWEEN, rng.integers(2), rng.integers(3), BETWEEN], np.uint8))
    log_probabilities = np.log(rng.dirichlet([0.4] * 4, 5) + 1e-6).astype(np.float32)
    with write_posteriors(log_probabilities) as posteriors:
        rows = posteriors.read(0, 5)
        path = find_path(posteriors, text, whole_band(5, 3))
    found = score_path(path.states.tolist(), rows, text)
    best = max(score_path(states, rows, text) for states in itertools.product(range(7), repeat=5))
    assert found == pytest.approx(best, abs=1e-3) and best > -math.inf


def peaked(tokens, share=0.97):
    probabilities = np.full((len(tokens), 4), (1 - share) / 3)
    probabilities[np.arange(len(tokens)), tokens] = share
    return np.log(probabilities).astype(np.float32)


def words(*columns):
    """Make a text of words, each a list of columns."""
    gaps = [kind for word in columns for kind in (BETWEEN, *[INSIDE] * (len(word) - 1))]
    return TokenSequence(
        np.array([column for word in columns for column in word]), np.array([*gaps, BETWEEN], np.uint8)
    )


def visited(path):
    return list(dict.fromkeys((path.states[path.states % 2 == 1] // 2).tolist()))


def test_words_that_nobody_says_are_left_out():
    spoken = [0, 1, 2, 1, 2, 1, 3, 2, 2, 1, 0]
    missing = [[0, 1] * 6]
    text = words([0, 1, 0, 1, 0], *missing, [1, 0])
    with write_posteriors(peaked(spoken)) as posteriors:
        path = find_path(posteriors, text, whole_band(len(spoken), len(text)))
    assert visited(path) == [0, 1, 2, 3, 4, 17, 18]
    assert path.losses == pytest.approx(np.zeros(len(spoken)), abs=1e-3)


def test_speech_without_text_lies_between_words():
    spoken = [0, 1, 1, 0, 1, 3, *[2, 2, 0, 2, 0] * 4, 3, 1, 0, 1, 0]
    text = words([0, 0], [0, 0])
    with write_posteriors(peaked(spoken)) as posteriors:
        path = find_path(posteriors, text, whole_band(len(spoken), len(text)))
    assert visited(path) == [0, 1, 2, 3]
    assert set(path.states[5:27].tolist()) == {4}, "the gap between the two words"
    assert (path.losses < 0.5 - EXTRA_COST).sum() == 12, "frames in which something is said"


def test_a_narrow_band_finds_the_same_path():
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, 2, 60)
    text = words(*tokens.reshape(-1, 3).tolist())
    spoken = [frame for token in tokens for frame in (token + 1, 0)]
    with write_posteriors(peaked(spoken, 0.8)) as posteriors:
        whole = find_path(posteriors, text, whole_band(len(spoken), len(text)))
        centre = np.arange(len(spoken)) // 2
        band = Band(np.maximum(centre - 8, 0), np.minimum(centre + 8, len(text)))
        narrow = find_path(posteriors, text, band)
    assert narrow.states.tolist() == whole.states.tolist()
    assert visited(whole) == list(range(60))
