"""TrainConfig's declarations <-> the form: which component a setting gets, and what the form's values mean."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import gradio as gr

from asrkit import config as configs
from asrkit.config import FIELDS, TrainConfig, field_label
from asrkit.errors import ConfigError
from asrkit.runs import model_choices
from asrkit.runs.store import RunStore, default_runs_dir

NAMES = tuple(FIELDS)
"""The settings in the order of the form's values."""

DEFAULTS = configs.load_preset("demo").config
DATASETS = [("Radio callsigns (comes with asrkit)", "callsigns")]
HUB_MODELS = (
    "facebook/wav2vec2-base",
    "facebook/wav2vec2-xls-r-300m",
    "facebook/mms-300m",
    "facebook/hubert-base-ls960",
    "microsoft/wavlm-base-plus",
    "facebook/w2v-bert-2.0",
)
Form = dict[str, gr.components.Component]


def base_models(store: RunStore) -> list[tuple[str, str]]:
    """(label, value) to offer as a base: the starter, the runs, then well-known Hub ids. Anything else can be typed."""
    return [*reversed(model_choices.list_models(store)), *((name, name) for name in HUB_MODELS)]


def field(name: str, store: RunStore) -> gr.components.Component:
    """The component of one setting, showing the demo's value."""
    meta, value = FIELDS[name].metadata, getattr(DEFAULTS, name)
    common: dict[str, Any] = {
        "label": meta["label"],
        "info": help_text(name),
        "value": value,
        "interactive": True,
        "elem_id": f"field-{name}",
        "min_width": 130,
    }
    if name == "preset":
        titles = [(configs.load_preset(known).title, known) for known in configs.list_presets()]
        return gr.Dropdown(choices=titles, **common | {"info": configs.load_preset("demo").summary})
    if name in ("model", "train"):
        offered = base_models(store) if name == "model" else DATASETS
        return gr.Dropdown(choices=offered, allow_custom_value=True, **common)
    if meta["choices"]:
        return gr.Dropdown(choices=list(meta["choices"]), **common)
    if isinstance(value, bool):
        return gr.Checkbox(**common)
    if isinstance(value, str):
        return gr.Textbox(**common)
    # Without precision and bounds: gr.Number would round, or refuse in a toast; TrainConfig says it in a sentence.
    return gr.Number(step=1 if isinstance(value, int) else step_of(value), **common)


def offered(name: str, value: Any) -> bool:
    """Whether the field can show the value: a dropdown takes only what it offers, and refuses the whole form else."""
    choices = FIELDS[name].metadata["choices"]
    return not choices or value in choices


def help_text(name: str) -> str:
    """The declared help, with the bounds of a number."""
    meta = FIELDS[name].metadata
    if meta["low"] is None:
        return meta["help"]
    return f"{meta['help']} From {number(meta['low'])} to {number(meta['high'])}."


def number(value: float) -> str:
    """8, 0.001, 1e-7 or 10,000,000: never 1e+07."""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:g}".replace("e-0", "e-")


def step_of(value: float) -> float:
    """What one press of the arrow changes a number by: a tenth of its leading place, for 0 a tenth."""
    return 10.0 ** (int(f"{value:e}".partition("e")[2]) - 1) if value else 0.1


def read(values: Sequence[Any]) -> TrainConfig:
    """The form as a TrainConfig. ConfigError in one sentence for a value that cannot work."""
    given = dict(zip(NAMES, values, strict=True))
    for name, value in given.items():
        if value is None and not isinstance(getattr(DEFAULTS, name), str):
            raise ConfigError(f"{field_label(name)} ({name}) is empty; give a number.")
    return TrainConfig().replace(given)


def values_of(preset: str) -> list[Any]:
    """The form's values for a preset."""
    told = configs.load_preset(preset).config.to_dict()
    return [told[name] for name in NAMES]


def shown(preset: str, values: Sequence[Any]) -> list[Any]:
    """What the fields are to show, with the preset's own words beside its name."""
    return [
        gr.update(value=preset, info=configs.load_preset(preset).summary) if name == "preset" else value
        for name, value in zip(NAMES, values, strict=True)
    ]


def command(config: TrainConfig, store: RunStore) -> str:
    """The same run, from a terminal: the preset and what differs from it."""
    preset = config.preset or DEFAULTS.preset
    told, base = config.to_dict(), configs.load_preset(preset).config.to_dict()
    changed = [f"{name}={_plain(value)}" for name, value in told.items() if value != base[name]]
    words = ["python", "-m", "asrkit", "train", "--preset", preset]
    for setting in changed:
        words += ["--set", setting]
    if store.root.absolute() != default_runs_dir().absolute():
        words += ["--runs-dir", str(store.root)]
    return shlex.join(words)


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
