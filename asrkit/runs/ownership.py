"""Who a run belongs to and who else may see it: `owner` and `visibility` in its `run.json`.

A run without the file, such as one of an older version, belongs to the operator and is private.
"""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit.files import write_json
from asrkit.runs.run import Run

OPERATOR = "operator"
"""The owner of the runs that the operator started."""

PRIVATE, SHARED = "private", "shared"
NAME = "run.json"


@dataclass(frozen=True)
class Ownership:
    """owner: an identity's `owner_id`. visibility: PRIVATE (owner and operator) or SHARED (everybody)."""

    owner: str = OPERATOR
    visibility: str = PRIVATE


OPERATORS_OWN = Ownership()


def read_ownership(run: Run) -> Ownership:
    """Read whose a run is. An unreadable file counts as none, so that a damaged one never makes a run public."""
    path = os.path.join(run.path, NAME)
    try:
        stat = os.stat(path)
    except OSError:
        return Ownership()
    return _parse(path, stat.st_mtime_ns, stat.st_size)


def write_ownership(run: Run, ownership: Ownership) -> None:
    """Write whose a run is, and keep what else its `run.json` holds."""
    path = run.path / NAME
    write_json(path, _read(path) | {"owner": ownership.owner, "visibility": ownership.visibility})


@functools.lru_cache(maxsize=4096)
def _parse(path: str, changed_ns: int, size: int) -> Ownership:
    values = _read(Path(path))
    owner = values.get("owner")
    visibility = SHARED if values.get("visibility") == SHARED else PRIVATE
    return Ownership(owner if isinstance(owner, str) and owner else OPERATOR, visibility)


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
