"""Replies to the Runs tab, from hand-written runs."""

import json
import os
import socket
import uuid

import pytest

from asrkit import config
from asrkit.files import write_json
from asrkit.runs import processes
from asrkit.runs.description import make_description, write_description
from asrkit.runs.events import Event
from asrkit.runs.metadata import update_metadata
from asrkit.runs.report import archive
from asrkit.runs.store import RunStore
from asrkit.ui.runs import api
from asrkit.ui.runs.api import RunsApi

NOW = 1_800_000_000.0
CARD = """| Training Loss | Epoch | Step | Validation Loss | Wer |
|:---:|:---:|:---:|:---:|:---:|
| No log | 1.0 | 100 | 2.5 | 0.9 |
| 2.0 | 2.0 | 200 | 1.5 | 0.5 |
"""


HANDWRITTEN_CARD = """| Training Loss | Step | Validation Loss | Wer |
|---|---|---|---|
| 2.0 | **1,000** | No log | **0.5** |
| 1.0 | 2000 | 1.5 | 0.25 |
| 1.0 | best | 1.5 | 0.25 |
"""


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def runs_api(store):
    return RunsApi(store)


def make_run(store, run_id, *wers, finished=True, **changes):
    """Create a run with an evaluation every 10 steps; the worker of one that is not finished is this process."""
    run = store.create(config.load_preset("demo").config.replace(changes), run_id)
    write_json(run.process_path, {**processes.identify_process(os.getpid()), "host": socket.gethostname()})
    run.append(Event("started", NOW, 0, 0.0, {"total_steps": 100, "metric_for_best_model": "wer"}))
    for index, wer in enumerate(wers):
        step = 10 * index
        for steps_before in (2, 1, 0):
            run.append(Event("train", NOW + step, max(0, step - steps_before), step / 10, {"loss": 3.0 - index}))
        run.append(Event("eval", NOW + step + 1, step, step / 10, {"loss": wer * 2, "wer": wer, "cer": wer / 2}))
    if finished:
        run.append(Event("finished", NOW + 60, 100, 10.0, {"message": "", "saved": True}))
    return run


def rows_by_id(reply):
    return {row["id"]: row for row in reply["rows"]}


def test_row_has_status_metrics_and_trend(store, runs_api):
    make_run(store, "one", 0.9, 0.3, 0.4)
    row = rows_by_id(runs_api.poll({}))["one"]
    assert (row["status"], row["wer"], row["cer"], row["best_step"]) == ("finished", 0.3, 0.15, 10)
    assert (row["step"], row["total_steps"], row["duration_s"], row["trend"]) == (100, 100, 60, [0.9, 0.3, 0.4])
    assert row["disk_bytes"] > 1000 and row["settings"] == {}


def test_only_differing_settings_are_sent(store, runs_api):
    make_run(store, "one", learning_rate=1e-3)
    make_run(store, "two", learning_rate=2e-4, seed=7)
    reply = runs_api.poll({})
    assert [field["name"] for field in reply["fields"]] == ["learning_rate", "seed"]
    assert [(field["label"], field["short"]) for field in reply["fields"]] == [
        ("Learning rate", "lr"),
        ("Seed", "seed"),
    ]
    assert rows_by_id(reply)["two"]["settings"] == {"learning_rate": 2e-4, "seed": 7}
    assert reply["ids"] == ["two", "one"]


def test_only_changed_rows_are_sent_again(store, runs_api):
    make_run(store, "one", 0.5)
    two = make_run(store, "two", 0.5, finished=False)
    first = runs_api.poll({})
    assert set(rows_by_id(first)) == {"one", "two"}
    two.append(Event("eval", NOW + 30, 20, 2.0, {"loss": 0.2, "wer": 0.1, "cer": 0.1}))
    second = runs_api.poll(first)
    assert set(rows_by_id(second)) == {"two"} and rows_by_id(second)["two"]["wer"] == 0.1
    assert len(json.dumps(second)) < 2000


def test_many_runs_are_read_in_several_polls(store, runs_api, monkeypatch):
    """Those under way, and then the newest first."""
    monkeypatch.setattr(api, "REFRESH_S", -1.0)  # enough for one
    make_run(store, "active", 0.5, finished=False)
    for number in (1, 2, 3):
        make_run(store, f"2026010{number}-000000-demo", 0.5, seed=number)
    reply = runs_api.poll({})
    assert len(reply["ids"]) == 4 and list(rows_by_id(reply)) == ["active", "20260103-000000-demo"]
    seen = []
    while reply["pace_ms"] == api.MORE_MS:
        reply = runs_api.poll({"instance": reply["instance"], "version": reply["version"]})
        seen += rows_by_id(reply)
    assert seen == [f"2026010{number}-000000-demo" for number in (2, 1)]


def test_a_setting_that_begins_to_differ_is_sent_for_all_runs(store, runs_api):
    make_run(store, "one", 0.5)
    first = runs_api.poll({})
    make_run(store, "two", 0.5, seed=7)
    runs_api.run_list.rows(refresh=True)
    rows = rows_by_id(runs_api.poll(first))
    assert (rows["one"]["settings"], rows["two"]["settings"]) == ({"seed": 42}, {"seed": 7})


def test_a_run_that_goes_on_after_its_end_is_read_again(store, runs_api):
    run = make_run(store, "one", 0.9, 0.5)
    first = runs_api.poll({})
    run.append(Event("started", NOW + 100, 20, 2.0, {"total_steps": 100, "metric_for_best_model": "wer"}))
    run.append(Event("eval", NOW + 101, 20, 2.0, {"loss": 0.2, "wer": 0.1, "cer": 0.1}))
    run.append(Event("finished", NOW + 130, 100, 10.0, {"message": "", "saved": True}))
    runs_api.run_list.rows(refresh=True)
    row = rows_by_id(runs_api.poll(first))["one"]
    assert (row["wer"], row["trend"]) == (0.1, [0.9, 0.5, 0.1])


def test_renamed_run_is_sent_again(store, runs_api):
    run = make_run(store, "one", 0.5)
    before = runs_api.poll({})
    assert rows_by_id(before)["one"]["name"] == "one"
    write_description(run, make_description("First try", ["paper"], "windy"))
    row = rows_by_id(runs_api.poll({"instance": before["instance"], "version": before["version"]}))["one"]
    assert (row["name"], row["tags"], row["notes"]) == ("First try", ("paper",), "windy")


def test_restarted_app_sends_all_rows_and_deleted_runs_disappear(store, runs_api):
    make_run(store, "one", 0.5)
    reply = runs_api.poll({})
    assert set(rows_by_id(runs_api.poll({**reply, "instance": uuid.uuid4().hex}))) == {"one"}
    store.delete(store.get("one"))
    runs_api.run_list.rows(refresh=True)
    assert runs_api.poll(reply)["ids"] == []


def test_new_run_of_the_same_name_replaces_the_row(store, runs_api):
    make_run(store, "one", 0.5)
    reply = runs_api.poll({})
    store.delete(store.get("one"))
    make_run(store, "one", 0.2)
    runs_api.run_list.rows(refresh=True)
    assert rows_by_id(runs_api.poll(reply))["one"]["wer"] == 0.2


def test_resume_rewinds_the_row_and_its_pause_does_not_count(store, runs_api):
    run = make_run(store, "one", 0.9, 0.5, 0.1, finished=False)
    run.append(Event("phase", NOW + 1000, None, None, {"phase": "loading", "begins": True}))
    run.append(Event("started", NOW + 1001, 10, 1.0, {"total_steps": 100, "metric_for_best_model": "wer"}))
    run.append(Event("finished", NOW + 1030, 100, 10.0, {"message": "", "saved": True}))
    row = rows_by_id(runs_api.poll({}))["one"]
    assert row["trend"] == [0.9, 0.5] and row["wer"] == 0.5
    assert row["duration_s"] == 21 + 30


def test_curve_is_sent_again_only_when_it_grows(store, runs_api):
    run = make_run(store, "one", 0.9, 0.3, finished=False)
    first = runs_api.poll({"compare": {"one": ""}, "series": "eval/wer"})["curves"]["one"]
    assert (first["x"], first["y"], first["t"]) == ([0, 10], [0.9, 0.3], [1.0, 11.0])
    request_data = {"compare": {"one": first["key"]}, "series": "eval/wer"}
    assert runs_api.poll(request_data)["curves"] == {}
    run.append(Event("eval", NOW + 30, 20, 2.0, {"loss": 0.2, "wer": 0.1, "cer": 0.1}))
    assert runs_api.poll(request_data)["curves"]["one"]["y"] == [0.9, 0.3, 0.1]
    assert runs_api.poll({"compare": {"one": first["key"]}, "series": "train/loss"})["curves"]["one"]["y"][-1] == 2.0


@pytest.mark.parametrize(
    "request_data",
    [{"compare": {"nothing": "", "../x": ""}, "series": "eval/wer"}, {"compare": {"one": ""}, "series": "secret"}],
)
def test_unknown_runs_and_series_have_no_curves(store, runs_api, request_data):
    make_run(store, "one", 0.5)
    assert runs_api.poll(request_data)["curves"] == {}


def test_pasted_card_becomes_curves(runs_api):
    reply = runs_api.load_card({"name": "paste", "text": CARD})
    assert reply["notice"] == ""
    assert reply["curves"]["eval/wer"] == {"x": [100, 200], "e": [1.0, 2.0], "y": [0.9, 0.5]}
    assert "eval/cer" not in reply["curves"]
    assert "has no results table" in runs_api.load_card({"name": "paste", "text": "hello"})["notice"]


@pytest.mark.parametrize(
    ("name", "points", "last"), [("english-xlsr-53", 18, 0.3033), ("ascend-xls-r-300m", 20, 0.954)]
)
def test_published_results_are_shipped(runs_api, name, points, last):
    curve = runs_api.load_card({"name": name})["curves"]["eval/wer"]
    assert len(curve["y"]) == points and curve["y"][-1] == last


def test_unreadable_config_does_not_break_the_table(store, runs_api):
    make_run(store, "one", 0.5)
    make_run(store, "two", 0.5)
    (store.root / "two" / "config.json").write_text("{")
    assert set(rows_by_id(runs_api.poll({}))) == {"one", "two"}


def test_handwritten_card_is_parsed(runs_api):
    reply = runs_api.load_card({"text": HANDWRITTEN_CARD})
    assert reply["notice"] == ""
    assert reply["curves"]["eval/wer"]["x"] == [1000, 2000] and reply["curves"]["eval/wer"]["y"] == [0.5, 0.25]
    assert reply["curves"]["eval/loss"]["y"] == [None, 1.5]


def test_uploaded_archive_becomes_a_run(store, runs_api, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    packed = tmp_path / "uploads/one.zip"
    archive.write_zip(archive.iter_archive(make_run(store, "one", 0.9, 0.3)), packed)
    request = {"path": str(packed), "name": "one.zip"}
    assert "Run one already exists" in runs_api.import_run(request)["error"]
    store.delete(store.get("one"))
    assert runs_api.import_run(request) == {"run": "one"}
    assert rows_by_id(runs_api.poll({}))["one"]["wer"] == 0.3
    assert "was not uploaded here" in runs_api.import_run({"path": str(tmp_path), "name": "x.zip"})["error"]


def test_sweep_has_a_table_with_mean_and_spread(store, runs_api):
    assert runs_api.poll({})["sweeps"] == []
    for number, wer in enumerate([0.3, 0.5], 1):
        run = make_run(store, f"tuning-{number}", 0.9, wer)
        update_metadata(run, {"sweep": {"name": "tuning", "values": {"learning_rate": 1e-5, "seed": number}}})
    reply = runs_api.poll({})
    (sweep,) = reply["sweeps"]
    assert sweep["name"] == "tuning" and sweep["cells"] == [
        ["learning_rate", "runs", "WER", "CER", "loss"],
        ["1e-05", "2 of 2", "40.00 ± 14.14 %", "20.00 ± 7.07 %", "0.8000 ± 0.2828"],
    ]
    known = {"instance": reply["instance"], "version": reply["version"]}
    assert runs_api.poll(known)["sweeps"] is None, "no run has changed"
    update_metadata(run, {"tags": ["best"]})
    assert runs_api.poll(known)["sweeps"] == [sweep]
