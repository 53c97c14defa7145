"""The files of the shipped presets, in `asrkit/presets/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asrkit.errors import ConfigError

PRESETS_DIR = Path(__file__).parents[1] / "presets"


def list_presets() -> list[str]:
    """List the names of the shipped presets, the demo first."""
    names = sorted(path.stem for path in PRESETS_DIR.glob("*.json"))
    return sorted(names, key=lambda name: name != "demo")


def check_preset(name: str) -> None:
    """Raise ConfigError if no shipped preset has that name."""
    if name not in list_presets():
        raise ConfigError(f"There is no preset {name!r}; choose one of {', '.join(list_presets())}.")


def read_preset(name: str) -> dict[str, Any]:
    """Return the content of a preset's file. ConfigError if there is none of that name."""
    check_preset(name)
    record: dict[str, Any] = json.loads((PRESETS_DIR / f"{name}.json").read_text(encoding="utf-8"))
    return record
