"""Declare a field of TrainConfig, and convert and check its values."""

from __future__ import annotations

import dataclasses
import types
from typing import Any

from asrkit.errors import ConfigError

TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def setting(
    default: Any,
    label: str,
    help: str,
    *,
    group: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    basic: bool = False,
) -> Any:
    """Declare a field with the metadata for the form, the flags and error messages. Bounds are inclusive."""
    return dataclasses.field(
        default=default,
        metadata={
            "label": label,
            "help": help,
            "low": low,
            "high": high,
            "choices": choices,
            "basic": basic,
            "group": group,
        },
    )


def validate(spec: dataclasses.Field[Any], type_: type, value: Any) -> Any:
    """Convert `value` to the field's type and check its bounds (ConfigError)."""
    meta = spec.metadata
    value = _convert(spec, type_, value)
    if meta["choices"] and value not in meta["choices"]:
        raise ConfigError(f"{meta['label']} ({spec.name}) is {value!r}; choose one of {', '.join(meta['choices'])}.")
    low, high = meta["low"], meta["high"]
    if low is not None and not low <= value <= high:
        raise ConfigError(f"{meta['label']} ({spec.name}) is {value:g}; it must be between {low:g} and {high:g}.")
    return value


def _convert(spec: dataclasses.Field[Any], type_: type, value: Any) -> Any:
    """Convert `value` to `type_`. Numbers may be text (flags) or floats (forms); 8.0 is a whole number, 8.5 is not."""
    problem = ConfigError(f"{spec.metadata['label']} ({spec.name}) is {value!r}; it must be {TYPE_NAMES[type_]}.")
    if type_ is bool:
        if isinstance(value, str) and value.lower() in ("true", "false", "1", "0", "yes", "no"):
            return value.lower() in ("true", "1", "yes")
        if not isinstance(value, bool):
            raise problem
        return value
    if type_ is str:
        if not isinstance(value, str | types.NoneType):
            raise problem
        return (value or "").strip()
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise problem from None
    if isinstance(value, bool) or number != number or (type_ is int and number != int(min(max(number, -1e18), 1e18))):
        raise problem
    return type_(number)
