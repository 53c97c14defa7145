import numpy as np
import pytest

from asrkit.data.mix import Mix
from asrkit.training.batching import LengthBatchSampler

LOG_NORMAL = np.exp(np.random.default_rng(0).normal(1.5, 0.6, 3000)).clip(0.5, 20)
"""Seconds: median 4.5, as read speech has it."""


def epoch(batches, number=0):
    """Lists of clip numbers."""
    batches.set_epoch(number)
    listed = list(batches)
    assert all(epoch == number for batch in listed for epoch, _ in batch)
    return [[index for _, index in batch] for batch in listed]


def sampler(durations=LOG_NORMAL, seconds=60.0, clips=8, seed=1, **where):
    return LengthBatchSampler(durations, batch_seconds=seconds, batch_size=clips, seed=seed, **where)


@pytest.mark.parametrize("seconds", [0.0, 7.5, 60.0])
@pytest.mark.parametrize("count", [1, 2, 7, 100, 333])
def test_epoch_contains_every_clip_once(count, seconds):
    batches = sampler(LOG_NORMAL[:count], seconds)
    for number in range(3):
        listed = epoch(batches, number)
        assert sorted(index for batch in listed for index in batch) == list(range(count))
        assert len(listed) == len(batches)


def test_same_seed_and_epoch_give_same_batches():
    assert epoch(sampler(seed=3), 5) == epoch(sampler(seed=3), 5)
    batches = sampler(seed=3)
    assert epoch(batches, 5) == epoch(batches, 5)


def test_batches_differ_between_epochs_and_seeds():
    batches = sampler()
    first, second = epoch(batches, 0), epoch(batches, 1)
    assert first != second and epoch(sampler(seed=2), 0) != first
    together = {frozenset(batch) for batch in first} & {frozenset(batch) for batch in second}
    assert len(together) < len(first) / 10, "batches of the next epoch have other clips"


def test_clips_meet_clips_of_other_windows():
    """Few batches: after some epochs a clip has met clips that were not in its window at first."""
    batches, met = sampler(LOG_NORMAL[:120], seconds=0, clips=8), set()
    for number in range(12):
        met |= next(set(batch) for batch in epoch(batches, number) if 0 in batch)
    assert len(met) > 2 * 8


def test_mixed_datasets_keep_the_number_and_the_bound_of_batches():
    names = ["own" if number % 10 == 0 else "corpus" for number in range(len(LOG_NORMAL))]
    mix = Mix(LOG_NORMAL, names, {"own": 0.5, "corpus": 0.5}, seed=1)
    batches = sampler(mix.durations_s, mix=mix)
    seen = []
    for number in range(4):
        listed = list(batches.iter_epoch(number))
        assert len(listed) == len(batches)
        for batch in listed:
            longest = max(LOG_NORMAL[index] for _, index, *_ in batch)
            assert len(batch) == 1 or len(batch) * longest <= 60.0
        seen.append(sorted(key[1:] for batch in listed for key in batch))
        assert len(set(seen[-1])) == len(seen[-1]), "repetitions have a key of their own, for another augmentation"
    assert seen[0] != seen[1]
    again = sampler(mix.durations_s, mix=mix)
    assert list(again.iter_epoch(3)) == list(batches.iter_epoch(3)), "as after a resume"


def test_batches_are_not_sorted_by_length():
    longest = [LOG_NORMAL[batch].max() for batch in epoch(sampler())]
    assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.3


@pytest.mark.parametrize("seconds", [20.0, 60.0, 320.0])
def test_batch_seconds_bounds_padded_length(seconds):
    for number in range(3):
        for batch in epoch(sampler(seconds=seconds), number):
            assert len(batch) * LOG_NORMAL[batch].max() <= seconds


def test_clip_over_the_bound_is_a_batch_alone():
    listed = epoch(sampler([50.0, 40.0, *[2.0] * 30], seconds=10))
    assert [0] in listed and [1] in listed
    assert max(map(len, listed)) == 5


def test_last_batch_is_not_much_smaller():
    """Neither after a clip over the bound nor at the end: each batch counts as much as the others."""
    listed = epoch(sampler([50.0, *[2.0] * 21], seconds=20))
    assert sorted(map(len, listed)) == [1, 5, 6, 10]
    assert sorted(len(batch) for batch in epoch(sampler([2.0] * 17, seconds=0, clips=8))) == [4, 5, 8]


def test_batch_size_counts_clips_without_batch_seconds():
    assert sorted(len(batch) for batch in epoch(sampler(LOG_NORMAL[:30], seconds=0, clips=8))) == [6, 8, 8, 8]


@pytest.mark.parametrize(("seconds", "clips"), [(60.0, 1), (160.0, 1), (0.0, 8)])
def test_padding_is_below_eight_percent(seconds, clips):
    listed = epoch(sampler(seconds=seconds, clips=clips))
    padded = sum(len(batch) * LOG_NORMAL[batch].max() for batch in listed)
    assert 1 - LOG_NORMAL.sum() / padded < 0.08


def test_every_epoch_has_same_number_of_batches():
    batches = sampler(seconds=60)
    assert {len(epoch(batches, number)) for number in range(5)} == {len(batches)}


@pytest.mark.parametrize("world", [2, 3, 8])
def test_processes_divide_the_batches(world):
    """Each gets the same number; together all batches, at most `world - 1` of them twice."""
    alone = epoch(sampler(), 4)
    shares = [epoch(sampler(rank=rank, world_size=world), 4) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    dealt = [tuple(batch) for share in shares for batch in share]
    assert set(dealt) == set(map(tuple, alone))
    assert len(dealt) - len(alone) < world


def test_batches_repeat_with_more_processes_than_batches():
    shares = [epoch(sampler([1.0, 1.0], seconds=0, clips=8, rank=rank, world_size=3)) for rank in range(3)]
    assert [sorted(batch) for share in shares for batch in share] == [[0, 1]] * 3


@pytest.mark.parametrize(("world", "accumulation"), [(1, 1), (2, 1), (1, 4), (2, 2)])
def test_first_two_updates_have_the_largest_batches(world, accumulation):
    """A run that does not fit into memory fails in its first minute or never."""

    def padded(batch):
        return len(batch) * LOG_NORMAL[batch].max()

    every = [
        epoch(sampler(seconds=0, clips=8, rank=rank, world_size=world, batches_per_update=world * accumulation))
        for rank in range(world)
    ]
    first = [padded(batch) for ranked in every for batch in ranked[: 2 * accumulation]]
    rest = [padded(batch) for ranked in every for batch in ranked[2 * accumulation :]]
    assert min(first) >= max(rest)


def test_processes_interleave_the_order_of_one_process():
    """An update has the same clips with one process and with two."""
    one, two = epoch(sampler()), [epoch(sampler(rank=rank, world_size=2)) for rank in range(2)]
    assert [batch for pair in zip(*two, strict=True) for batch in pair][: len(one)] == one
