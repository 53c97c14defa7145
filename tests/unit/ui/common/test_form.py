"""The form <-> TrainConfig."""

import shlex

import gradio as gr
import pytest

from asrkit import cli
from asrkit.cli.options import make_config
from asrkit.config import FIELDS, TrainConfig, list_presets, load_preset
from asrkit.errors import ConfigError
from asrkit.runs.store import RunStore
from asrkit.ui.common import form


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def changed(**values):
    return [values.get(name, value) for name, value in zip(form.NAMES, form.load_values("demo"), strict=True)]


@pytest.mark.parametrize("name", list_presets())
def test_a_preset_fills_the_form_with_what_it_says(name):
    assert form.read_form(form.load_values(name)) == load_preset(name).config


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_a_component_with_its_label_and_help(name, store):
    made = form.make_field(name, store)
    kind = type(getattr(TrainConfig(), name))
    assert made.label == FIELDS[name].metadata["label"]
    assert made.info
    assert made.value == getattr(form.DEFAULTS, name)
    if FIELDS[name].metadata["choices"]:
        assert [value for _, value in made.choices] == list(FIELDS[name].metadata["choices"])
    elif kind in (int, float):
        assert isinstance(made, gr.Number)
        assert form.format_number(FIELDS[name].metadata["high"]) in made.info
    elif kind is bool:
        assert isinstance(made, gr.Checkbox)


def test_numbers_arrive_as_the_browser_sends_them():
    config = form.read_form(changed(num_epochs=3, max_steps=12.0, learning_rate="1e-4"))
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
def test_a_value_that_cannot_work_is_named_in_one_sentence(values, words):
    with pytest.raises(ConfigError) as caught:
        form.read_form(changed(**values))
    assert str(caught.value) == words


def test_the_command_makes_the_same_run(store):
    config = form.read_form(
        changed(train="my clips/it's here", learning_rate=1e-7, gradient_checkpointing=True, seed=12)
    )
    words = shlex.split(form.make_command(config, store))
    assert words[:4] == ["python", "-m", "asrkit", "train"]
    options = cli.build_parser().parse_args(words[3:])
    assert make_config(options) == config
    assert options.runs_dir == str(store.root)


def test_the_command_of_an_untouched_preset_is_short(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASRKIT_RUNS", raising=False)
    assert form.make_command(load_preset("demo").config, RunStore()) == "python -m asrkit train --preset demo"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (10_000_000, "10,000,000"), (1e-12, "1e-12"), (1e-7, "1e-7"), (0.5, "0.5"), (1e-3, "0.001")],
)
def test_numbers_are_written_for_people(value, words):
    assert form.format_number(value) == words


@pytest.mark.parametrize(("value", "step"), [(6e-4, 1e-5), (40.0, 1.0), (1.0, 0.1), (0.0, 0.1)])
def test_an_arrow_moves_a_number_by_a_tenth_of_its_leading_place(value, step):
    assert form.choose_step(value) == pytest.approx(step)


def test_the_starter_is_offered_first_and_hub_models_last(store):
    offered = [value for _, value in form.list_base_models(store)]
    assert offered[0] == "starter"
    assert offered[-len(form.HUB_MODELS) :] == list(form.HUB_MODELS)


def test_expert_settings_exist_and_are_not_basic():
    assert set(FIELDS) > form.EXPERT_SETTINGS
    assert not any(FIELDS[name].metadata["basic"] for name in form.EXPERT_SETTINGS)
