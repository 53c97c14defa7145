"""TrainConfig: bounds, types, presets and files."""

import dataclasses
import json
import math

import pytest

from asrkit import config
from asrkit.config import FIELDS, TrainConfig
from asrkit.config.fields import TYPE_NAMES
from asrkit.errors import ConfigError

BOUNDED = [name for name, spec in FIELDS.items() if spec.metadata["low"] is not None]
ENUMERATED = [name for name, spec in FIELDS.items() if spec.metadata["choices"]]
TYPES = {name: type(spec.default) for name, spec in FIELDS.items()}
INTEGERS = [name for name, kind in TYPES.items() if kind is int]
NUMBERS = [name for name, kind in TYPES.items() if kind in (int, float)]
BOOLEANS = [name for name, kind in TYPES.items() if kind is bool]
STRINGS = [name for name, kind in TYPES.items() if kind is str]


def make_config(name, value):
    """Make a TrainConfig with one value, and with clip limits that do not contradict it."""
    limits = {"min_duration_s": 0.03, "max_duration_s": 600.0}
    return TrainConfig(**{**limits, name: value})


def config_error(name, value):
    """Return the one-line error for a value, which has the label and the name of the field."""
    with pytest.raises(ConfigError) as error:
        make_config(name, value)
    message = str(error.value)
    assert config.field_label(name) in message and f"({name})" in message and "\n" not in message
    return message


def test_every_number_has_bounds():
    assert set(BOUNDED) == set(NUMBERS)


@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_are_inclusive(name):
    low, high = (FIELDS[name].metadata[side] for side in ("low", "high"))
    step = 1 if TYPES[name] is int else max(abs(low), 1e-3) * 0.01
    assert getattr(make_config(name, low), name) == low
    assert getattr(make_config(name, high), name) == high
    assert f"between {low:g} and {high:g}" in config_error(name, low - step)
    assert "between" in config_error(name, high + (1 if TYPES[name] is int else high * 0.01))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0),
        ("learning_rate", -1e-4),
        ("learning_rate", 0.2),
        ("train_batch_size", 0),
        ("train_batch_size", 5000),
        ("num_epochs", 0),
        ("gradient_accumulation_steps", 0),
        ("eval_share", 0.6),
        ("adam_beta1", 1),
        ("hidden_dropout", 1),
        ("seed", -1),
        ("seed", 2**31),
        ("batch_seconds", -1),
    ],
)
def test_values_out_of_bounds_are_refused(name, value):
    assert "between" in config_error(name, value)


@pytest.mark.parametrize("name", NUMBERS)
def test_values_that_are_no_number_are_refused(name):
    for value in (math.nan, "nan", True, False, None, "eight", "", [8], {"a": 1}, 8j):
        assert "number" in config_error(name, value)


@pytest.mark.parametrize("name", NUMBERS)
def test_infinite_and_huge_numbers_are_refused(name):
    for value in (math.inf, -math.inf, "inf", 1e300, 10**400, "9" * 400):
        config_error(name, value)


@pytest.mark.parametrize("name", INTEGERS)
def test_integers_are_read_from_text_and_floats(name):
    for value in ("8", "8.0", 8.0, " 8 ", 8):
        result = getattr(make_config(name, value), name)
        assert result == 8 and type(result) is int
    for value in ("8.5", 8.5):
        assert "whole number" in config_error(name, value)


def test_floats_are_read_from_text_and_integers():
    assert TrainConfig(learning_rate="1e-4").learning_rate == 0.0001
    assert type(TrainConfig(num_epochs=3).num_epochs) is float


@pytest.mark.parametrize("name", BOOLEANS)
def test_booleans_are_read_from_text(name):
    for value in (True, "true", "True", "1", "yes"):
        assert getattr(make_config(name, value), name) is True
    for value in (False, "false", "0", "no", "NO"):
        assert getattr(make_config(name, value), name) is False
    for value in (1, 0.0, "on", None, ""):
        assert "true or false" in config_error(name, value)


@pytest.mark.parametrize("name", STRINGS)
def test_texts_refuse_other_types(name):
    for value in (3, 2.5, ["a"], True):
        assert "text" in config_error(name, value)


def test_texts_are_stripped_and_none_is_empty():
    assert TrainConfig(language=" en ").language == "en"
    assert TrainConfig(language=None).language == ""


@pytest.mark.parametrize("name", ENUMERATED)
def test_only_the_choices_are_accepted(name):
    choices = FIELDS[name].metadata["choices"]
    for choice in choices:
        assert getattr(make_config(name, choice), name) == choice
    for value in ("nonsense", choices[0].upper(), ""):
        assert f"choose one of {', '.join(choices)}" in config_error(name, value)


def test_contradicting_fields_are_refused():
    with pytest.raises(ConfigError, match=r"Shortest clip \(5 s\) must be below longest clip \(5 s\)"):
        TrainConfig(min_duration_s=5, max_duration_s=5)


@pytest.mark.parametrize("name", ["model", "train"])
def test_empty_model_and_data_are_refused(name):
    for value in ("", "  ", None):
        with pytest.raises(ConfigError, match=f"{config.field_label(name)} is empty"):
            TrainConfig(**{name: value})


def test_config_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().seed = 7


def test_replace_keeps_other_fields_and_refuses_unknown_names():
    base = TrainConfig(seed=7)
    changed = base.replace({"learning_rate": "2e-5"})
    assert (changed.seed, changed.learning_rate, base.learning_rate) == (7, 2e-5, 5e-4)
    with pytest.raises(ConfigError, match="no setting 'lr'; the settings are preset, model"):
        base.replace({"lr": 1e-4})


@pytest.mark.parametrize("name", list(FIELDS))
def test_every_field_has_a_label_help_and_group(name):
    spec = FIELDS[name].metadata
    assert spec["label"] and spec["help"].endswith(".")
    assert spec["group"] in ("Data", "Training", "Model", "Evaluation", "Where it runs")
    assert TYPES[name] in TYPE_NAMES


def test_labels_are_unique():
    assert len({config.field_label(name) for name in FIELDS}) == len(FIELDS)


# Presets


def test_list_of_presets():
    assert set(config.list_presets()) == {
        "demo",
        "few-clips",
        "quick",
        "low-resource",
        "small-gpu",
        "large-gpu",
        "english-xlsr-53",
        "ascend-xls-r-300m",
        "ascend-repaired",
        "omniasr",
        "parakeet",
        "w2v-bert",
    }
    assert config.list_presets()[0] == "demo"


@pytest.mark.parametrize("name", config.list_presets())
def test_every_preset_loads(name):
    preset = config.load_preset(name)
    assert preset.config.preset == preset.name == name
    assert preset.title and preset.summary.endswith(".") and preset.source
    assert config.from_dict(preset.config.to_dict()) == preset.config


# The hyperparameters of the published cards: XLS-R_53_english and ASCEND_Dataset_Model.
PUBLISHED = {
    "english-xlsr-53": {
        "model": "facebook/wav2vec2-large-xlsr-53",
        "learning_rate": 0.0001,
        "train_batch_size": 8,
        "eval_batch_size": 8,
        "seed": 42,
        "gradient_accumulation_steps": 1,
        "lr_scheduler_type": "linear",
        "warmup_steps": 1000,
        "num_epochs": 30,
        "mixed_precision": "fp16",
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
        "eval_steps": 500,
        "logging_steps": 500,
    },
    "ascend-xls-r-300m": {
        "model": "facebook/wav2vec2-xls-r-300m",
        "learning_rate": 0.0003,
        "train_batch_size": 8,
        "eval_batch_size": 1,
        "seed": 42,
        "gradient_accumulation_steps": 2,
        "lr_scheduler_type": "linear",
        "warmup_steps": 500,
        "num_epochs": 20,
        "mixed_precision": "fp16",
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
        "eval_steps": 0,
        "train": "hub:CAiRE/ASCEND",
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_presets_have_the_published_values(name):
    result = config.load_preset(name).config.to_dict()
    assert {field: result[field] for field in PUBLISHED[name]} == PUBLISHED[name]
    # Both counted clips, not seconds, and ran for all their epochs.
    assert result["batch_seconds"] == result["max_steps"] == result["early_stopping_patience"] == 0


def test_unknown_preset_is_refused():
    with pytest.raises(ConfigError, match="no preset 'nonsense'; choose one of demo, "):
        config.load_preset("nonsense")
    with pytest.raises(ConfigError, match=r"no preset '\.\./config'"):
        config.load_preset("../config")
    with pytest.raises(ConfigError, match="no preset 'nonsense'"):
        TrainConfig().replace({"preset": "nonsense"})


# Files


def test_file_overrides_its_preset(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"preset": "english-xlsr-53", "seed": 7}))
    loaded = config.from_file(path)
    assert (loaded.preset, loaded.seed, loaded.warmup_steps) == ("english-xlsr-53", 7, 1000)


def test_file_without_a_preset_overrides_the_defaults(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"seed": 7}')
    assert config.from_file(path) == TrainConfig(seed=7)


def test_config_round_trips_through_a_file(tmp_path):
    path = tmp_path / "config.json"
    expected = TrainConfig(preset="", train="/données/été", learning_rate=3e-5, drop_bad_clips=True)
    path.write_text(json.dumps(expected.to_dict()))
    assert config.from_file(path) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not valid JSON"),
        (b"", "is not valid JSON"),
        (b"\xff\xfe\x00", "is not valid JSON"),
        (b"[1, 2]", "has no settings"),
        (b'"demo"', "has no settings"),
        (b"null", "has no settings"),
        (b'{"preset": "nonsense"}', "no preset 'nonsense'"),
        (b'{"preset": ["demo"]}', "no preset"),
        (b'{"speed": 3}', "no setting 'speed'"),
        (b'{"seed": 1e999}', "whole number"),
        (b'{"learning_rate": NaN}', "must be a number"),
        (b'{"model": "  "}', "Base model is empty"),
    ],
)
def test_malformed_files_are_refused(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        config.from_file(path)
    assert "\n" not in str(error.value)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.json cannot be read \(No such file or directory\)"):
        config.from_file(tmp_path / "gone.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.from_file(tmp_path)


@pytest.mark.parametrize(("numbers", "pairs"), [("", ""), ("de", ""), ("", " ё=е  №= "), ("en", "a=b")])
def test_text_rules_are_accepted_by_the_normaliser(numbers, pairs):
    from asrkit.text.normalisers import make_rules, normalise

    config = TrainConfig(normaliser="german", spell_numbers=numbers, character_map=pairs)
    assert config.text_rules == make_rules("german", numbers, pairs)
    assert normalise("5 ё №", config.text_rules) is not None


def test_text_rules_name_case_and_markup():
    from asrkit.text.normalisers import make_rules, normalise

    config = TrainConfig().replace({"language": "tr", "markup": "remove", "spell_numbers": "tr"})
    assert config.text_rules == make_rules("basic", "tr", case="tr", markup="remove")
    assert normalise("<noise> IŞIK 5", config.text_rules) == "ışık beş"
    assert config.replace({"normaliser": "none", "markup": "keep"}).text_rules == "none+numbers:tr"
    assert config.replace({"language": "en", "markup": "keep"}).text_rules == "basic+numbers:tr"
