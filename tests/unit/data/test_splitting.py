"""Splits into training and evaluation utterances."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.data import splitting
from asrkit.data.manifest import Utterance
from asrkit.errors import ConfigError, DataError


def utterances(count, speakers=()):
    return [
        Utterance(f"{number}.wav", "hi", 1.0, speaker=speakers[number % len(speakers)] if speakers else None)
        for number in range(count)
    ]


def split(rows, **options):
    """The rows of both sides."""
    sides = splitting.split_indices([row.speaker for row in rows], [row.text for row in rows], **options)
    return tuple([rows[index] for index in side] for side in sides)


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_random_split_is_a_reproducible_partition(count, share, seed):
    rows = utterances(count)
    train, held = split(rows, eval_share=share, seed=seed)
    assert train and held
    assert sorted(row.audio for row in train + held) == sorted(row.audio for row in rows)
    assert split(rows, eval_share=share, seed=seed) == (train, held)


@given(st.integers(2, 60), st.integers(2, 9), st.floats(0.01, 0.99), st.integers(0, 9))
def test_speakers_stay_on_one_side(count, speakers, share, seed):
    rows = utterances(count, [f"s{number}" for number in range(speakers)])
    train, held = split(rows, eval_share=share, seed=seed)
    assert train and held and len(train) + len(held) == count
    assert not {row.speaker for row in train} & {row.speaker for row in held}


def test_speaker_split_holds_out_the_given_share():
    rows = utterances(500, [f"s{number}" for number in range(50)])
    assert len(split(rows, eval_share=0.1, by="speaker")[1]) == 50


def test_rows_without_a_speaker_are_trained_on():
    rows = [*utterances(8, ["ann", "bob"]), *utterances(4)]
    train, held = split(rows, eval_share=0.4)
    assert {row.speaker for row in held} in ({"ann"}, {"bob"})
    assert sum(row.speaker is None for row in train) == 4


def test_one_speaker_splits_at_random():
    assert len(split(utterances(20, ["ann"]))[1]) == 2


@given(st.integers(3, 40), st.integers(2, 9), st.floats(0.01, 0.99), st.integers(0, 9))
def test_texts_and_copies_stay_on_one_side(count, texts, share, seed):
    rows = [replace(row, text=f"text {number % texts}") for number, row in enumerate(utterances(count))]
    copies = [number // 2 for number in range(count)]  # each pair of neighbours is a copy, with different texts
    train, held = split(rows, eval_share=share, seed=seed, by="random", audio_fingerprints=copies)
    assert train and held and len(train) + len(held) == count
    side = {row.audio: False for row in train} | {row.audio: True for row in held}
    assert all(side[one.audio] == side[two.audio] for one, two in zip(rows[::2], rows[1::2], strict=False))
    train, held = split(rows, eval_share=share, seed=seed, by="text")
    assert held and not {row.text for row in train} & {row.text for row in held}


def test_count_keeps_speakers_together():
    rows = utterances(20, ["ann", "bob", "cy", "dee"])
    held = split(rows, count=6)[1]
    assert len({row.speaker for row in held}) == 1 and len(held) == 5
    assert len(split(rows, count=6, by="random")[1]) == 6


def test_other_seeds_give_other_splits():
    assert split(utterances(50), seed=1) != split(utterances(50), seed=2)


def test_impossible_split_is_refused():
    with pytest.raises(DataError, match="1 of 1 utterances cannot be held out"):
        split(utterances(1))
    with pytest.raises(DataError, match="at least 2 different ones and the data has 1; add a speaker column"):
        split(utterances(9, ["ann"]), by="speaker")
    with pytest.raises(ConfigError, match="eval_share is 1.5"):
        split(utterances(9), eval_share=1.5)
    with pytest.raises(ConfigError, match="'gender'; choose speaker, text, random or auto"):
        split(utterances(9), by="gender")


def test_hold_out_takes_the_last_rows_of_one_shuffle():
    train, held = splitting.hold_out(10, 3, seed=0)
    assert (len(train), len(held)) == (7, 3)
    assert splitting.hold_out(10, 4, seed=0)[1][1:] == held
    for count in (0, 10, 11):
        with pytest.raises(DataError, match=f"{count} of 10 utterances cannot be held out"):
            splitting.hold_out(10, count, seed=0)
