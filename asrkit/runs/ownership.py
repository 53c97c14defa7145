"""Who a run belongs to and who else may see it: `owner` and `visibility` in its `run.json`.

A run without the file, such as one of an older version, belongs to the operator and is private.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from asrkit.runs.metadata import read_metadata, update_metadata
from asrkit.runs.run import Run

OPERATOR = "operator"
"""The owner of the runs that the operator started."""

PRIVATE, SHARED = "private", "shared"


@dataclass(frozen=True)
class Ownership:
    """owner: an identity's `owner_id`. visibility: PRIVATE (owner and operator) or SHARED (everybody)."""

    owner: str = OPERATOR
    visibility: str = PRIVATE


OPERATORS_OWN = Ownership()


def read_ownership(run: Run) -> Ownership:
    """Read who owns a run. An unreadable file counts as none, so that a damaged one never makes a run public."""
    values = read_metadata(run)
    owner = values.get("owner")
    visibility = SHARED if values.get("visibility") == SHARED else PRIVATE
    return Ownership(owner if isinstance(owner, str) and owner else OPERATOR, visibility)


def write_ownership(run: Run, ownership: Ownership) -> None:
    """Write who owns a run."""
    update_metadata(run, asdict(ownership))
