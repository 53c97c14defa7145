"""What flags say: the settings of a run, a text of expected words; and JSON on the way out."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from asrkit import config as configs
from asrkit.errors import ConfigError

POLL_S = 0.3
"""How often a terminal is told."""


def expected(options: argparse.Namespace) -> Any:
    from asrkit.decoding.hints import DecodingHints

    try:
        text = Path(options.expect).read_text(encoding="utf-8") if options.expect else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--expect {options.expect}: the text cannot be read ({error}).") from error
    return DecodingHints(text, options.hot_words, options.language_model)


def settings_of(options: argparse.Namespace) -> configs.TrainConfig:
    """The TrainConfig that the flags describe. ConfigError if they do not fit together."""
    if options.preset and options.config:
        raise ConfigError("Give --preset or --config, not both.")
    config = (
        configs.from_file(options.config) if options.config else configs.load_preset(options.preset or "demo").config
    )
    values: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("train", "eval", "model", "processes")
        if getattr(options, name) is not None
    }
    return config.replace(values | changes_of(options))


def changes_of(options: argparse.Namespace) -> dict[str, Any]:
    """What --set and --normaliser change."""
    values: dict[str, Any] = {}
    if getattr(options, "normaliser", None):
        values["normaliser"] = options.normaliser
    for change in options.changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise ConfigError(f"--set {change}: write FIELD=VALUE, such as --set learning_rate=1e-4.")
        values[name.strip()] = value
    return values


def dump(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))
