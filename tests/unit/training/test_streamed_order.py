"""The order of streamed clips: a function of seed and epoch that needs few pieces at once."""

from collections import Counter

import numpy as np
import pytest

from asrkit.data.mix import Mix
from asrkit.training import streamed_order
from asrkit.training.streamed_order import Pieces, StreamedBatchSampler, UpcomingPieces

NUM_PIECES, PIECE_CLIPS, PIECE_BYTES = 40, 50, 1000
LENGTHS = np.exp(np.random.default_rng(0).normal(1.5, 0.6, NUM_PIECES * PIECE_CLIPS)).clip(0.5, 20)


def make_pieces(num_clips=NUM_PIECES * PIECE_CLIPS):
    of_clip = np.arange(num_clips) // PIECE_CLIPS
    num_pieces = of_clip.max() + 1
    return Pieces(of_clip, [f"/cache/{n}" for n in range(num_pieces)], np.full(num_pieces, PIECE_BYTES))


def sampler(durations=LENGTHS, pieces=None, seconds=60.0, clips=8, buffer=6, **where):
    return StreamedBatchSampler(
        durations,
        pieces or make_pieces(len(durations)),
        batch_seconds=seconds,
        batch_size=clips,
        max_buffer_bytes=buffer * PIECE_BYTES,
        seed=where.pop("seed", 1),
        **where,
    )


def epoch(batches, number=0):
    return [[key[1] for key in batch] for batch in batches.iter_epoch(number)]


@pytest.mark.parametrize("seconds", [0.0, 20.0, 60.0])
@pytest.mark.parametrize("count", [1, 2, 49, 51, 333, 2000])
def test_epoch_contains_every_clip_once(count, seconds):
    batches = sampler(LENGTHS[:count], seconds=seconds)
    for number in range(3):
        listed = epoch(batches, number)
        assert len(listed) == len(batches)
        counted = Counter(clip for batch in listed for clip in batch)
        assert set(counted) == set(range(count))
        # Only where there are fewer clips than batches, some come again.
        assert sum(counted.values()) - count <= max(0, len(batches) - count)


@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_processes_part_the_clips(world_size):
    ranks = [sampler(rank=rank, world_size=world_size) for rank in range(world_size)]
    for number in range(3):
        parts = [epoch(batches, number) for batches in ranks]
        assert len({len(part) for part in parts}) == 1
        assert sorted(clip for part in parts for batch in part for clip in batch) == list(range(len(LENGTHS)))
        used = [{clip // PIECE_CLIPS for batch in part for clip in batch} for part in parts]
        assert sum(map(len, used)) == NUM_PIECES, "each piece is fetched by one process"


def test_same_seed_and_epoch_give_the_same_batches():
    assert epoch(sampler(), 5) == epoch(sampler(), 5)
    batches = sampler()
    assert epoch(batches, 5) == epoch(batches, 5) != epoch(batches, 6)
    assert epoch(sampler(seed=2), 5) != epoch(batches, 5)


def test_each_piece_is_needed_for_one_stretch_of_an_epoch():
    for number in range(2):
        needed = [{clip // PIECE_CLIPS for clip in batch} for batch in epoch(sampler(buffer=6), number)]
        first, last = {}, {}
        for position, pieces in enumerate(needed):
            for piece in pieces:
                first.setdefault(piece, position)
                last[piece] = position
        at_once = [sum(first[p] <= position <= last[p] for p in first) for position in range(len(needed))]
        assert max(at_once) <= 6


def test_first_step_needs_two_pieces():
    batches = epoch(sampler())
    assert len({clip // PIECE_CLIPS for batch in batches[:10] for clip in batch}) == 2


def test_clips_of_a_buffer_are_mixed_and_of_like_lengths():
    listed = epoch(sampler(buffer=10), 1)
    assert np.mean([len({clip // PIECE_CLIPS for clip in batch}) for batch in listed]) > 4
    padded = sum(len(batch) * LENGTHS[batch].max() for batch in listed)
    assert padded < 1.25 * LENGTHS.sum()
    others = {frozenset(batch) for batch in epoch(sampler(buffer=10), 2)}
    assert not any(frozenset(batch) in others for batch in listed if len(batch) > 1)


@pytest.mark.parametrize("seconds", [20.0, 60.0, 320.0])
def test_batch_seconds_bounds_padded_length(seconds):
    batches = sampler(seconds=seconds)
    for number in range(6):
        over = [b for b in epoch(batches, number) if len(b) > 1 and len(b) * LENGTHS[b].max() > seconds]
        assert len(over) <= 0.01 * len(batches)


def test_weights_of_datasets_hold():
    names = ["own" if n < 200 else "corpus" for n in range(len(LENGTHS))]
    mix = Mix(LENGTHS, names, {"own": 0.5, "corpus": 0.5}, seed=1)
    batches = sampler(mix=mix)
    for number in range(2):
        keys = [key for batch in batches.iter_epoch(number) for key in batch]
        assert len(set(keys)) == len(keys), "repetitions have a key of their own"
        own_s = sum(LENGTHS[key[1]] for key in keys if key[1] < 200)
        assert own_s == pytest.approx(sum(LENGTHS[key[1]] for key in keys) / 2, rel=0.1)


def test_next_pieces_are_known_before_they_are_needed():
    batches = sampler(buffer=6)
    upcoming, named = UpcomingPieces(batches), set()
    for number in range(2):
        for batch in batches.iter_epoch(number):
            for _, clip, *_ in batch:
                paths = upcoming.note(number, clip)
                if paths:
                    assert len(paths) <= 3 * 6
                    named.update(paths)
                assert f"/cache/{clip // PIECE_CLIPS}" in named
    assert named == {f"/cache/{n}" for n in range(NUM_PIECES)}


def test_resumed_process_names_the_pieces_of_where_it_is():
    batches = sampler(buffer=6)
    keys = [key for batch in list(batches.iter_epoch(0))[len(batches) // 2 :] for key in batch]
    paths = UpcomingPieces(batches).note(*keys[0])
    assert f"/cache/{keys[0][1] // PIECE_CLIPS}" in paths


def test_evaluation_begins_with_few_pieces():
    pieces = make_pieces()
    order = pieces.order(seed=3)
    assert sorted(order) == list(range(len(LENGTHS)))
    assert len({clip // PIECE_CLIPS for clip in order[:64]}) == 2
    parts = pieces.cut(order[:500].tolist(), 4 * PIECE_BYTES)
    assert [clip for part in parts for clip in part] == order[:500].tolist()
    assert max(len({clip // PIECE_CLIPS for clip in part}) for part in parts) == 4
    assert pieces.list_paths(order[:64].tolist()) == [f"/cache/{order[0] // 50}", f"/cache/{order[63] // 50}"]


def test_large_buffers_are_bounded_by_clips(monkeypatch):
    monkeypatch.setattr(streamed_order, "MAX_BUFFER_CLIPS", 100)
    buffers = sampler(buffer=1000).list_buffers(1, 0)
    assert max(map(len, buffers)) == 2
