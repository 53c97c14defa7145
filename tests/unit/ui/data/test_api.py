"""The API of the Data tab, which trusts no request."""

import io
import json
import os
import re
import shutil
import threading
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import soundfile

from asrkit.audio import Waveform
from asrkit.audio.confined import AudioReader
from asrkit.audit import inspection, measurement_cache
from asrkit.data import access, collection, confined, sources
from asrkit.data.readers import hub_datasets
from asrkit.errors import DataError, HubError
from asrkit.jobs import CANCELLED
from asrkit.runs import pace
from asrkit.runs.advice import Machine
from asrkit.runs.store import RunStore
from asrkit.ui.common import form
from asrkit.ui.data import api, dataset_cache, estimates, tab
from asrkit.ui.data.api import DataApi
from asrkit.ui.data.dataset_cache import MAX_DATASETS
from tests.support import sheets
from tests.support.waiting import wait_for

RATE = 16_000


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return RunStore(tmp_path / "runs")


@pytest.fixture
def data_api(store):
    return DataApi(store)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "clips").mkdir()
    lines = ["file_name,text,other,speaker"]
    for number in range(12):
        soundfile.write(tmp_path / f"clips/{number}.wav", 0.3 * np.sin(np.arange(RATE) / (9 + number)), RATE)
        lines.append(f"{number}.wav,Hello {number} <b>!,other {number},ann")
    soundfile.write(tmp_path / "clips/silent.wav", np.zeros(RATE), RATE)
    (tmp_path / "clips/metadata.csv").write_text("\n".join([*lines, "silent.wav,silence,other,ann"]))
    return tmp_path / "clips"


def make_request(folder, **fields):
    return {"data": str(folder), "model": "starter", **fields}


def run_audit(data_api, request):
    def poll():
        reply = data_api.check(request)
        return reply if reply.get("state") != "running" else None

    return wait_for(poll, "the audit")


def test_a_large_dataset_is_read_again_only_if_it_has_changed(data_api, folder, monkeypatch):
    readings, load = [], confined.load
    monkeypatch.setattr(confined, "load", lambda *data, **options: readings.append(data) or load(*data, **options))
    request = make_request(folder)
    assert data_api.load(request) == data_api.load(request) and len(readings) == 2
    monkeypatch.setattr(dataset_cache, "MIN_KNOWN_ROWS", 13)
    assert data_api.load(request) == data_api.load(request) and len(readings) == 3
    (folder / "3.wav").unlink()
    data_api.load(request)
    assert data_api.load(request)["eval"] == 0 and len(readings) == 5, "a missing file may come back anywhere"
    shutil.copy2(folder / "2.wav", folder / "3.wav")
    data_api.load(request)
    data_api.load(request)
    assert len(readings) == 6
    with access.as_visitor(""):
        data_api.load(request)
        data_api.load(request)
    assert len(readings) == 8
    archive = make_request(shutil.make_archive(str(folder.parent / "packed"), "zip", folder))
    assert data_api.load(archive) == data_api.load(archive) and len(readings) == 10, "its clips lie elsewhere"


def test_undecidable_columns_are_asked_for(data_api, folder):
    lines = (folder / "metadata.csv").read_text().replace("file_name,text,other", "sound,said,meant", 1)
    (folder / "metadata.csv").write_text(lines)
    reply = data_api.load(make_request(folder))
    assert reply["state"] == "columns" and reply["column_names"] == ["sound", "said", "meant", "speaker"]
    assert "has no text column" in reply["message"]
    reply = data_api.load(make_request(folder, text_column="said"))
    assert reply["columns"] == {"text_column": "said", "audio_column": "sound", "speaker_column": "speaker"}
    assert any("Columns chosen by their content" in text for text in reply["assumed"])


def test_load_describes_the_dataset(data_api, folder):
    reply = json.loads(json.dumps(data_api.load(make_request(folder))))
    assert (reply["train"], reply["eval"], reply["speakers"]) == (13, 0, 1)
    assert reply["layout"] == "folder with a metadata table"
    assert reply["columns"] == {"text_column": "text", "audio_column": "file_name", "speaker_column": "speaker"}
    assert reply["assumed"] == ["Columns that are not used (1): other"]
    assert len(reply["clips"]) == 8 and reply["clips"][0]["text"] == "Hello 0 <b>!"
    changed = data_api.load(make_request(folder, text_column="other"))
    assert changed["clips"][0]["text"] == "other 0"


def test_language_of_the_transcripts_is_proposed(data_api, folder):
    assert data_api.load(make_request(folder))["proposed"] == {}
    lines = [f"{number}.wav,la maison est à {number} km de la ville et il y a des vaches" for number in range(12)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text", *lines]))
    request = make_request(folder)
    proposed = data_api.load(request)["proposed"]
    assert proposed == {"language": "fr", "spell_numbers": "fr"}
    settings = data_api.prepare_training(request | proposed)["settings"]
    assert (settings["language"], settings["spell_numbers"], settings["vocabulary"]) == ("fr", "fr", "auto")
    assert not any(each["unknown"] for each in data_api.preview(request | proposed)["characters"])


def test_accepted_language_decides_the_lower_case(data_api, folder):
    lines = [f"{number}.wav,İzmir IŞIK" for number in range(12)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text", *lines]), encoding="utf-8")
    request = make_request(folder)
    data_api.load(request)
    (finding,) = [each for each in run_audit(data_api, request)["findings"] if each["code"] == "dotless-i"]
    assert finding["settings"] == {"language": "tr"}
    fixed = request | {"fixes": finding["settings"]}
    assert "dotless-i" not in [each["code"] for each in run_audit(data_api, fixed)["findings"]]
    assert data_api.preview(fixed)["pairs"][0][1] == "izmir ışık"
    assert data_api.prepare_training(fixed)["settings"]["language"] == "tr"


def test_dataset_in_use_stays_cached_while_others_are_loaded(data_api, folder, monkeypatch):
    read, load = [], confined.load
    monkeypatch.setattr(confined, "load", lambda data, **options: (read.append(data), load(data, **options))[1])
    data_api.load(make_request(folder))
    for number in range(2 * MAX_DATASETS):
        other = folder.parent / f"other {number}"
        other.symlink_to(folder)
        data_api.load(make_request(other))
        data_api.preview(make_request(folder))
    assert read.count(str(folder)) == 1


def test_other_sheet_of_a_folder_can_be_loaded(data_api, folder):
    rows = [["file_name", "text"], ["0.wav", "one"]]
    (folder / "metadata.csv").unlink()
    sheets.write_xlsx(
        folder / "list.xlsx", {"Mon": sheets.cells(rows), "Tue": sheets.cells([rows[0], ["1.wav", "two"]])}
    )
    reply = data_api.load(make_request(folder))
    assert [name for _, name in reply["sheets"]] == ["Mon", "Tue"] and reply["sheet"] == reply["sheets"][0][0]
    other = data_api.load({"data": reply["sheets"][1][0]})
    assert other["clips"][0]["text"] == "two" and other["sheet"].endswith("/list.xlsx#Tue")


def test_clip_is_served_as_wav(data_api, folder):
    clip = data_api.open_clip({"data": str(folder), "index": "3"})
    samples, rate = soundfile.read(io.BytesIO(clip.read(0, clip.size_bytes)))
    assert (len(samples), rate) == (RATE, RATE)
    for index in ("99", "-1", "", "1.5", "x"):
        with pytest.raises(DataError, match="no longer has that clip"):
            data_api.open_clip({"data": str(folder), "index": index})


def test_preview_normalises_transcripts(data_api, folder):
    reply = data_api.preview(make_request(folder, normaliser="basic", spell_numbers="en", character_map="ll=l"))
    assert ["Hello 0 <b>!", "helo zero b"] in [list(pair) for pair in reply["pairs"]]
    assert reply["changed"] == 12 and not any(each["unknown"] for each in reply["characters"])
    assert any(each["unknown"] for each in data_api.preview(make_request(folder))["characters"]), (
        "the starter writes no digits"
    )
    assert "normaliser" in data_api.preview(make_request(folder, normaliser="x"))["error"]


def test_audit_runs_once_unless_requested_again(data_api, folder, monkeypatch):
    audits = []
    inspect = api.audit_report.inspect
    monkeypatch.setattr(api.audit_report, "inspect", lambda *args: audits.append(1) or inspect(*args))
    request = make_request(folder, normaliser="basic", spell_numbers="en")
    reply = json.loads(json.dumps(run_audit(data_api, request)))
    assert (reply["verdict"], reply["utterances"], reply["dropped"]) == ("ready-with-drops", 12, 1)
    assert {finding["code"] for finding in reply["findings"]} >= {"silent", "little-data"}
    assert all(finding["title"] for finding in reply["findings"])
    run_audit(data_api, request)
    assert len(audits) == 1
    assert data_api.check(request | {"again": True})["state"] == "running"
    run_audit(data_api, request)
    assert len(audits) == 2


@pytest.fixture
def held_audit(monkeypatch):
    """An audit that draws 5 of 13 clips, and waits until this is set before it reads all of them."""
    may_read, check_clips = threading.Event(), inspection.check_clips

    def check_when_set(rows, *arguments):
        if len(rows) > 5:
            assert may_read.wait(60)
        yield from check_clips(rows, *arguments)

    monkeypatch.setattr(inspection, "MIN_SAMPLED_CLIPS", 10)
    monkeypatch.setattr(inspection, "SAMPLE_CLIPS", 5)
    monkeypatch.setattr(inspection, "check_clips", check_when_set)
    yield may_read
    may_read.set()


def test_first_verdict_is_shown_while_the_rest_is_read(data_api, folder, held_audit):
    request = make_request(folder, spell_numbers="en")
    sample = wait_for(lambda: data_api.check(request).get("sample"), "the first verdict")
    assert sample["is_sample"] and sample["sentence"].startswith("First verdict, on 5 clips drawn over all 13: Ready")
    names = {clip["index"]: clip["name"] for clip in data_api.load(request)["clips"]}
    listed = [clip for finding in sample["findings"] for clip in finding["clips"]]
    assert all(clip["name"] == names.get(clip["index"], clip["name"]) for clip in listed)
    assert not any(finding["can_leave_out"] for finding in sample["findings"])
    assert "sample" not in data_api.check(request | {"has_sample": True})
    assert data_api.prepare_training(request)["settings"]["train"] == str(folder), "training need not wait"
    held_audit.set()
    report = run_audit(data_api, request | {"has_sample": True})
    assert (report["utterances"], report["is_sample"]) == (12, False)


def test_stopped_audit_goes_on_where_it_was(data_api, folder, held_audit, monkeypatch):
    monkeypatch.setattr(measurement_cache, "MIN_CLIPS", 10)
    read, measure = [], AudioReader.measure
    monkeypatch.setattr(
        AudioReader, "measure", lambda reader, parts, *rest: (read.extend(parts), measure(reader, parts, *rest))[1]
    )
    for path in folder.glob("*.wav"):
        os.utime(path, (1e9, 1e9))
    request = make_request(folder, spell_numbers="en")
    wait_for(lambda: data_api.check(request).get("sample"), "the first verdict")
    job = data_api.audits.find(data_api._audit_key(request))
    assert "goes on from there" in data_api.stop_check(request)["message"]
    held_audit.set()
    assert job.wait(60) and job.state == CANCELLED
    read.clear()
    assert run_audit(data_api, request)["utterances"] == 12
    assert len(read) <= 8, "the sample was not read again"
    with access.as_visitor("somebody"):
        assert not measurement_cache.is_kept(1000)


def test_changed_dataset_is_audited_again(data_api, folder):
    request = make_request(folder, spell_numbers="en")
    assert run_audit(data_api, request)["utterances"] == 12
    with open(folder / "metadata.csv", "a") as file:
        file.write("\n0.wav,once more,other,ann")
    (clip,) = (each for each in data_api.load(request)["clips"] if each["index"] == 13)
    assert "changed since it was checked" in data_api.prepare_training(request | {"checked": True})["error"]
    reply = run_audit(data_api, request)
    assert (reply["utterances"], data_api.prepare_training(request | {"checked": True}).get("error")) == (13, None)
    query = {"data": request["data"], "id": clip["id"]}
    assert data_api.open_clip(query | {"index": "13"}).size_bytes > 1000
    with pytest.raises(DataError, match="has changed"):
        data_api.open_clip(query | {"index": "0", "id": clip["id"] + "x"})


def test_failed_audit_can_be_repeated(data_api, folder, monkeypatch):
    inspect = api.audit_report.inspect

    def fail(*args):
        raise DataError("The disk is asleep.")

    monkeypatch.setattr(api.audit_report, "inspect", fail)
    assert run_audit(data_api, make_request(folder))["error"] == "The disk is asleep."
    monkeypatch.setattr(api.audit_report, "inspect", inspect)
    assert run_audit(data_api, make_request(folder))["verdict"]


def test_choose_returns_settings_for_the_form(data_api, folder, store):
    request = make_request(folder, normaliser="basic", spell_numbers="en")
    assert data_api.prepare_training(request)["settings"]["train"] == str(folder)
    run_audit(data_api, request)
    settings = data_api.prepare_training(request | {"without": ["little-data"]})["settings"]
    assert len(sources.load(settings["train"]).train) == 12
    assert settings["spell_numbers"] == "en"
    filled = dict(zip(form.NAMES, tab.fill_form(settings | {"model": "starter"}), strict=True))
    assert filled["train"] == settings["train"] and filled["normaliser"] == "basic"
    assert "'nonsense' is not a finding" in data_api.prepare_training(request | {"without": ["nonsense"]})["error"]


def test_audit_uses_the_settings_of_the_form(data_api, folder):
    """They decide what is left out, held out and estimated; a few clips get a recipe of their own."""
    proposed = data_api.prepare_training(make_request(folder, spell_numbers="en"))["settings"]
    assert (proposed["preset"], proposed["num_epochs"], proposed["decoding"]) == ("few-clips", 40, "greedy")
    reply = run_audit(data_api, make_request(folder, spell_numbers="en"))
    assert "uses the preset A few clips. About 40 steps" in reply["estimate"] and "GB of memory" in reply["estimate"]
    assert reply["held_out"] == "2 clips by ann (17%) to evaluate on, 10 to train on."
    settings = dict(zip(form.NAMES, form.load_values("demo"), strict=True)) | {"num_epochs": 300, "eval_count": 4}
    reply = run_audit(data_api, make_request(folder, spell_numbers="en", settings=settings))
    assert "the settings of Train (Demo): About 300 steps" in reply["estimate"]
    assert reply["held_out"].startswith("4 clips")
    assert "preset" not in data_api.prepare_training(make_request(folder, settings=settings))["settings"]
    reply = run_audit(
        data_api, make_request(folder, spell_numbers="en", settings=settings | {"learning_rate": 99}, fixes={"seed": 7})
    )
    assert "few clips" in reply["estimate"], "Start reports invalid settings"
    reply = data_api.prepare_training(make_request(folder, settings=settings, fixes={"split_by": "text"}))
    assert reply["settings"]["split_by"] == "text"


def test_estimate_depends_on_data_and_settings(data_api, folder):
    config = form.DEFAULTS.replace({"train": str(folder)})
    assert data_api.describe_estimate(config) == "" and data_api.describe_estimate(form.DEFAULTS).startswith("About ")
    data_api.load({"data": str(folder)})
    before = data_api.describe_estimate(config.replace({"num_epochs": 10}))
    assert before.startswith("About 20 steps") and before != data_api.describe_estimate(
        config.replace({"batch_seconds": 40})
    )
    assert data_api.describe_estimate(config.replace({"model": "facebook/wav2vec2-base"})) == ""
    licence = data_api.describe_estimate(config.replace({"model": "facebook/mms-1b-all"}))
    assert licence.startswith("facebook/mms-1b-all has a licence for non-commercial use")


def count_steps(data_api, train):
    steps = re.match(r"About ([\d,]+) steps?,", data_api.describe_estimate(form.DEFAULTS.replace({"train": train})))
    return steps and int(steps[1].replace(",", ""))


def record_clips(store, num_clips, seconds=1):
    recorded = collection.open_collection(store.data_dir, "mine")
    for number in range(num_clips):
        recorded.add(Waveform(0.3 * np.sin(np.arange(seconds * RATE) / 9).astype(np.float32)), f"clip {number}")
    return str(recorded.folder)


@pytest.fixture
def remember_run(monkeypatch, tmp_path):
    """Remembers one run of this machine; those of other tests are not known."""
    monkeypatch.setenv(pace.VARIABLE, str(tmp_path / "pace.json"))
    ended = pace.Pace(5.0, 60.0, 200.0, parameters=5_441_821, freeze="feature-encoder")
    return lambda seconds_ago: pace.remember(replace(ended, time=time.time() - seconds_ago), "cpu")


def test_forecast_says_that_the_machine_is_busy(data_api, monkeypatch, remember_run):
    remember_run(seconds_ago=1000)
    num_cores = psutil.cpu_count()
    for load, is_busy in ((0.2 * num_cores, False), (2.0 * num_cores, True)):
        monkeypatch.setattr(psutil, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        text = data_api.describe_estimate(form.DEFAULTS)
        assert text.endswith("This machine is busy now: it may take longer.") == is_busy


def test_speed_of_this_machine_is_no_forecast_for_a_rented_one(data_api):
    assert data_api.describe_estimate(form.DEFAULTS)
    assert data_api.describe_estimate(form.DEFAULTS.replace({"launcher": "hf-jobs"})) == ""


def test_load_of_a_run_that_has_just_ended_is_no_busy_machine(data_api, monkeypatch, remember_run):
    monkeypatch.setattr(psutil, "getloadavg", lambda: (2.0 * psutil.cpu_count(), 0.0, 0.0))
    for seconds_ago, is_busy in ((1000, True), (10, False)):
        remember_run(seconds_ago)
        assert ("This machine is busy now" in data_api.describe_estimate(form.DEFAULTS)) == is_busy


def test_estimate_of_several_datasets_adds_their_clips(data_api, store, folder):
    mine = record_clips(store, 1)
    both = f"callsigns + {mine}"
    before = count_steps(data_api, both)
    assert before >= count_steps(data_api, "callsigns")
    record_clips(store, 10, seconds=15)
    assert count_steps(data_api, both) > before, "a recorded dataset has grown"
    assert count_steps(data_api, mine)
    assert count_steps(data_api, f"{both} + {folder}") is None, "it was not loaded"
    data_api.load({"data": str(folder)})
    assert count_steps(data_api, f"{both} + {folder}")


def test_estimate_of_datasets_that_were_loaded_as_one(data_api, folder):
    data_api.load({"data": f"callsigns + {folder}"})
    assert count_steps(data_api, f"callsigns + {folder}")


def test_large_table_of_a_recorded_dataset_is_not_read_for_an_estimate(data_api, store, monkeypatch):
    mine = record_clips(store, 3)
    assert count_steps(data_api, mine)
    monkeypatch.setattr(estimates, "MAX_TABLE_BYTES", 10)
    assert count_steps(data_api, mine) is None


def test_training_as_advised_takes_the_base_and_settings_of_the_advice(data_api, folder, monkeypatch):
    request = make_request(folder, language="sw", vocabulary="extend")
    monkeypatch.setattr(api, "find_machine", lambda: Machine(8, True, None))
    assert run_audit(data_api, request)["advice"].startswith("1 minute of Swahili, 8 GB: MMS 1B with adapters only")
    settings = data_api.prepare_training(request | {"advised": True, "checked": True})["settings"]
    assert (settings["model"], settings["preset"]) == ("facebook/mms-1b-all", "low-resource")
    assert (settings["freeze"], settings["adapter_language"]) == ("all-but-adapters", "swh")
    assert settings["num_epochs"] == 60 and settings["language"] == "sw"
    settings = data_api.prepare_training(request | {"checked": True})["settings"]
    assert "model" not in settings


@pytest.mark.parametrize(
    ("texts", "decoding"),
    [(["yes", "no", "Yes", "no"], "words"), (["turn it on", "switch it off", "leave me", "off"], "greedy")],
)
def test_word_list_is_proposed_for_commands_only(data_api, store, tmp_path, texts, decoding):
    (tmp_path / "words").mkdir()
    for number, text in enumerate(texts):
        soundfile.write(tmp_path / f"words/{number}.wav", 0.3 * np.sin(np.arange(RATE) / (9 + number)), RATE)
        (tmp_path / f"words/{number}.txt").write_text(text)
    assert data_api.prepare_training(make_request(tmp_path / "words"))["settings"]["decoding"] == decoding


def test_errors_are_returned_as_one_sentence(data_api, folder, tmp_path):
    for function in (data_api.load, data_api.preview, data_api.check):
        assert "There is no data at" in function(make_request(tmp_path / "gone"))["error"]
    with pytest.raises(DataError, match="There is no data at"):
        data_api.open_clip({"data": str(tmp_path / "gone"), "index": "0"})
    assert "There is no model 'gone'" in data_api.check(make_request(folder) | {"model": "gone"})["error"]
    assert "There is no data at ''" in data_api.load({})["error"]


def test_upload_becomes_a_dataset(data_api, store, folder, tmp_path):
    (tmp_path / "uploads/x").mkdir(parents=True)
    sent = []
    for name in ("0.wav", "metadata.csv"):
        path = tmp_path / "uploads/x" / name
        path.write_bytes((folder / name).read_bytes() if name == "0.wav" else b"file_name,text\n0.wav,hi\n")
        sent.append({"path": str(path), "name": name})
    reply = data_api.add_upload({"files": sent})
    assert reply["data"] == str(store.data_dir / "metadata") and data_api.load({"data": reply["data"]})["train"] == 1
    assert reply["data"] in [each["value"] for each in data_api.list_datasets({})["known"]]
    assert not list((tmp_path / "uploads/x").iterdir())


def test_refused_upload_leaves_no_files(data_api, store, tmp_path):
    (tmp_path / "uploads/x").mkdir(parents=True)
    (tmp_path / "uploads/x/a.zip").write_bytes(b"PK no")
    reply = data_api.add_upload({"files": [{"path": str(tmp_path / "uploads/x/a.zip"), "name": "a.zip"}]})
    assert reply["error"].startswith("a.zip is not a readable archive")
    assert not list((tmp_path / "uploads/x").iterdir()) and not list(store.data_dir.glob("*"))


@pytest.mark.parametrize("path", ["{folder}/0.wav", "{folder}/../uploads/../clips/0.wav", "/etc/passwd", "", "gone"])
def test_only_uploaded_files_are_accepted(data_api, folder, store, path):
    request = {"files": [{"path": path.format(folder=folder), "name": "a.wav"}]}
    assert "was not uploaded here" in data_api.add_upload(request)["error"]
    assert (folder / "0.wav").exists() and not store.data_dir.exists()


def test_shared_app_reads_only_its_data_folder(data_api, folder, monkeypatch, store):
    monkeypatch.setenv(access.READABLE_VARIABLE, str(store.data_dir))
    for function in (data_api.load, data_api.preview, data_api.check):
        assert "may not be read here" in function(make_request(folder))["error"]
    with pytest.raises(DataError, match="may not be read here"):
        data_api.open_clip({"data": str(folder), "index": "0"})


def test_forecast_says_how_often_the_clips_of_a_mix_come(data_api, folder):
    other = folder.parent / "other"
    other.symlink_to(folder)
    for name in (folder, other):
        data_api.load({"data": str(name)})
    config = form.DEFAULTS.replace({"train": f"{folder} + {other}", "mix": "3,1"})
    text = data_api.describe_estimate(config)
    assert text.startswith("About ")
    assert re.search(r"75% is from clips, each clip 1\.\d times; 25% is from other, each clip 0\.\d+ times", text)
    assert "each clip" not in data_api.describe_estimate(config.replace({"mix": ""}))


def test_forecast_says_what_is_streamed(data_api, monkeypatch):
    asked = []

    def predict(name, stream):
        asked.append((name, stream.mode))
        return 210_000_000_000

    monkeypatch.setattr(hub_datasets, "predict_streamed_bytes", predict)
    config = form.DEFAULTS.replace({"train": "hub:owner/large", "stream_cache_gb": 20})
    for _ in range(2):  # the Hub is asked once
        text = data_api.describe_estimate(config)
        assert text.endswith("Streams 210 GB from the Hugging Face Hub through a cache of 20 GB.")
    assert asked == [("hub:owner/large", "auto")]
    for changes in ({"stream": "no"}, {"train": "callsigns"}):
        assert "Streams" not in data_api.describe_estimate(config.replace(changes))
    with access.as_visitor("somebody"):
        assert "Streams" not in data_api.describe_estimate(config)


def test_forecast_leaves_out_what_the_hub_does_not_tell(data_api, monkeypatch):
    def fail(name, stream):
        raise HubError("no network")

    monkeypatch.setattr(hub_datasets, "predict_streamed_bytes", fail)
    assert "Streams" not in data_api.describe_estimate(form.DEFAULTS.replace({"train": "hub:owner/unknown"}))
