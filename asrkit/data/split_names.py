"""Names of splits: what a name means, and selections of rows such as train[:10%]+test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from asrkit.errors import DataError, first_line

Role = Literal["train", "eval", "test"]

_ROLES: dict[Role, set[str]] = {
    "train": {"train", "training"},
    "eval": {"validation", "valid", "val", "dev", "eval", "evaluation"},
    "test": {"test", "testing"},
}
_Row = TypeVar("_Row")


def split_role(name: str) -> Role | None:
    """Return the role of a split by the first word of its name (train.clean.100, test-other); None for other names."""
    word = re.split("[^a-z]", name.strip().lower(), maxsplit=1)[0]
    return next((role for role, words in _ROLES.items() if word in words), None)


def split_of_path(path: Path, folder: Path) -> str | None:
    """Return the split that a folder between `folder` and the file `path` names, as in dev-clean/84/121123."""
    return next((part for part in path.relative_to(folder).parts[:-1] if split_role(part)), None)


def names_in_selection(selection: str) -> list[str]:
    """Return the splits that `selection`, such as train[:10%]+test, takes rows from."""
    return [re.split(r"[\[(]", part)[0] for part in selection.split("+")]


def select_rows(selection: str, splits: Mapping[str, Sequence[_Row]]) -> list[_Row]:
    """Return the rows that `selection`, such as train[:10%]+test, takes from `splits` (name -> rows).

    Raises DataError for a selection that is malformed or empty.
    """
    import datasets

    sizes = {name: len(rows) for name, rows in splits.items()}
    try:
        parts = datasets.ReadInstruction.from_spec(selection).to_absolute(sizes)
    except (ValueError, AssertionError) as error:
        raise DataError(
            f"The split {selection!r} cannot be taken ({first_line(error).rstrip('.')}); there are "
            f"{', '.join(splits)}, and parts as in train[:10%]."
        ) from error
    return [row for part in parts for row in splits[part.splitname][part.from_ : part.to]]
