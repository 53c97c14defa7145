"""Manifests: atomic writes, round trips and malformed files."""

import os

import pytest

from asrkit.data import manifest
from asrkit.data.manifest import Utterance
from asrkit.errors import DataError


def utterances(count, speakers=()):
    return [
        Utterance(f"{number}.wav", "hi", 1.0, speaker=speakers[number % len(speakers)] if speakers else None)
        for number in range(count)
    ]


def test_write_and_read_round_trip(tmp_path):
    rows = [
        Utterance("a/é.wav", "I said “नमस्ते”\u2028twice", 1.5, "ann", "train", 0.5, 2.0, "metadata.csv row 7"),
        Utterance("b.wav", "", -1.0),
    ]
    manifest.write(tmp_path / "train.jsonl", rows)
    assert manifest.read(tmp_path / "train.jsonl") == rows
    assert os.listdir(tmp_path) == ["train.jsonl"]


def test_failed_write_keeps_the_old_manifest(tmp_path):
    path = tmp_path / "train.jsonl"
    manifest.write(path, utterances(2))

    def interrupted():
        yield Utterance("a.wav", "a", 1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manifest.write(path, interrupted())
    assert manifest.read(path) == utterances(2)
    assert os.listdir(tmp_path) == ["train.jsonl"]


def test_malformed_manifest_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        manifest.read(tmp_path / "gone.jsonl")
    good = '{"audio": "a.wav", "text": "a", "duration_s": 1.0}\n'
    for bad in ("{", "[]", '{"audio": "a.wav"}', good.replace("1.0", '"x"'), good.replace('"a"', "3")):
        (tmp_path / "bad.jsonl").write_text(good + bad)
        with pytest.raises(DataError, match=r"bad\.jsonl line 2 is not an utterance"):
            manifest.read(tmp_path / "bad.jsonl")


def test_id_is_short_stable_and_unique_for_each_part():
    first = Utterance("x/clip.wav", "a", 1.0)
    assert first.id == Utterance("x/clip.wav", "b", 2.0).id
    assert first.id.startswith("clip-") and len(first.id) == len("clip-") + 8
    assert len({first.id, Utterance("y/clip.wav", "a", 1.0).id, Utterance("x/clip.wav", "a", 1.0, start_s=1.0).id}) == 3
