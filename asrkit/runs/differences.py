"""In what the settings of a run differ from its preset, in a few words: "lr 0.005, epochs 20"."""

from __future__ import annotations

import functools
import os
from typing import Any

from asrkit import config as configs
from asrkit.config import FIELDS, TrainConfig, field_label
from asrkit.errors import ConfigError
from asrkit.runs.run import Run

SHORT_NAMES = {
    "learning_rate": "lr",
    "head_learning_rate": "head lr",
    "num_epochs": "epochs",
    "train_batch_size": "batch",
    "batch_seconds": "batch seconds",
    "gradient_accumulation_steps": "accumulation",
    "warmup_steps": "warm-up",
    "lr_scheduler_type": "schedule",
    "mixed_precision": "precision",
}
MAX_NAMED = 3
_OTHER_GROUPS = ("Data", "Where it runs")
_NOT_NAMED = ("preset", "model", *(name for name, field in FIELDS.items() if field.metadata["group"] in _OTHER_GROUPS))


def short_name(name: str) -> str:
    """Return what a setting is called where there is little room."""
    return SHORT_NAMES.get(name) or field_label(name).lower()


def describe_differences(run: Run) -> str:
    """Name up to MAX_NAMED settings that differ from the preset; empty for none, or for settings of another version.

    Those of the data, the base model and the machine are not named.
    """
    config = read_config(run)
    if config is None:
        return ""
    base = load_base(config)
    named = [name for name in FIELDS if name not in _NOT_NAMED and getattr(config, name) != getattr(base, name)]
    texts = [f"{short_name(name)} {format_value(getattr(config, name))}" for name in named[:MAX_NAMED]]
    return ", ".join([*texts, "…"] if len(named) > MAX_NAMED else texts)


def format_value(value: Any) -> str:
    """Format a setting: 0.005, 5e-05, on, ctc."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def load_base(config: TrainConfig) -> TrainConfig:
    """Return the settings of the preset that a run began with."""
    return _load_preset(config.preset) if config.preset else TrainConfig()


def read_config(run: Run) -> TrainConfig | None:
    """Read the settings of a run, which never change; None if this version cannot. Lists do this again and again."""
    try:
        return _read(os.fspath(run.config_path), os.stat(run.config_path).st_mtime_ns)
    except OSError:
        return None


@functools.lru_cache(maxsize=4096)
def _read(path: str, changed_ns: int) -> TrainConfig | None:
    try:
        return configs.from_file(path)
    except ConfigError:
        return None


@functools.cache
def _load_preset(name: str) -> TrainConfig:
    return configs.load_preset(name).config
