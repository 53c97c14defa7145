"""What the Data tab's script gets to hear: answers, and one sentence for what is wrong. Nothing in it is trusted."""

import io
import json
import secrets
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrkit.data import access, sources
from asrkit.errors import DataError
from asrkit.runs.store import RunStore
from asrkit.ui.common import form
from asrkit.ui.data import api, tab
from asrkit.ui.data.api import DataApi
from asrkit.ui.data.recorder import Recorder
from tests.support import sheets
from tests.support.waiting import wait_for

RATE = 16_000


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return RunStore(tmp_path / "runs")


@pytest.fixture
def desk(store):
    return DataApi(store)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    lines = ["file_name,text,other,speaker"]
    for number in range(12):
        soundfile.write(tmp_path / f"mine/{number}.wav", 0.3 * np.sin(np.arange(RATE) / (9 + number)), RATE)
        lines.append(f"{number}.wav,Hello {number} <b>!,other {number},ann")
    soundfile.write(tmp_path / "mine/silent.wav", np.zeros(RATE), RATE)
    (tmp_path / "mine/metadata.csv").write_text("\n".join([*lines, "silent.wav,silence,other,ann"]))
    return tmp_path / "mine"


def asked(folder, **more):
    return {"data": str(folder), "model": "starter", **more}


def audited(desk, given):
    def answer():
        told = desk.check(given)
        return told if told.get("state") != "running" else None

    return wait_for(answer, "the audit")


def test_a_dataset_is_looked_at(desk, folder):
    told = json.loads(json.dumps(desk.load(asked(folder))))
    assert (told["train"], told["eval"], told["speakers"], told["layout"]) == (13, 0, 1, "folder with a metadata table")
    assert told["columns"] == {"text_column": "text", "audio_column": "file_name", "speaker_column": "speaker"}
    assert len(told["clips"]) == 8 and told["clips"][0]["text"] == "Hello 0 <b>!"
    changed = desk.load(asked(folder, text_column="other"))
    assert changed["clips"][0]["text"] == "other 0"


def test_a_dataset_that_somebody_works_on_is_not_read_anew_for_what_others_look_at(desk, folder, monkeypatch):
    read, load = [], sources.load
    monkeypatch.setattr(sources, "load", lambda data, **options: (read.append(data), load(data, **options))[1])
    desk.load(asked(folder))
    for number in range(2 * api.REMEMBERED):
        others = folder.parent / f"other {number}"
        others.symlink_to(folder)
        desk.load(asked(others))
        desk.preview(asked(folder))
    assert read.count(str(folder)) == 1


def test_another_sheet_can_be_chosen_in_a_folder_too(desk, folder):
    rows = [["file_name", "text"], ["0.wav", "one"]]
    (folder / "metadata.csv").unlink()
    sheets.xlsx(folder / "list.xlsx", {"Mon": sheets.cells(rows), "Tue": sheets.cells([rows[0], ["1.wav", "two"]])})
    told = desk.load(asked(folder))
    assert [name for _, name in told["sheets"]] == ["Mon", "Tue"] and told["sheet"] == told["sheets"][0][0]
    other = desk.load({"data": told["sheets"][1][0]})
    assert other["clips"][0]["text"] == "two" and other["sheet"].endswith("/list.xlsx#Tue")


def test_a_clip_is_heard(desk, folder):
    clip = desk.open_clip({"data": str(folder), "index": "3"})
    samples, rate = soundfile.read(io.BytesIO(clip.read(0, clip.size_bytes)))
    assert (len(samples), rate) == (RATE, RATE)
    for index in ("99", "-1", "", "1.5", "x"):
        with pytest.raises(DataError, match="not there any more"):
            desk.open_clip({"data": str(folder), "index": index})


def test_transcripts_are_previewed(desk, folder):
    told = desk.preview(asked(folder, normaliser="basic", spell_numbers="en", character_map="ll=l"))
    assert ["Hello 0 <b>!", "helo zero b"] in [list(pair) for pair in told["pairs"]]
    assert told["changed"] == 12 and not any(each["unknown"] for each in told["characters"])
    assert any(each["unknown"] for each in desk.preview(asked(folder))["characters"]), "the starter writes no digits"
    assert "normaliser" in desk.preview(asked(folder, normaliser="x"))["error"]


def test_an_audit_is_made_once_and_remembered(desk, folder, monkeypatch):
    made = []
    inspect = api.audit_report.inspect
    monkeypatch.setattr(api.audit_report, "inspect", lambda *given: made.append(1) or inspect(*given))
    given = asked(folder, normaliser="basic", spell_numbers="en")
    told = json.loads(json.dumps(audited(desk, given)))
    assert (told["verdict"], told["utterances"], told["dropped"]) == ("ready-with-drops", 12, 1)
    assert {found["code"] for found in told["findings"]} >= {"silent", "little-data"}
    assert all(found["title"] for found in told["findings"])
    audited(desk, given)
    assert len(made) == 1
    assert desk.check(given | {"again": True})["state"] == "running"
    audited(desk, given)
    assert len(made) == 2


def test_a_dataset_that_has_grown_is_checked_anew(desk, folder):
    given = asked(folder, spell_numbers="en")
    assert audited(desk, given)["utterances"] == 12
    with open(folder / "metadata.csv", "a") as file:
        file.write("\n0.wav,once more,other,ann")
    (clip,) = (each for each in desk.load(given)["clips"] if each["place"] == 13)
    assert "changed since it was checked" in desk.choose(given | {"checked": True})["error"]
    told = audited(desk, given)
    assert (told["utterances"], desk.choose(given | {"checked": True}).get("error")) == (13, None)
    query = {"data": given["data"], "id": clip["id"]}
    assert desk.open_clip(query | {"index": "13"}).size_bytes > 1000
    with pytest.raises(DataError, match="has changed"):
        desk.open_clip(query | {"index": "0", "id": clip["id"] + "x"})


def test_an_error_is_told_once(desk, folder, monkeypatch):
    inspect = api.audit_report.inspect

    def fail(*given):
        raise DataError("The disk is asleep.")

    monkeypatch.setattr(api.audit_report, "inspect", fail)
    assert audited(desk, asked(folder))["error"] == "The disk is asleep."
    monkeypatch.setattr(api.audit_report, "inspect", inspect)
    assert audited(desk, asked(folder))["verdict"]


def test_what_is_chosen_is_what_the_form_gets(desk, folder, store):
    given = asked(folder, normaliser="basic", spell_numbers="en")
    assert desk.choose(given)["settings"]["train"] == str(folder)
    audited(desk, given)
    settings = desk.choose(given | {"without": ["little-data"]})["settings"]
    assert len(sources.load(settings["train"]).train) == 12
    assert settings["spell_numbers"] == "en"
    filled = dict(zip(form.NAMES, tab.filled(settings | {"model": "starter"}), strict=True))
    assert filled["train"] == settings["train"] and filled["normaliser"] == "basic"
    assert "'nonsense' is no finding" in desk.choose(given | {"without": ["nonsense"]})["error"]


def test_an_audit_is_for_the_settings_of_the_form(desk, folder):
    """What Train holds decides what is left out, held out and estimated; a few clips get a recipe of their own."""
    few = desk.choose(asked(folder, spell_numbers="en"))["settings"]
    assert (few["preset"], few["num_epochs"], few["decoding"]) == ("few-clips", 40, "greedy")
    told = audited(desk, asked(folder, spell_numbers="en"))
    assert "takes the preset A few clips. About 40 steps" in told["estimate"] and "GB of memory" in told["estimate"]
    assert told["held_out"] == "2 clips by ann (17%) are to evaluate on, 10 to train on."
    mine = dict(zip(form.NAMES, form.load_values("demo"), strict=True)) | {"num_epochs": 300, "eval_count": 4}
    told = audited(desk, asked(folder, spell_numbers="en", settings=mine))
    assert "the settings of Train (Demo): About 300 steps" in told["estimate"]
    assert told["held_out"].startswith("4 clips")
    assert "preset" not in desk.choose(asked(folder, settings=mine))["settings"]
    told = audited(desk, asked(folder, spell_numbers="en", settings=mine | {"learning_rate": 99}, fixes={"seed": 7}))
    assert "few clips" in told["estimate"], "a form that cannot work is told by Start"
    assert desk.choose(asked(folder, settings=mine, fixes={"split_by": "text"}))["settings"]["split_by"] == "text"


def test_train_tells_what_a_run_will_take(desk, folder):
    config = form.DEFAULTS.replace({"train": str(folder)})
    assert desk.forecast(config) == "" and desk.forecast(form.DEFAULTS).startswith("About ")
    desk.load({"data": str(folder)})
    before = desk.forecast(config.replace({"num_epochs": 10}))
    assert before.startswith("About 20 steps") and before != desk.forecast(config.replace({"batch_seconds": 40}))
    assert desk.forecast(config.replace({"model": "facebook/wav2vec2-base"})) == ""


@pytest.mark.parametrize(
    ("texts", "decoding"),
    [(["yes", "no", "Yes", "no"], "words"), (["turn it on", "switch it off", "leave me", "off"], "greedy")],
)
def test_commands_are_told_from_sentences(desk, store, tmp_path, texts, decoding):
    (tmp_path / "said").mkdir()
    for number, text in enumerate(texts):
        soundfile.write(tmp_path / f"said/{number}.wav", 0.3 * np.sin(np.arange(RATE) / (9 + number)), RATE)
        (tmp_path / f"said/{number}.txt").write_text(text)
    assert desk.choose(asked(tmp_path / "said"))["settings"]["decoding"] == decoding


def test_what_is_wrong_is_one_sentence(desk, folder, tmp_path):
    for question in (desk.load, desk.preview, desk.check):
        assert "There is no data at" in question(asked(tmp_path / "gone"))["error"]
    with pytest.raises(DataError, match="There is no data at"):
        desk.open_clip({"data": str(tmp_path / "gone"), "index": "0"})
    assert "There is no model 'gone'" in desk.check(asked(folder) | {"model": "gone"})["error"]
    assert "There is no data at ''" in desk.load({})["error"]


def test_an_upload_becomes_a_dataset(desk, store, folder, tmp_path):
    (tmp_path / "uploads/x").mkdir(parents=True)
    sent = []
    for name in ("0.wav", "metadata.csv"):
        path = tmp_path / "uploads/x" / name
        path.write_bytes((folder / name).read_bytes() if name == "0.wav" else b"file_name,text\n0.wav,hi\n")
        sent.append({"path": str(path), "name": name})
    told = desk.add_upload({"files": sent})
    assert told["data"] == str(store.data_dir / "metadata") and desk.load({"data": told["data"]})["train"] == 1
    assert told["data"] in [each["value"] for each in desk.list_datasets({})["known"]]
    assert not list((tmp_path / "uploads/x").iterdir())


def test_an_upload_that_is_refused_leaves_nothing(desk, store, tmp_path):
    (tmp_path / "uploads/x").mkdir(parents=True)
    (tmp_path / "uploads/x/a.zip").write_bytes(b"PK no")
    told = desk.add_upload({"files": [{"path": str(tmp_path / "uploads/x/a.zip"), "name": "a.zip"}]})
    assert told["error"].startswith("a.zip is no archive that can be read")
    assert not list((tmp_path / "uploads/x").iterdir()) and not list(store.data_dir.glob("*"))


@pytest.mark.parametrize("path", ["{folder}/0.wav", "{folder}/../uploads/../mine/0.wav", "/etc/passwd", "", "gone"])
def test_only_what_was_uploaded_is_taken(desk, folder, store, path):
    given = {"files": [{"path": path.format(folder=folder), "name": "a.wav"}]}
    assert "was not uploaded here" in desk.add_upload(given)["error"]
    assert (folder / "0.wav").exists() and not store.data_dir.exists()


def test_other_files_are_not_read_where_others_can_reach_the_app(desk, folder, monkeypatch, store):
    monkeypatch.setenv(access.READABLE_VARIABLE, str(store.data_dir))
    for question in (desk.load, desk.preview, desk.check):
        assert "may not be read here" in question(asked(folder))["error"]
    with pytest.raises(DataError, match="may not be read here"):
        desk.open_clip({"data": str(folder), "index": "0"})


def wav_of(samples):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 48_000, format="WAV")
    return buffer.getvalue()


@pytest.fixture
def uploaded(tmp_path):
    """Put a file where the page's uploads lie; -> what names it in a request."""

    def upload(content):
        path = tmp_path / "uploads" / secrets.token_hex(4) / "take.wav"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        return {"path": str(path)}

    return upload


def test_prompts_are_recorded_and_a_second_take_replaces_the_first(store, uploaded):
    recorder = Recorder(store)
    assert recorder.begin({"name": "me", "text": "One.\nTwo.\n"})["waiting"] == ["One.", "Two."]
    sound = wav_of(0.3 * np.sin(np.arange(48_000) / 20))
    for _ in range(2):
        told = recorder.keep({"name": "me", "text": "One.", "speaker": "ann", **uploaded(sound)})
        assert (told["kept"], told["waiting"], told["to_go"]) == (1, ["Two."], 1)
    assert recorder.progress({"name": "me"}) == told
    (row,) = sources.load(told["data"]).train
    assert (row.text, row.speaker, row.duration_s) == ("One.", "ann", 1.0)
    assert "me" in recorder.list_prompts({})["collections"]


@pytest.mark.parametrize(("speaker", "kept"), [("ann", 1), ("bob", 2), ("", 2)])
def test_a_recording_replaces_none_of_somebody_else(store, uploaded, speaker, kept):
    recorder, sound = Recorder(store), wav_of(0.3 * np.sin(np.arange(48_000) / 20))
    recorder.keep({"name": "me", "text": "One.", "speaker": "ann", **uploaded(sound)})
    given = {"name": "me", "text": "One.", "speaker": speaker}
    assert recorder.keep(given | uploaded(sound))["kept"] == kept
    assert recorder.keep(given | uploaded(sound))["kept"] == (kept if speaker else kept + 1)


def test_a_recording_that_is_sent_twice_is_kept_once(store, uploaded):
    """The answer was lost on the way, so the page sends it again."""
    recorder = Recorder(store)
    sound = wav_of(0.3 * np.sin(np.arange(48_000) / 20))
    given = {"name": "me", "text": "One.", "take": "0123456789abcdef"}
    for speaker in ("", "", "ann"):
        assert recorder.keep(given | {"speaker": speaker} | uploaded(sound))["kept"] == 1
    assert recorder.keep(given | {"take": "0123456789abcde0"} | uploaded(sound))["kept"] == 2
    assert len(list((store.data_dir / "me/clips").iterdir())) == 2
    assert "cannot name a recording" in recorder.keep(given | {"take": "../../x"} | uploaded(sound))["error"]


def test_prompts_of_a_dataset_are_replaced_only_on_demand(store):
    recorder = Recorder(store)
    assert not recorder.begin({"name": "me", "text": "Mine."})["others"]
    told = recorder.begin({"name": "me", "list": "en"})
    assert (told["waiting"], told["others"]) == (["Mine."], True)
    assert not recorder.begin({"name": "me", "text": "Mine."})["others"]
    told = recorder.begin({"name": "me", "list": "en", "replace": True})
    assert (told["prompts"] > 1, told["others"]) == (True, False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "../x", "text": "a"}, "cannot name a dataset"),
        ({"name": "me", "list": "nope"}, "no list of prompts"),
        ({"name": "me", "text": " "}, "There is no prompt"),
        ({}, "cannot name a dataset"),
    ],
)
def test_a_recording_session_that_cannot_begin(store, given, words):
    assert words in Recorder(store).begin(given)["error"]
    assert not store.data_dir.exists()


@pytest.mark.parametrize(
    ("wav", "words"),
    [
        (b"hello", "cannot be read as audio"),
        (b"", "0 bytes"),
        (wav_of(np.zeros(48_000)), "silent"),
        (wav_of(np.ones(4_800)), "0.10 s long"),
    ],
)
def test_a_recording_that_is_none(store, uploaded, wav, words):
    sent = uploaded(wav)
    assert words in Recorder(store).keep({"name": "me", "text": "hi", **sent})["error"]
    assert not store.data_dir.exists() and not Path(sent["path"]).exists()


def test_only_an_uploaded_recording_is_kept(store, folder):
    for path in (folder / "0.wav", "", None):
        told = Recorder(store).keep({"name": "me", "text": "hi", "path": path and str(path)})
        assert "was not uploaded here" in told["error"]
    assert (folder / "0.wav").exists() and not store.data_dir.exists()
