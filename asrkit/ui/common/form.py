"""The form of the Train tab: the component of each setting of TrainConfig, and the form's values as a TrainConfig."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import gradio as gr

from asrkit import config as configs
from asrkit import hub
from asrkit.audit import selection
from asrkit.config import FIELDS, TrainConfig
from asrkit.data import access
from asrkit.errors import ConfigError
from asrkit.models import catalogue
from asrkit.runs import model_choices
from asrkit.runs.store import RunStore, default_runs_dir
from asrkit.ui import strings
from asrkit.ui.strings.messages import translate

NAMES = tuple(FIELDS)
"""The settings in the order of the form's values."""

DEFAULTS = configs.load_preset("demo").config
EXPERT_SETTINGS = frozenset(
    {
        *("adam_beta1", "adam_beta2", "adam_epsilon", "weight_decay", "max_grad_norm"),
        *("hidden_dropout", "attention_dropout", "layerdrop", "mask_time_length"),
        *("torch_compile", "cache_gb"),
    }
)
"""Settings that the form shows only under “Show all settings”."""
Field = gr.Dropdown | gr.Checkbox | gr.Textbox | gr.Number
Form = dict[str, Field]
"""The components by the names of their settings."""


def list_base_models(store: RunStore) -> list[tuple[str, str]]:
    """List (label, value) of base models: the starter, the runs, then those of the catalogue, which are on the Hub.

    What is on this machine comes first. Others can be typed.
    """
    fetched = [model for model in catalogue.list_models() if hub.is_cached(model.id)]
    others = [model for model in catalogue.list_models() if model not in fetched]
    return [
        *reversed(model_choices.list_models(store)),
        *((strings.text("train.model_on_this_machine", model=model.label), model.id) for model in fetched),
        *((model.label, model.id) for model in others),
    ]


def list_models_by_language() -> list[tuple[str, str]]:
    """List (label, value) of what is recommended for each language, so that its name or code finds it."""
    return [
        (f"{language.label}: {model.id}", model.id)
        for language in catalogue.list_languages()
        for model in catalogue.list_models()
        if model.evidence and model.knows(language)
    ]


def list_model_choices(store: RunStore) -> list[tuple[str, str]]:
    """List the entries of the Base model box."""
    return [*list_base_models(store), *list_models_by_language()]


def list_datasets(store: RunStore) -> list[tuple[str, str]]:
    """List (label, value) of datasets: the visitor's own in the data folder, then those that come with asrkit."""
    folders = [
        path
        for path in sorted(access.visitor_dir(store.data_dir).glob("*"))
        if path.is_dir() and not path.name.startswith(".") and path.name != selection.FOLDER
    ]
    return [*((path.name, str(path)) for path in folders), *list_included_datasets()]


def list_included_datasets() -> list[tuple[str, str]]:
    """List (label, value) of the datasets that come with asrkit."""
    return [(strings.text("train.dataset.callsigns"), "callsigns")]


def make_field(name: str, store: RunStore) -> Field:
    """Make the component of one setting, with the demo's value."""
    meta, value = FIELDS[name].metadata, getattr(DEFAULTS, name)
    common: dict[str, Any] = {
        "label": strings.text(f"setting.{name}"),
        "info": format_help(name),
        "value": value,
        "interactive": True,
        "elem_id": f"field-{name}",
        "min_width": 130,
    }
    if name == "preset":
        titles = [(strings.text(f"preset.{known}"), known) for known in configs.list_presets()]
        return gr.Dropdown(choices=titles, **common | {"info": strings.text("preset.demo.summary")})
    if name in ("model", "train"):
        choices = list_model_choices(store) if name == "model" else list_included_datasets()
        return gr.Dropdown(choices=choices, allow_custom_value=True, **common)
    if meta["choices"]:
        return gr.Dropdown(choices=list(meta["choices"]), **common)
    if isinstance(value, bool):
        return gr.Checkbox(**common)
    if isinstance(value, str):
        return gr.Textbox(**common)
    # No precision and bounds, because gr.Number would round or show a toast; TrainConfig raises a readable error.
    return gr.Number(step=1 if isinstance(value, int) else choose_step(value), **common)


def is_valid_choice(name: str, value: Any) -> bool:
    """Return whether a dropdown has the value; Gradio refuses a form with any other. True for other fields."""
    choices = FIELDS[name].metadata["choices"]
    return not choices or value in choices


def format_help(name: str) -> str:
    """Return the help of a setting, with the bounds of a number."""
    meta, help = FIELDS[name].metadata, strings.text(f"setting.{name}.help")
    if meta["low"] is None:
        return help
    low, high = format_number(meta["low"]), format_number(meta["high"])
    return strings.text("train.help_with_bounds", help=help, low=low, high=high)


def format_number(value: float) -> str:
    """Format 8, 0.001, 1e-7 or 10,000,000; never 1e+07."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:g}".replace("e-0", "e-")


def choose_step(value: float) -> float:
    """Return by how much an arrow key changes a number: a tenth of its order of magnitude; 0.1 for 0."""
    return 10.0 ** (int(f"{value:e}".partition("e")[2]) - 1) if value else 0.1


def read_form(values: Sequence[Any]) -> TrainConfig:
    """Return the form's values as a TrainConfig. Raises ConfigError for invalid values, with a line for each."""
    problems = find_problems(values)
    if problems:
        raise ConfigError("\n".join(problems.values()))
    return TrainConfig().replace(dict(zip(NAMES, values, strict=True)))


def find_problems(values: Sequence[Any]) -> dict[str, str]:
    """Return what is wrong with the form's values, each by itself, by name."""
    given = dict(zip(NAMES, values, strict=True))
    empty = {
        name: strings.text("train.empty_number", label=strings.text(f"setting.{name}"), name=name)
        for name, value in given.items()
        if value is None and not isinstance(getattr(DEFAULTS, name), str)
    }
    return {name: translate(problem) for name, problem in configs.check_values(given)[1].items()} | empty


def find_changes(values: Sequence[Any]) -> dict[str, str]:
    """Return the preset's value, as text, of each setting that has another one; not of the data, which is one's own."""
    valid, _ = configs.check_values(dict(zip(NAMES, values, strict=True)))
    base = configs.load_preset(valid.pop("preset") or DEFAULTS.preset).config.to_dict()
    differing = {name: base[name] for name, value in valid.items() if value != base[name]}
    return {
        name: format_number(value) if type(value) in (int, float) else str(value) or strings.text("common.none")
        for name, value in differing.items()
        if name not in ("train", "eval", "accept_assumptions")
    }


def load_values(preset: str) -> list[Any]:
    """Return the form's values for a preset."""
    values = configs.load_preset(preset).config.to_dict()
    return [values[name] for name in NAMES]


def make_command(config: TrainConfig, store: RunStore) -> str:
    """Return the command that starts the same run: the preset, and the settings that differ from it."""
    preset = config.preset or DEFAULTS.preset
    values, base = config.to_dict(), configs.load_preset(preset).config.to_dict()
    changed = [f"{name}={_format_value(value)}" for name, value in values.items() if value != base[name]]
    words = ["python", "-m", "asrkit", "train", "--preset", preset]
    for setting in changed:
        words += ["--set", setting]
    if store.root.absolute() != default_runs_dir().absolute():
        words += ["--runs-dir", str(store.root)]
    return shlex.join(words)


def _format_value(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
