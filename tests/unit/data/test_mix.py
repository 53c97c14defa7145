"""Several datasets in one run, by weights: what an epoch takes of each."""

from collections import Counter

import numpy as np
import pytest

from asrkit.data.mix import Mix, parse_weights
from asrkit.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
DURATIONS = np.concatenate([RNG.uniform(1, 10, 40), RNG.uniform(2, 20, 1_000)])
NAMES = ["own"] * 40 + ["corpus"] * 1_000
IS_OWN = np.arange(len(NAMES)) < 40


def make(own=1.0, corpus=1.0, seed=0):
    return Mix(DURATIONS, NAMES, {"own": own / (own + corpus), "corpus": corpus / (own + corpus)}, seed)


@pytest.mark.parametrize(("own", "corpus"), [(1, 1), (2, 1), (1, 9), (1, 200), (30, 1)])
def test_every_epoch_has_the_shares_and_is_as_long_as_all_clips(own, corpus):
    mix = make(own, corpus)
    for epoch in range(4):
        clips, _ = mix.draw(epoch)
        seconds = DURATIONS[clips]
        assert seconds.sum() == pytest.approx(DURATIONS.sum(), rel=0.05)
        assert seconds[IS_OWN[clips]].sum() / seconds.sum() == pytest.approx(own / (own + corpus), rel=0.15)


@pytest.mark.parametrize(("own", "corpus"), [(1, 1), (2, 1), (1, 9)])
def test_clips_of_a_dataset_come_equally_often(own, corpus):
    mix, counts = make(own, corpus), Counter()
    for epoch in range(200):
        counts.update(mix.draw(epoch)[0].tolist())
    for is_own in (True, False):
        numbers = np.array([counts[clip] for clip in np.flatnonzero(is_own == IS_OWN)])
        assert numbers.min() >= 0.9 * numbers.mean() - 2 and numbers.max() <= 1.1 * numbers.mean() + 2


def test_a_clip_that_comes_again_is_told_apart():
    clips, repeats = make(9, 1).draw(3)
    assert repeats.max() > 10 and len(set(zip(clips.tolist(), repeats.tolist(), strict=True))) == len(clips)
    assert Counter(repeats[clips == 7].tolist()) == Counter(range((clips == 7).sum()))


def test_slots_bound_the_lengths_of_their_clips():
    mix = make(3, 1)
    for epoch in range(30):
        clips, _ = mix.draw(epoch)
        assert len(clips) == len(mix.durations_s) and (DURATIONS[clips] <= mix.durations_s + 1e-9).all()


def test_what_an_epoch_takes_follows_from_its_number_and_the_seed():
    def draw(seed, epoch):
        return make(1, 3, seed).draw(epoch)[0].tolist()

    assert draw(0, 5) == draw(0, 5) != draw(0, 6)
    assert draw(0, 5) != draw(1, 5)


def test_weights_are_one_number_above_0_for_each_dataset():
    assert parse_weights(" 2, 1", "a + b") == {"a": pytest.approx(2 / 3), "b": pytest.approx(1 / 3)}
    assert parse_weights("", "a + b") == parse_weights(" ", "a") == {}
    for mix in ("x", "1,", "1,0", "1,-1", "1,nan", "1,inf", ","):
        with pytest.raises(ConfigError, match="a number above 0 for each dataset"):
            parse_weights(mix, "a + b")
    for mix, train in (("1", "a"), ("1,2,3", "a + b"), ("1", "a + b"), ("1,2", "a")):
        with pytest.raises(ConfigError, match="give one for each of several"):
            parse_weights(mix, train)


def test_dataset_without_a_clip_is_named():
    with pytest.raises(DataError, match="mine has no clip to train on"):
        Mix(np.ones(3), ["own"] * 3, {"own": 0.5, "mine": 0.5})
