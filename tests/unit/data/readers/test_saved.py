"""Datasets saved by the datasets library."""

import pytest

from asrkit.audio import load_audio
from asrkit.data import sources
from asrkit.errors import DataError

datasets = pytest.importorskip("datasets")


def make_dataset(*rows):
    """Make a Dataset with an Audio column, without decoding or encoding."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    result = datasets.Dataset.from_dict(columns)
    return result.cast_column("audio", datasets.Audio()) if isinstance(rows[0]["audio"], dict) else result


def make_row(clip, text, **columns):
    return {"audio": {"bytes": clip.read_bytes(), "path": clip.name}, "text": text, **columns}


def test_dataset_dict_is_read_with_its_splits(clip, tmp_path):
    saved = datasets.DatasetDict(
        train=make_dataset(
            make_row(clip("a.flac", 1.5), "one", speaker_id=7), make_row(clip("b.wav", 0.5), "two", speaker_id=8)
        ),
        test=make_dataset(make_row(clip("c.wav"), "three", speaker_id=9)),
    )
    saved.save_to_disk(tmp_path / "saved")
    source = sources.load(str(tmp_path / "saved"), hub_dir=tmp_path / "clips")
    assert [(u.text, u.duration_s, u.speaker) for u in source.train] == [("one", 1.5, "7"), ("two", 0.5, "8")]
    assert [(u.text, u.split, u.row) for u in source.eval] == [("three", "test", "saved test row 0")]
    assert load_audio(source.train[0].audio).duration_s == 1.5
    assert source.train[0].audio.endswith(".flac")
    again = sources.load(str(tmp_path / "saved"), hub_dir=tmp_path / "clips")
    assert again == source
    assert len(list((tmp_path / "clips").iterdir())) == 3


def test_one_bad_row_is_one_bad_row(clip, tmp_path):
    good = make_row(clip("a.wav"), "one")
    nothing = {"audio": None, "text": "two"}
    damaged = {"audio": {"bytes": b"not audio", "path": "b.wav"}, "text": "three"}
    rows = make_dataset(good, nothing, damaged, make_row(clip("c.wav", 2.0), None))
    datasets.DatasetDict(train=rows).save_to_disk(tmp_path / "saved")
    train = sources.load(str(tmp_path / "saved"), hub_dir=tmp_path / "clips").train
    assert [[mark.code for mark in row.marks] for row in train] == [[], ["bad-row"], [], []]
    assert [row.text for row in train] == ["one", "", "three", ""]
    assert [row.duration_s for row in train] == [1.0, -1.0, -1.0, 2.0] and train[1].row == "saved train row 1"


def test_split_column_is_read(clip, tmp_path):
    path = clip("a.wav")
    rows = make_dataset(make_row(path, "one", split="train"), make_row(path, "two", split="dev"))
    rows.save_to_disk(tmp_path / "saved")
    source = sources.load(str(tmp_path / "saved"), hub_dir=tmp_path / "clips")
    assert ([u.text for u in source.train], [u.text for u in source.eval]) == (["one"], ["two"])


def test_column_of_paths_is_read(clip, tmp_path):
    path = clip("a.wav", 2.0)
    make_dataset({"audio": str(path), "transcript": "hi"}).save_to_disk(tmp_path / "saved")
    (utterance,) = sources.load(str(tmp_path / "saved")).train
    assert (utterance.audio, utterance.duration_s) == (str(path), 2.0)


def test_audio_column_is_preferred_to_a_path_column(clip, tmp_path):
    make_dataset(make_row(clip("a.wav"), "hi", path="en_1.mp3")).save_to_disk(tmp_path / "saved")
    assert len(sources.load(str(tmp_path / "saved"), hub_dir=tmp_path / "clips").train) == 1


class TestErrors:
    def assert_refused(self, tmp_path, saved, message):
        saved.save_to_disk(tmp_path / "saved")
        with pytest.raises(DataError, match=message):
            sources.load(str(tmp_path / "saved"))

    def test_no_usable_split(self, clip, tmp_path):
        self.assert_refused(
            tmp_path,
            datasets.DatasetDict(other=make_dataset(make_row(clip("a.wav"), "hi"))),
            "no split that is named like train, validation or test, only other",
        )

    def test_no_text_column(self, tmp_path):
        self.assert_refused(
            tmp_path,
            make_dataset({"audio": {"bytes": b"x", "path": None}, "label": "7"}),
            "saved has no text column: found 'audio', 'label'",
        )

    def test_missing_audio(self, tmp_path):
        self.assert_refused(
            tmp_path,
            datasets.DatasetDict(train=make_dataset({"audio": "gone.wav", "text": "hi"})),
            "saved train row 0: audio holds neither the bytes",
        )

    def test_no_rows(self, tmp_path):
        self.assert_refused(tmp_path, make_dataset({"audio": "a.wav", "text": "hi"}).select([]), "saved has no rows")

    def test_damaged_dataset(self, tmp_path):
        (tmp_path / "state.json").write_text("{}")
        with pytest.raises(DataError, match="cannot be read as a saved dataset"):
            sources.load(str(tmp_path))


def test_unnamed_bytes_get_a_suffix(clip, tmp_path):
    make_dataset({"audio": {"bytes": clip("a.flac").read_bytes(), "path": None}, "text": "hi"}).save_to_disk(
        tmp_path / "s"
    )
    (utterance,) = sources.load(str(tmp_path / "s"), hub_dir=tmp_path / "clips").train
    assert utterance.audio.endswith(".flac") and utterance.duration_s == 1.0
