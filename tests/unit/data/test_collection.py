"""A dataset that grows: usable at any moment, whatever happens while a clip is added."""

import multiprocessing
import os

import numpy as np
import pytest
import soundfile

from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.data import sources
from asrkit.data.collection import Collection, list_collections, open_collection
from asrkit.errors import AudioError, DataError


@pytest.fixture
def wave(sine):
    return Waveform(sine(0.5))


def test_it_is_a_dataset_after_each_clip(wave, tmp_path):
    mine = open_collection(tmp_path / "data", "My voice")
    assert mine.clips() == [] and list_collections(tmp_path / "data") == []
    for number, text in enumerate(["Hello, you", 'say "hi"\nnow', "你好"], 1):
        mine.add(wave, text, speaker="ann")
        assert len(sources.load(str(mine.folder)).train) == number
    rows = sources.load(str(mine.folder)).train
    assert [row.text for row in rows] == ["Hello, you", 'say "hi" now', "你好"]
    assert {(row.speaker, row.duration_s) for row in rows} == {("ann", 0.5)}
    np.testing.assert_allclose(load_audio(rows[0].audio).samples, wave.samples, atol=1e-4)
    assert [found.name for found in list_collections(tmp_path / "data")] == ["My voice"]


def test_a_clip_is_taken_again_or_out(wave, sine, tmp_path):
    mine = Collection(tmp_path / "mine")
    first, second = mine.add(wave, "one"), mine.add(wave, "two")
    better = mine.add(Waveform(sine(0.8)), "one", replaces=first.file_name)
    assert mine.clips() == [second, better]
    mine.remove(second.file_name)
    assert mine.clips() == [better]
    assert [path.name for path in (mine.folder / "clips").iterdir()] == [os.path.basename(better.file_name)]
    with pytest.raises(DataError, match="has no clip 'clips/gone.flac'"):
        mine.remove("clips/gone.flac")


def test_what_a_page_names_removes_nothing_else(wave, tmp_path):
    mine = Collection(tmp_path / "mine")
    mine.add(wave, "one")
    (tmp_path / "other.txt").write_text("keep me")
    for name in ("../other.txt", "clips/../../other.txt", "metadata.csv", str(tmp_path / "other.txt")):
        mine.add(wave, "two", replaces=name)
    assert (tmp_path / "other.txt").exists() and len(mine.clips()) == 5


@pytest.mark.parametrize(("text", "words"), [("", "is empty"), (" \n\x00", "is empty"), ("a" * 3000, "3000 char")])
def test_a_transcript_that_is_none(wave, tmp_path, text, words):
    mine = Collection(tmp_path / "mine")
    with pytest.raises(DataError, match=words):
        mine.add(wave, text)
    assert not mine.folder.exists()


def test_a_silent_recording_is_not_kept(sine, tmp_path):
    with pytest.raises(AudioError, match="silent"):
        Collection(tmp_path / "mine").add(Waveform(sine(1.0, peak=0.0)), "hello")
    assert not (tmp_path / "mine").exists()


def test_a_failed_write_leaves_what_was_there(wave, tmp_path, monkeypatch):
    mine = Collection(tmp_path / "mine")
    kept = mine.add(wave, "one")
    before = sorted(mine.folder.rglob("*"))
    replace = os.replace

    def full(draft, path):
        if path.name == "metadata.csv":
            raise OSError(28, "No space left on device")
        replace(draft, path)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DataError, match=r"mine cannot be written \(No space left on device\)"):
        mine.add(wave, "two")
    assert mine.clips() == [kept] and sorted(mine.folder.rglob("*")) == before


def _add(folder, text):
    Collection(folder).add(Waveform(np.sin(np.arange(8000) / 10).astype(np.float32)), text)


def test_several_processes_add_at_once(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.starmap(_add, [(tmp_path / "mine", f"clip {number}") for number in range(12)])
    assert sorted(row.text for row in Collection(tmp_path / "mine").clips()) == sorted(
        f"clip {number}" for number in range(12)
    )


def test_prompts_are_kept(wave, tmp_path):
    mine = Collection(tmp_path / "mine")
    mine.prompts = ["One.", "", " Two  three. ", "One."]
    assert Collection(tmp_path / "mine").prompts == ["One.", "Two three."]
    assert [found.name for found in list_collections(tmp_path)] == ["mine"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "a\\b", ".hidden", "a\nb", "-rf", "a" * 70, "a\0", "c:"]
)
def test_a_name_that_could_mean_another_place(tmp_path, name):
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
def test_somebody_elses_table_is_left_alone(wave, tmp_path, content):
    (tmp_path / "metadata.csv").write_text(content)
    for words in ("was not recorded here", "was not written by asrkit"):
        for add in (lambda mine: mine.add(wave, "hi"), lambda mine: setattr(mine, "prompts", ["hi"])):
            before = sorted(tmp_path.iterdir())
            with pytest.raises(DataError, match=words):
                add(Collection(tmp_path))
            assert sorted(tmp_path.iterdir()) == before and (tmp_path / "metadata.csv").read_text() == content
        (tmp_path / ".lock").touch()


def test_recordings_with_transcripts_beside_them_are_left_alone(wave, tmp_path):
    (tmp_path / "mine").mkdir()
    soundfile.write(tmp_path / "mine/a.wav", wave.samples, SAMPLING_RATE)
    (tmp_path / "mine/a.txt").write_text("hello")
    with pytest.raises(DataError, match="choose another name"):
        open_collection(tmp_path, "mine").add(wave, "hi")
    assert [row.text for row in sources.load(str(tmp_path / "mine")).train] == ["hello"]


@pytest.mark.parametrize("name", ["selections", "Selections"])
def test_the_name_of_the_folder_of_selections_is_taken(tmp_path, name):
    with pytest.raises(DataError, match="another name"):
        open_collection(tmp_path, name)
