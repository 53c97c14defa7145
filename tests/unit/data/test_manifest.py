import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrkit.data import manifest
from asrkit.data.manifest import Utterance
from asrkit.errors import ConfigError, DataError


def utterances(count, speakers=()):
    return [
        Utterance(f"{number}.wav", "hi", 1.0, speaker=speakers[number % len(speakers)] if speakers else None)
        for number in range(count)
    ]


def test_round_trip(tmp_path):
    rows = [
        Utterance("a/é.wav", "I said “नमस्ते”\u2028twice", 1.5, "ann", "train", 0.5, 2.0, "metadata.csv row 7"),
        Utterance("b.wav", "", -1.0),
    ]
    manifest.write(tmp_path / "train.jsonl", rows)
    assert manifest.read(tmp_path / "train.jsonl") == rows
    assert os.listdir(tmp_path) == ["train.jsonl"]


def test_a_failed_write_leaves_the_old_manifest(tmp_path):
    path = tmp_path / "train.jsonl"
    manifest.write(path, utterances(2))

    def broken():
        yield Utterance("a.wav", "a", 1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manifest.write(path, broken())
    assert manifest.read(path) == utterances(2)
    assert os.listdir(tmp_path) == ["train.jsonl"]


def test_read_errors(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        manifest.read(tmp_path / "gone.jsonl")
    good = '{"audio": "a.wav", "text": "a", "duration_s": 1.0}\n'
    for bad in ("{", "[]", '{"audio": "a.wav"}', good.replace("1.0", '"x"'), good.replace('"a"', "3")):
        (tmp_path / "bad.jsonl").write_text(good + bad)
        with pytest.raises(DataError, match=r"bad\.jsonl line 2 is not an utterance"):
            manifest.read(tmp_path / "bad.jsonl")


def test_id_is_short_stable_and_tells_parts_apart():
    first = Utterance("x/clip.wav", "a", 1.0)
    assert first.id == Utterance("x/clip.wav", "b", 2.0).id
    assert first.id.startswith("clip-") and len(first.id) == len("clip-") + 8
    assert len({first.id, Utterance("y/clip.wav", "a", 1.0).id, Utterance("x/clip.wav", "a", 1.0, start_s=1.0).id}) == 3


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_random_split_parts_the_rows(count, share, seed):
    rows = utterances(count)
    train, held = manifest.split(rows, eval_share=share, seed=seed)
    assert train and held
    assert sorted(row.audio for row in train + held) == sorted(row.audio for row in rows)
    assert manifest.split(rows, eval_share=share, seed=seed) == (train, held)


@given(st.integers(2, 60), st.integers(2, 9), st.floats(0.01, 0.99), st.integers(0, 9))
def test_speakers_stay_on_one_side(count, speakers, share, seed):
    rows = utterances(count, [f"s{number}" for number in range(speakers)])
    train, held = manifest.split(rows, eval_share=share, seed=seed)
    assert train and held and len(train) + len(held) == count
    assert not {row.speaker for row in train} & {row.speaker for row in held}


def test_speaker_split_meets_the_share():
    rows = utterances(500, [f"s{number}" for number in range(50)])
    assert len(manifest.split(rows, eval_share=0.1, by="speaker")[1]) == 50


def test_rows_without_a_speaker_train():
    rows = [*utterances(8, ["ann", "bob"]), *utterances(4)]
    train, held = manifest.split(rows, eval_share=0.4)
    assert {row.speaker for row in held} in ({"ann"}, {"bob"})
    assert sum(row.speaker is None for row in train) == 4


def test_one_speaker_splits_at_random():
    assert len(manifest.split(utterances(20, ["ann"]))[1]) == 2


@given(st.integers(3, 40), st.integers(2, 9), st.floats(0.01, 0.99), st.integers(0, 9))
def test_texts_and_copies_stay_on_one_side(count, texts, share, seed):
    rows = [replace(row, text=f"text {number % texts}") for number, row in enumerate(utterances(count))]
    copies = [number // 2 for number in range(count)]  # of neighbours, which say different things
    train, held = manifest.split(rows, eval_share=share, seed=seed, by="random", prints=copies)
    assert train and held and len(train) + len(held) == count
    side = {row.audio: False for row in train} | {row.audio: True for row in held}
    assert all(side[one.audio] == side[two.audio] for one, two in zip(rows[::2], rows[1::2], strict=False))
    train, held = manifest.split(rows, eval_share=share, seed=seed, by="text")
    assert held and not {row.text for row in train} & {row.text for row in held}


def test_a_count_is_held_out_by_speaker_too():
    rows = utterances(20, ["ann", "bob", "cy", "dee"])
    held = manifest.split(rows, count=6)[1]
    assert len({row.speaker for row in held}) == 1 and len(held) == 5
    assert len(manifest.split(rows, count=6, by="random")[1]) == 6


def test_other_seeds_give_other_splits():
    assert manifest.split(utterances(50), seed=1) != manifest.split(utterances(50), seed=2)


def test_split_errors():
    with pytest.raises(DataError, match="1 of 1 utterances cannot be held out"):
        manifest.split(utterances(1))
    with pytest.raises(DataError, match="at least 2 different ones and the data has 1; add a speaker column"):
        manifest.split(utterances(9, ["ann"]), by="speaker")
    with pytest.raises(ConfigError, match="eval_share is 1.5"):
        manifest.split(utterances(9), eval_share=1.5)
    with pytest.raises(ConfigError, match="'gender'; choose speaker, text, random or auto"):
        manifest.split(utterances(9), by="gender")


def test_hold_out():
    rows = utterances(10)
    train, held = manifest.hold_out(rows, 3, seed=0)
    assert (len(train), len(held)) == (7, 3)
    assert manifest.hold_out(rows, 4, seed=0)[1][1:] == held  # the last of one shuffle
    for count in (0, 10, 11):
        with pytest.raises(DataError, match=f"{count} of 10 utterances cannot be held out"):
            manifest.hold_out(rows, count, seed=0)
