"""What lists of runs say of their settings."""

import json

import pytest

from asrkit.config import load_preset
from asrkit.runs import model_choices
from asrkit.runs.differences import describe_differences
from asrkit.runs.store import RunStore


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"learning_rate": 0.005, "train": "/mine", "model": "some/where"}, "lr 0.005"),
        ({"num_epochs": 20, "learning_rate": 5e-5}, "lr 5e-05, epochs 20"),
        ({"gradient_checkpointing": True}, "gradient checkpointing on"),
        (
            {"learning_rate": 1e-5, "num_epochs": 2, "seed": 9, "weight_decay": 0.5},
            "lr 1e-05, epochs 2, weight decay 0.5, …",
        ),
    ],
)
def test_differences_from_the_preset_are_named_briefly(store, changes, text):
    run = store.create(load_preset("demo").config.replace(changes), "one")
    assert describe_differences(run) == text


def test_settings_of_another_version_are_not_named(store):
    run = store.create(load_preset("demo").config, "one")
    run.config_path.write_text(json.dumps({"preset": "demo", "no_such_setting": 1}))
    assert describe_differences(run) == ""
    store.delete(run)
    assert describe_differences(run) == ""


def test_menus_say_in_what_runs_differ(store):
    run = store.create(load_preset("demo").config.replace({"learning_rate": 0.005}), "one")
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    assert model_choices.list_models(store)[0] == ("Run one: lr 0.005", "one")
