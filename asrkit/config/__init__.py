"""TrainConfig: one frozen, validated declaration of all settings, for the form, the command line and the model card.

A setting is a field in the module of its group: `data.py`, `training.py`, `model.py`, `evaluation.py` or
`launching.py`.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.config.data import DataSettings
from asrkit.config.evaluation import EvaluationSettings
from asrkit.config.fields import validate
from asrkit.config.launching import LaunchSettings
from asrkit.config.model import ModelSettings
from asrkit.config.presets import check_preset, list_presets, read_preset
from asrkit.config.training import TrainingSettings
from asrkit.errors import ConfigError
from asrkit.languages import has_dotless_i

__all__ = [
    "FIELDS",
    "Preset",
    "TrainConfig",
    "check_values",
    "field_label",
    "from_dict",
    "from_file",
    "list_presets",
    "load_preset",
]

DEVICE = re.compile(r"cpu|mps|cuda:[\w-]+")


# The form shows the fields in their order, and dataclasses take those of the last base first.
@dataclass(frozen=True)
class TrainConfig(LaunchSettings, EvaluationSettings, ModelSettings, TrainingSettings, DataSettings):
    """All settings of a run. Values are validated on creation (ConfigError)."""

    def __post_init__(self) -> None:
        values, problems = check_values({name: getattr(self, name) for name in FIELDS})
        if problems:
            raise ConfigError("\n".join(problems.values()))
        for name, value in values.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "device", self.device.replace(" ", ""))
        if self.preset:
            check_preset(self.preset)
        if contradictions := list(self._find_contradictions()):
            raise ConfigError("\n".join(contradictions))

    def _find_contradictions(self) -> Iterator[str]:
        names = [] if self.device == "auto" else self.device.split(",")
        gpus = [name for name in names if name.startswith("cuda:")]
        if not all(map(DEVICE.fullmatch, names)) or len(set(names)) < len(names) or (len(names) > 1 and names != gpus):
            yield (
                f"Device (device) is {self.device!r}; it must be auto, cpu, mps, cuda:0, or several GPUs "
                "as in cuda:0,cuda:1."
            )
        elif gpus and len(gpus) != self.processes:
            yield f"Device (device) names {len(gpus)} of the GPUs for {self.processes} process(es); name one for each."
        if self.processes > 1 and self.layerdrop:
            yield (
                "Layer drop (layerdrop) works with one process only, because others would wait for the gradient of a "
                "skipped layer; set it to 0 or processes to 1."
            )
        if self.min_duration_s >= self.max_duration_s:
            yield f"Shortest clip ({self.min_duration_s:g} s) must be below longest clip ({self.max_duration_s:g} s)."

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def text_rules(self) -> str:
        """The normalisation of references and hypotheses as one name: basic, or german+numbers:de+map:№=Nummer."""
        is_dotless = has_dotless_i(self.language) and self.normaliser != "none"
        steps = {
            "case": self.language if is_dotless else "",
            "markup": self.markup if self.markup != "keep" else "",
            "numbers": self.spell_numbers,
            "map": " ".join(self.character_map.split()),
        }
        return self.normaliser + "".join(f"+{name}:{value}" for name, value in steps.items() if value)

    @property
    def stream_cache_bytes(self) -> int:
        return round(self.stream_cache_gb * 1e9)

    def replace(self, values: dict[str, Any]) -> TrainConfig:
        """Return a copy with these values; text is parsed as the field's type. ConfigError for an unknown field."""
        for name in values:
            if name not in FIELDS:
                raise ConfigError(f"There is no setting {name!r}; the settings are {', '.join(FIELDS)}.")
        return dataclasses.replace(self, **values)


FIELDS: dict[str, dataclasses.Field[Any]] = {spec.name: spec for spec in dataclasses.fields(TrainConfig)}
_TYPES = typing.get_type_hints(TrainConfig)


def check_values(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Convert and check each value by itself; return the valid ones, and what is wrong with the others, by name."""
    valid, problems = {}, {}
    for name, value in values.items():
        try:
            valid[name] = validate(FIELDS[name], _TYPES[name], value)
        except ConfigError as error:
            problems[name] = str(error)
        if name in ("model", "train") and valid.get(name) == "":
            problems[name] = f"{field_label(name)} is empty; enter a value."
    return valid, problems


def field_label(name: str) -> str:
    """Return the label of a field in the form."""
    return str(FIELDS[name].metadata["label"])


def from_dict(values: dict[str, Any]) -> TrainConfig:
    """Make a TrainConfig: the preset named in `values`, if any, is the base, and the other values override it."""
    base = load_preset(values["preset"]).config if values.get("preset") else TrainConfig()
    return base.replace(values)


def from_file(path: str | Path) -> TrainConfig:
    """Read a JSON file of settings, as `config.json` in a run directory. ConfigError if it cannot be read."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); give a JSON file of settings.") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON ({error}); give a JSON file of settings.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} has no settings; it must be one JSON object of field names and values.")
    return from_dict(values)


@dataclass(frozen=True)
class Preset:
    """A named set of values. `source` says where they come from."""

    name: str
    title: str
    summary: str
    source: str
    config: TrainConfig


def load_preset(name: str) -> Preset:
    """Load the shipped preset of that name. ConfigError if there is none."""
    record = read_preset(name)
    config = TrainConfig().replace({"preset": name, **record["values"]})
    return Preset(name, record["title"], record["summary"], record["source"], config)
