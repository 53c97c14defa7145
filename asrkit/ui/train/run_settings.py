"""The settings of a run for the live panel: in one line, and all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.config import FIELDS
from asrkit.data import dataset_names
from asrkit.runs.differences import describe_differences, format_value, load_base, read_config
from asrkit.runs.run import Run
from asrkit.ui import strings


def describe_settings(run: Run) -> str:
    """Format `Demo · starter · callsigns · lr 0.005`; empty for settings of another version."""
    config = read_config(run)
    if config is None:
        return ""
    preset = strings.text(f"preset.{config.preset}") if config.preset else strings.text("train.no_preset")
    datasets = " + ".join(Path(name).name or name for name in dataset_names.separate(config.train))
    return " · ".join(filter(None, [preset, config.model, datasets, describe_differences(run)]))


def list_settings(run: Run) -> list[dict[str, Any]]:
    """List `{"label", "value", "preset"}`: the settings that differ from the preset, with its value, then the others.

    Raises ConfigError for settings of another version.
    """
    config = run.config()
    base = load_base(config)
    rows = [
        {
            "label": strings.text(f"setting.{name}"),
            "value": _format(getattr(config, name)),
            "preset": "" if getattr(config, name) == getattr(base, name) else _format(getattr(base, name)),
        }
        for name in FIELDS
    ]
    return sorted(rows, key=lambda row: not row["preset"])


def _format(value: Any) -> str:
    return format_value(value) if value != "" else strings.text("common.none")
