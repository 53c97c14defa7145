"""The API of the recorder, which trusts no request."""

import io
import secrets
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrkit.data import sources, terms
from asrkit.errors import DataError
from asrkit.runs.store import RunStore
from asrkit.ui.data.api import DataApi
from asrkit.ui.data.recorder import Recorder


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return RunStore(tmp_path / "runs")


def encode_wav(samples):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 48_000, format="WAV")
    return buffer.getvalue()


@pytest.fixture
def upload(tmp_path):
    """Return a function that uploads a file and returns its fields of a request."""

    def write(content):
        path = tmp_path / "uploads" / secrets.token_hex(4) / "take.wav"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return {"path": str(path)}

    return write


def test_second_take_of_a_prompt_replaces_the_first(store, upload):
    recorder = Recorder(store)
    assert recorder.open_dataset({"name": "me", "text": "One.\nTwo.\n"})["waiting"] == ["One.", "Two."]
    sound = encode_wav(0.3 * np.sin(np.arange(48_000) / 20))
    for _ in range(2):
        reply = recorder.save_take({"name": "me", "text": "One.", "speaker": "ann", **upload(sound)})
        assert (reply["kept"], reply["waiting"], reply["to_go"]) == (1, ["Two."], 1)
    assert recorder.describe_dataset({"name": "me"}) == reply
    (row,) = sources.load(reply["data"]).train
    assert (row.text, row.speaker, row.duration_s) == ("One.", "ann", 1.0)
    assert "me" in recorder.list_prompts({})["collections"]


@pytest.mark.parametrize(("speaker", "kept"), [("ann", 1), ("bob", 2), ("", 2)])
def test_recording_replaces_only_those_of_the_same_speaker(store, upload, speaker, kept):
    recorder, sound = Recorder(store), encode_wav(0.3 * np.sin(np.arange(48_000) / 20))
    recorder.save_take({"name": "me", "text": "One.", "speaker": "ann", **upload(sound)})
    request = {"name": "me", "text": "One.", "speaker": speaker}
    assert recorder.save_take(request | upload(sound))["kept"] == kept
    assert recorder.save_take(request | upload(sound))["kept"] == (kept if speaker else kept + 1)


def test_recording_sent_twice_is_kept_once(store, upload):
    """The page sends it again if the reply was lost."""
    recorder = Recorder(store)
    sound = encode_wav(0.3 * np.sin(np.arange(48_000) / 20))
    request = {"name": "me", "text": "One.", "take": "0123456789abcdef"}
    for speaker in ("", "", "ann"):
        assert recorder.save_take(request | {"speaker": speaker} | upload(sound))["kept"] == 1
    assert recorder.save_take(request | {"take": "0123456789abcde0"} | upload(sound))["kept"] == 2
    assert len(list((store.data_dir / "me/clips").iterdir())) == 2
    assert "cannot name a recording" in recorder.save_take(request | {"take": "../../x"} | upload(sound))["error"]


def test_prompts_are_replaced_only_on_request(store):
    recorder = Recorder(store)
    assert not recorder.open_dataset({"name": "me", "text": "Mine."})["others"]
    reply = recorder.open_dataset({"name": "me", "list": "en"})
    assert (reply["waiting"], reply["others"]) == (["Mine."], True)
    assert not recorder.open_dataset({"name": "me", "text": "Mine."})["others"]
    reply = recorder.open_dataset({"name": "me", "list": "en", "replace": True})
    assert (reply["prompts"] > 1, reply["others"]) == (True, False)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "../x", "text": "a"}, "cannot name a dataset"),
        ({"name": "me", "list": "nope"}, "no list of prompts"),
        ({"name": "me", "text": " "}, "There is no prompt"),
        ({}, "cannot name a dataset"),
    ],
)
def test_invalid_recording_session_is_refused(store, fields, words):
    assert words in Recorder(store).open_dataset(fields)["error"]
    assert not store.data_dir.exists()


@pytest.mark.parametrize(
    ("wav", "words"),
    [
        (b"hello", "cannot be read as audio"),
        (b"", "0 bytes"),
        (encode_wav(np.zeros(48_000)), "silent"),
        (encode_wav(np.ones(4_800)), "0.10 s long"),
    ],
)
def test_invalid_recording_is_refused(store, upload, wav, words):
    sent = upload(wav)
    assert words in Recorder(store).save_take({"name": "me", "text": "hi", **sent})["error"]
    assert not store.data_dir.exists() and not Path(sent["path"]).exists()


def test_only_uploaded_recordings_are_accepted(store, tmp_path):
    own = tmp_path / "own.wav"
    own.write_bytes(encode_wav(0.3 * np.sin(np.arange(48_000) / 20)))
    for path in (own, "", None):
        reply = Recorder(store).save_take({"name": "me", "text": "hi", "path": path and str(path)})
        assert "was not uploaded here" in reply["error"]
    assert own.exists() and not store.data_dir.exists()


def test_listed_clip_is_corrected_recorded_again_and_deleted(store, upload):
    recorder, sound = Recorder(store), encode_wav(0.3 * np.sin(np.arange(48_000) / 20))
    data_api = DataApi(store)
    data = recorder.save_take({"name": "me", "text": "One.", "speaker": "ann", **upload(sound)})["data"]

    def list_clips():
        reply = data_api.load({"data": data})
        assert reply["collection"] == "me"
        return {(clip["text"], clip["speaker"]): {"name": "me", "clip": clip["name"]} for clip in reply["clips"]}

    assert recorder.correct_clip(list_clips()["One.", "ann"] | {"text": "Won."}) == {}
    old = list_clips()["Won.", "ann"]
    again = {"name": "me", "text": "Won.", "replaces": old["clip"], **upload(sound)}
    assert recorder.save_take(again)["kept"] == 1
    new = list_clips()["Won.", "ann"]
    assert new != old and "has no clip" in recorder.delete_clip(old)["error"]
    assert "has no clip" in recorder.save_take(again | upload(sound))["error"]
    assert "has no clip" in recorder.delete_clip({"name": "me", "clip": "../metadata.csv"})["error"]
    assert recorder.delete_clip(new) == {} and list((store.data_dir / "me/clips").iterdir()) == []


def test_clips_of_other_datasets_cannot_be_changed(store, tmp_path):
    folder = store.data_dir / "mine"
    folder.mkdir(parents=True)
    soundfile.write(folder / "a.wav", 0.3 * np.sin(np.arange(16_000) / 20), 16_000)
    (folder / "a.txt").write_text("one")
    assert DataApi(store).load({"data": str(folder)})["collection"] == ""
    assert "was not recorded here" in Recorder(store).delete_clip({"name": "mine", "clip": "a.wav"})["error"]
    assert (folder / "a.wav").exists()


def test_consent_and_licence_are_kept_with_the_dataset(store, upload):
    recorder = Recorder(store)
    request = {"name": "me", "text": "One.\nTwo.\n", "speaker": "Ann"}
    recorder.open_dataset({**request, "consent": "May be used\nto *train* <models>.", "licence": "CC BY 4.0"})
    recorder.open_dataset({**request, "speaker": "Ben", "consent": "As Ann."})
    consents = {"Ann": "May be used to *train* <models>.", "Ben": "As Ann."}
    reply = recorder.open_dataset(request)
    assert reply["terms"] == {"licence": "CC BY 4.0", "consents": consents}, "what is not given anew stays"
    sound = encode_wav(0.3 * np.sin(np.arange(48_000) / 20))
    recorder.save_take({"name": "me", "text": "One.", "speaker": "Ann", **upload(sound)})
    card = (Path(reply["data"]) / "README.md").read_text(encoding="utf-8")
    assert r"Consent of Ann: May be used to \*train\* &lt;models&gt;." in card
    assert "Licence of the data: CC BY 4.0" in card
    source = sources.load(reply["data"])
    assert len(source.train) == 1
    assert terms.collect(str(Path(row.audio).parent) for row in source.train) == [{"dataset": "me", **reply["terms"]}]
    assert "give at most" in recorder.open_dataset({**request, "licence": "x" * 3000})["error"]


def test_damaged_terms_are_refused(tmp_path):
    (tmp_path / terms.FILE).write_text('{"licence": 1, "consents": {}}')
    with pytest.raises(DataError, match="no terms as asrkit writes them"):
        terms.read(tmp_path)
