"""Samples of clips: every beginning of the order is spread over speakers and lengths."""

from collections import Counter

import numpy as np
import pytest

from asrkit.data.manifest import Utterance
from asrkit.data.sampling import order_evenly, take_sample


def make_rows(count=2_000, num_speakers=10):
    """Clips of 1 to 20 s; speaker n has n + 1 shares of them."""
    rng = np.random.default_rng(1)
    weights = np.arange(1, num_speakers + 1) / (num_speakers * (num_speakers + 1) / 2)
    speakers, durations_s = rng.choice(num_speakers, count, p=weights), rng.uniform(1, 20, count)
    return [
        Utterance(f"{number}.wav", "", float(seconds), speaker=f"s{speaker}")
        for number, (seconds, speaker) in enumerate(zip(durations_s, speakers, strict=True))
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 100])
def test_order_is_a_permutation_that_the_seed_determines(count):
    rows = make_rows(count)
    assert sorted(order_evenly(rows, 3).tolist()) == list(range(count))
    assert order_evenly(rows, 3).tolist() == order_evenly(rows, 3).tolist()
    assert count < 7 or order_evenly(rows, 3).tolist() != order_evenly(rows, 4).tolist()


@pytest.mark.parametrize("size", [64, 100, 500])
@pytest.mark.parametrize("seed", range(5))
def test_samples_have_the_lengths_and_speakers_of_the_whole(size, seed):
    rows = make_rows()
    chosen = [rows[index] for index in order_evenly(rows, seed)[:size]]
    mean_s, chosen_s = (np.mean([row.duration_s for row in part]) for part in (rows, chosen))
    assert chosen_s == pytest.approx(mean_s, rel=0.06)
    whole, part = (Counter(row.speaker for row in clips) for clips in (rows, chosen))
    for speaker, count in whole.items():
        assert part[speaker] == pytest.approx(count * size / len(rows), abs=max(4, 0.25 * size / 10))


def test_sample_keeps_the_order_of_the_clips():
    rows = make_rows(40)
    sample = take_sample(rows, 10, seed=1)
    assert len(sample) == 10 and [row.audio for row in sample] == [row.audio for row in rows if row in sample]
    assert take_sample(rows, 41, seed=1) == rows
