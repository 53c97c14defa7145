"""What the Runs tab is told, from hand-written runs."""

import json
import os
import socket
import uuid

import pytest

from asrkit import config
from asrkit.files import write_json
from asrkit.runs import processes
from asrkit.runs.events import Event
from asrkit.runs.store import RunStore
from asrkit.ui.runs.api import RunsTable

NOW = 1_800_000_000.0
CARD = """| Training Loss | Epoch | Step | Validation Loss | Wer |
|:---:|:---:|:---:|:---:|:---:|
| No log | 1.0 | 100 | 2.5 | 0.9 |
| 2.0 | 2.0 | 200 | 1.5 | 0.5 |
"""


BY_HAND = """| Training Loss | Step | Validation Loss | Wer |
|---|---|---|---|
| 2.0 | **1,000** | No log | **0.5** |
| 1.0 | 2000 | 1.5 | 0.25 |
| 1.0 | best | 1.5 | 0.25 |
"""


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def table(store):
    return RunsTable(store)


def made(store, run_id, *wers, finished=True, **changes):
    """A run with an evaluation every 10 steps; one that is not finished is this very process."""
    run = store.create(config.load_preset("demo").config.replace(changes), run_id)
    write_json(run.process_path, {**processes.identify_process(os.getpid()), "host": socket.gethostname()})
    run.append(Event("started", NOW, 0, 0.0, {"total_steps": 100, "metric_for_best_model": "wer"}))
    for number, wer in enumerate(wers):
        step = 10 * number
        for back in (2, 1, 0):
            run.append(Event("train", NOW + step, max(0, step - back), step / 10, {"loss": 3.0 - number}))
        run.append(Event("eval", NOW + step + 1, step, step / 10, {"loss": wer * 2, "wer": wer, "cer": wer / 2}))
    if finished:
        run.append(Event("finished", NOW + 60, 100, 10.0, {"message": "", "saved": True}))
    return run


def rows(told):
    return {row["id"]: row for row in told["rows"]}


def test_a_row_says_what_became_of_a_run(store, table):
    made(store, "one", 0.9, 0.3, 0.4)
    row = rows(table.poll({}))["one"]
    assert (row["status"], row["wer"], row["cer"], row["best_step"]) == ("finished", 0.3, 0.15, 10)
    assert (row["step"], row["total_steps"], row["duration_s"], row["trend"]) == (100, 100, 60, [0.9, 0.3, 0.4])
    assert row["disk_bytes"] > 1000 and row["settings"] == {}


def test_the_settings_that_differ_and_no_others(store, table):
    made(store, "one", learning_rate=1e-3)
    made(store, "two", learning_rate=2e-4, seed=7)
    told = table.poll({})
    assert [field["name"] for field in told["fields"]] == ["learning_rate", "seed"]
    assert [field["label"] for field in told["fields"]] == ["Learning rate", "Seed"]
    assert rows(told)["two"]["settings"] == {"learning_rate": 2e-4, "seed": 7}
    assert told["ids"] == ["two", "one"]


def test_only_what_has_changed_is_sent_again(store, table):
    made(store, "one", 0.5)
    two = made(store, "two", 0.5, finished=False)
    first = table.poll({})
    assert set(rows(first)) == {"one", "two"}
    two.append(Event("eval", NOW + 30, 20, 2.0, {"loss": 0.2, "wer": 0.1, "cer": 0.1}))
    second = table.poll(first)
    assert set(rows(second)) == {"two"} and rows(second)["two"]["wer"] == 0.1
    assert len(json.dumps(second)) < 2000


def test_another_app_begins_anew_and_a_deleted_run_goes(store, table):
    made(store, "one", 0.5)
    told = table.poll({})
    assert set(rows(table.poll({**told, "life": uuid.uuid4().hex}))) == {"one"}
    store.delete(store.get("one"))
    table.list.rows(now=True)
    assert table.poll(told)["ids"] == []


def test_a_run_of_the_same_name_takes_the_place(store, table):
    made(store, "one", 0.5)
    told = table.poll({})
    store.delete(store.get("one"))
    made(store, "one", 0.2)
    table.list.rows(now=True)
    assert rows(table.poll(told))["one"]["wer"] == 0.2


def test_a_resumed_run_is_rewound_and_its_pause_is_not_counted(store, table):
    run = made(store, "one", 0.9, 0.5, 0.1, finished=False)
    run.append(Event("phase", NOW + 1000, None, None, {"phase": "loading", "begins": True}))
    run.append(Event("started", NOW + 1001, 10, 1.0, {"total_steps": 100, "metric_for_best_model": "wer"}))
    run.append(Event("finished", NOW + 1030, 100, 10.0, {"message": "", "saved": True}))
    row = rows(table.poll({}))["one"]
    assert row["trend"] == [0.9, 0.5] and row["wer"] == 0.5
    assert row["duration_s"] == 21 + 30


def test_curves_are_sent_once_and_again_when_they_grow(store, table):
    run = made(store, "one", 0.9, 0.3, finished=False)
    first = table.poll({"compare": {"one": ""}, "series": "eval/wer"})["curves"]["one"]
    assert (first["x"], first["y"], first["t"]) == ([0, 10], [0.9, 0.3], [1.0, 11.0])
    asked = {"compare": {"one": first["key"]}, "series": "eval/wer"}
    assert table.poll(asked)["curves"] == {}
    run.append(Event("eval", NOW + 30, 20, 2.0, {"loss": 0.2, "wer": 0.1, "cer": 0.1}))
    assert table.poll(asked)["curves"]["one"]["y"] == [0.9, 0.3, 0.1]
    assert table.poll({"compare": {"one": first["key"]}, "series": "train/loss"})["curves"]["one"]["y"][-1] == 2.0


@pytest.mark.parametrize(
    "asked",
    [{"compare": {"nothing": "", "../x": ""}, "series": "eval/wer"}, {"compare": {"one": ""}, "series": "secret"}],
)
def test_what_does_not_exist_is_not_drawn(store, table, asked):
    made(store, "one", 0.5)
    assert table.poll(asked)["curves"] == {}


def test_a_pasted_card_becomes_curves(table):
    told = table.card({"name": "paste", "text": CARD})
    assert told["notice"] == ""
    assert told["curves"]["eval/wer"] == {"x": [100, 200], "e": [1.0, 2.0], "y": [0.9, 0.5]}
    assert "eval/cer" not in told["curves"]
    assert "has no results table" in table.card({"name": "paste", "text": "hello"})["notice"]


@pytest.mark.parametrize(
    ("name", "points", "last"), [("english-xlsr-53", 18, 0.3033), ("ascend-xls-r-300m", 20, 0.954)]
)
def test_the_published_results_are_shipped(table, name, points, last):
    curve = table.card({"name": name})["curves"]["eval/wer"]
    assert len(curve["y"]) == points and curve["y"][-1] == last


def test_a_configuration_that_cannot_be_read_does_not_stop_the_table(store, table):
    made(store, "one", 0.5)
    made(store, "two", 0.5)
    (store.root / "two" / "config.json").write_text("{")
    assert set(rows(table.poll({}))) == {"one", "two"}


def test_a_card_that_was_written_by_hand_is_read(table):
    told = table.card({"text": BY_HAND})
    assert told["notice"] == ""
    assert told["curves"]["eval/wer"]["x"] == [1000, 2000] and told["curves"]["eval/wer"]["y"] == [0.5, 0.25]
    assert told["curves"]["eval/loss"]["y"] == [None, 1.5]
