"""Names of datasets on the Hub: hub:owner/name[:config][:split]."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from asrkit.data.split_names import split_role
from asrkit.errors import DataError

PREFIX = "hub:"
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?)(?::(?P<rest>\S+))?")
_SEPARATOR = re.compile(r":(?![^\[]*\])")
"""Separates configuration and split, but not the bounds in train[10:20]."""


@dataclass(frozen=True)
class DatasetName:
    """The parts of hub:owner/name[:config][:split].

    split: a selection as `datasets` writes it, such as train[:10%]. config_or_split: a single part, which only the
    dataset's configurations decide.
    """

    dataset: str
    config: str | None = None
    split: str | None = None
    config_or_split: str | None = None

    @classmethod
    def parse(cls, data: str) -> DatasetName:
        """Parse a name. Raises DataError for a string that is not one."""
        parsed = _NAME.fullmatch(data.strip().removeprefix(PREFIX))
        parts = _SEPARATOR.split(parsed["rest"]) if parsed and parsed["rest"] else []
        if parsed is None or len(parts) > 2 or not all(parts):
            raise DataError(f"{data!r} is not a dataset name; write hub:owner/name[:config][:split].")
        if len(parts) == 1:
            return cls(parsed["name"], config_or_split=parts[0])
        return cls(parsed["name"], *parts)

    def resolve(self, configs: Sequence[str]) -> DatasetName:
        """Decide what a single part is: a configuration if the dataset has it, else a split if it looks like one."""
        part = self.config_or_split
        if part is None:
            return self
        if part in configs or not (split_role(part) or "[" in part):
            return DatasetName(self.dataset, config=part)
        return DatasetName(self.dataset, split=part)
