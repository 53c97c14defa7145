"""Collections: datasets that users record, valid after each change and after failed writes."""

import multiprocessing
import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.data import sources
from asrkit.data.collection import Collection, find_collection, list_collections, open_collection
from asrkit.errors import AudioError, DataError


@pytest.fixture
def wave(sine):
    return Waveform(sine(0.5))


def test_collection_is_a_dataset_after_each_clip(wave, tmp_path):
    collection = open_collection(tmp_path / "data", "My voice")
    assert collection.clips() == [] and list_collections(tmp_path / "data") == []
    for number, text in enumerate(["Hello, you", 'say "hi"\nnow', "你好"], 1):
        collection.add(wave, text, speaker="ann")
        assert len(sources.load(str(collection.folder)).train) == number
    rows = sources.load(str(collection.folder)).train
    assert [row.text for row in rows] == ["Hello, you", 'say "hi" now', "你好"]
    assert {(row.speaker, row.duration_s) for row in rows} == {("ann", 0.5)}
    np.testing.assert_allclose(load_audio(rows[0].audio).samples, wave.samples, atol=1e-4)
    assert [entry.name for entry in list_collections(tmp_path / "data")] == ["My voice"]


def test_clips_are_replaced_and_removed(wave, sine, tmp_path):
    collection = Collection(tmp_path / "voice")
    first, second = collection.add(wave, "one"), collection.add(wave, "two")
    better = collection.add(Waveform(sine(0.8)), "one", replaces=first.file_name)
    assert collection.clips() == [second, better]
    collection.remove(second.file_name)
    assert collection.clips() == [better]
    assert [path.name for path in (collection.folder / "clips").iterdir()] == [os.path.basename(better.file_name)]
    with pytest.raises(DataError, match="has no clip 'clips/gone.flac'"):
        collection.remove("clips/gone.flac")


def test_transcript_of_a_clip_is_corrected(wave, tmp_path):
    collection = Collection(tmp_path / "voice")
    first, second = collection.add(wave, "one", speaker="ann"), collection.add(wave, "two")
    collection.correct(first.file_name, " on\ne ")
    assert collection.clips() == [replace(first, text="on e"), second]
    for name, text, message in ((first.file_name, " ", "is empty"), ("clips/gone.flac", "x", "has no clip")):
        with pytest.raises(DataError, match=message):
            collection.correct(name, text)
    assert find_collection(tmp_path, str(collection.folder)) is not None
    assert find_collection(tmp_path, str(tmp_path / "other")) is None


def test_replacement_removes_only_clips_of_the_collection(wave, tmp_path):
    collection = Collection(tmp_path / "voice")
    collection.add(wave, "one")
    (tmp_path / "other.txt").write_text("keep me")
    for name in ("../other.txt", "clips/../../other.txt", "metadata.csv", str(tmp_path / "other.txt")):
        collection.add(wave, "two", replaces=name)
    assert (tmp_path / "other.txt").exists() and len(collection.clips()) == 5


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), (" \n\x00", "is empty"), ("a" * 3000, "3000 char")])
def test_bad_transcript_is_refused(wave, tmp_path, text, message):
    collection = Collection(tmp_path / "voice")
    with pytest.raises(DataError, match=message):
        collection.add(wave, text)
    assert not collection.folder.exists()


def test_silent_recording_is_refused(sine, tmp_path):
    with pytest.raises(AudioError, match="silent"):
        Collection(tmp_path / "voice").add(Waveform(sine(1.0, peak=0.0)), "hello")
    assert not (tmp_path / "voice").exists()


def test_failed_write_changes_nothing(wave, tmp_path, monkeypatch):
    collection = Collection(tmp_path / "voice")
    first = collection.add(wave, "one")
    before = sorted(collection.folder.rglob("*"))
    replace = os.replace

    def fail(draft, path):
        if path.name == "metadata.csv":
            raise OSError(28, "No space left on device")
        replace(draft, path)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DataError, match=r"voice cannot be written \(No space left on device\)"):
        collection.add(wave, "two")
    assert collection.clips() == [first] and sorted(collection.folder.rglob("*")) == before


def _add(folder, text):
    Collection(folder).add(Waveform(np.sin(np.arange(8000) / 10).astype(np.float32)), text)


def test_concurrent_processes_add_clips(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(_add, [(tmp_path / "voice", f"clip {number}") for number in range(12)])
    assert sorted(row.text for row in Collection(tmp_path / "voice").clips()) == sorted(
        f"clip {number}" for number in range(12)
    )


def test_prompts_are_saved_without_blanks_and_duplicates(wave, tmp_path):
    collection = Collection(tmp_path / "voice")
    collection.prompts = ["One.", "", " Two  three. ", "One."]
    assert Collection(tmp_path / "voice").prompts == ["One.", "Two three."]
    assert [entry.name for entry in list_collections(tmp_path)] == ["voice"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "a\\b", ".hidden", "a\nb", "-rf", "a" * 70, "a\0", "c:"]
)
def test_unsafe_name_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="cannot name a dataset; use up to 64 letters"):
        open_collection(tmp_path, name)


@pytest.mark.parametrize(
    "content",
    [
        "file_name,text\na.wav,hi\n",
        "file_name,text,speaker,duration_s\na,b,c,long\n",
        "file_name,text,speaker,duration_s\na,b\n",
        "file_name,text,speaker,duration_s,split\na,b,c,1.0,test\n",
    ],
)
def test_foreign_table_is_not_changed(wave, tmp_path, content):
    (tmp_path / "metadata.csv").write_text(content)
    for message in ("was not recorded here", "was not written by asrkit"):
        for add in (
            lambda collection: collection.add(wave, "hi"),
            lambda collection: setattr(collection, "prompts", ["hi"]),
        ):
            before = sorted(tmp_path.iterdir())
            with pytest.raises(DataError, match=message):
                add(Collection(tmp_path))
            assert sorted(tmp_path.iterdir()) == before and (tmp_path / "metadata.csv").read_text() == content
        (tmp_path / ".lock").touch()


def test_foreign_recordings_are_not_changed(wave, tmp_path):
    (tmp_path / "voice").mkdir()
    soundfile.write(tmp_path / "voice/a.wav", wave.samples, SAMPLING_RATE)
    (tmp_path / "voice/a.txt").write_text("hello")
    with pytest.raises(DataError, match="choose another name"):
        open_collection(tmp_path, "voice").add(wave, "hi")
    assert [row.text for row in sources.load(str(tmp_path / "voice")).train] == ["hello"]


@pytest.mark.parametrize("name", ["selections", "Selections"])
def test_reserved_name_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="another name"):
        open_collection(tmp_path, name)
