"""The form of Train and its conversion to and from TrainConfig."""

import shlex

import gradio as gr
import pytest

from asrkit import cli
from asrkit.cli.options import make_config
from asrkit.config import FIELDS, TrainConfig, list_presets, load_preset
from asrkit.errors import ConfigError
from asrkit.models import catalogue
from asrkit.runs.store import RunStore
from asrkit.ui.common import form


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def make_values(**values):
    return [values.get(name, value) for name, value in zip(form.NAMES, form.load_values("demo"), strict=True)]


@pytest.mark.parametrize("name", list_presets())
def test_preset_values_make_the_config_of_the_preset(name):
    assert form.read_form(form.load_values(name)) == load_preset(name).config


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_a_field_with_label_and_help(name, store):
    component = form.make_field(name, store)
    kind = type(getattr(TrainConfig(), name))
    assert component.label == FIELDS[name].metadata["label"]
    assert component.info
    assert component.value == getattr(form.DEFAULTS, name)
    if FIELDS[name].metadata["choices"]:
        assert [value for _, value in component.choices] == list(FIELDS[name].metadata["choices"])
    elif kind in (int, float):
        assert isinstance(component, gr.Number)
        assert form.format_number(FIELDS[name].metadata["high"]) in component.info
    elif kind is bool:
        assert isinstance(component, gr.Checkbox)


def test_numbers_are_converted_from_browser_values():
    config = form.read_form(make_values(num_epochs=3, max_steps=12.0, learning_rate="1e-4"))
    assert (config.num_epochs, config.max_steps, config.learning_rate) == (3.0, 12, 1e-4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"learning_rate": 3}, "Learning rate (learning_rate) is 3; it must be between 1e-07 and 0.1."),
        ({"train_batch_size": 0}, "Batch size (clips) (train_batch_size) is 0; it must be between 1 and 4096."),
        ({"max_steps": 8.5}, "Maximum steps (max_steps) is 8.5; it must be a whole number."),
        ({"num_epochs": None}, "Epochs (num_epochs) is empty; give a number."),
        ({"model": "  "}, "Base model is empty; enter a value."),
    ],
)
def test_invalid_value_is_reported_with_its_field(values, words):
    with pytest.raises(ConfigError) as caught:
        form.read_form(make_values(**values))
    assert str(caught.value) == words


def test_every_invalid_value_is_named():
    problems = form.find_problems(make_values(learning_rate=3, num_epochs=None, model=" "))
    assert list(problems) == ["model", "learning_rate", "num_epochs"]
    assert "must be between" in problems["learning_rate"] and problems["model"] == "Base model is empty; enter a value."
    with pytest.raises(ConfigError) as caught:
        form.read_form(make_values(learning_rate=3, num_epochs=None, model=" "))
    assert str(caught.value).split("\n") == list(problems.values())


def test_changes_from_the_preset_have_its_values():
    changes = {
        "learning_rate": 0.0005,
        "num_epochs": "bad",
        "train": "/mine",
        "eval_share": 0.5,
        "gradient_checkpointing": True,
    }
    assert form.find_changes(make_values(**changes)) == {
        "learning_rate": "0.001",
        "eval_share": form.format_number(form.DEFAULTS.eval_share),
        "gradient_checkpointing": "False",
    }
    assert form.find_changes(make_values()) == {}


def test_command_makes_the_same_config(store):
    config = form.read_form(
        make_values(train="my clips/it's here", learning_rate=1e-7, gradient_checkpointing=True, seed=12)
    )
    words = shlex.split(form.make_command(config, store))
    assert words[:4] == ["python", "-m", "asrkit", "train"]
    options = cli.build_parser().parse_args(words[3:])
    assert make_config(options) == config
    assert options.runs_dir == str(store.root)


def test_command_of_an_unchanged_preset_has_no_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASRKIT_RUNS", raising=False)
    assert form.make_command(load_preset("demo").config, RunStore()) == "python -m asrkit train --preset demo"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (10_000_000, "10,000,000"), (1e-12, "1e-12"), (1e-7, "1e-7"), (0.5, "0.5"), (1e-3, "0.001")],
)
def test_numbers_are_formatted_readably(value, words):
    assert form.format_number(value) == words


@pytest.mark.parametrize(("value", "step"), [(6e-4, 1e-5), (40.0, 1.0), (1.0, 0.1), (0.0, 0.1)])
def test_step_is_a_tenth_of_the_order_of_magnitude(value, step):
    assert form.choose_step(value) == pytest.approx(step)


def test_models_of_this_machine_are_listed_first(store, monkeypatch):
    known = [model.id for model in catalogue.list_models()]
    monkeypatch.setattr(form.hub, "is_cached", lambda name: name == known[3])
    listed = form.list_base_models(store)
    assert [value for _, value in listed] == ["starter", known[3], *known[:3], *known[4:]]
    assert listed[1][0].startswith(f"On this machine: {known[3]}: ")
    assert listed[2][0].endswith("3.9 GB; not for commercial use")


@pytest.mark.parametrize("typed", ["swahili", "swh", "(sw,"])
def test_base_models_are_found_by_language(store, typed):
    """Gradio offers the entries whose label has what is typed."""
    choices = form.make_field("model", store).choices
    found = [value for label, value in choices if typed in label.lower()]
    assert found == [
        "facebook/mms-1b-all",
        "facebook/wav2vec2-xls-r-300m",
        "facebook/wav2vec2-xls-r-1b",
        "hf-audio/omniasr-ctc-300m-v2",
    ]


def test_expert_settings_exist_and_are_not_basic():
    assert set(FIELDS) > form.EXPERT_SETTINGS
    assert not any(FIELDS[name].metadata["basic"] for name in form.EXPERT_SETTINGS)
