"""What preparation makes of the data of a run: frozen manifests, and their audit."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

from asrkit.audit.clips import Audit
from asrkit.data import manifest
from asrkit.data.manifest import MIN_TABLE_ROWS, Column, Utterance
from asrkit.data.streams import origins
from asrkit.files import write_json
from asrkit.runs.run import Run

FOLDER = ".prepared"
"""Beside the runs: what was found out about data, for the next run on it."""


@dataclass(frozen=True)
class PreparedData:
    """The frozen manifests of a run, with normalised references, and their audit.

    selection: what was left out after an earlier audit, where the data is such a `selection`. folders: of all
    recordings, with those that were left out. terms: of recorded datasets (`data.terms`), here and of the base model.
    """

    train: list[Utterance]
    eval: list[Utterance]
    audit: Audit
    selection: dict[str, Any] | None = None
    folders: frozenset[str] = frozenset()
    terms: list[dict[str, Any]] = field(default_factory=list)

    def write(self, run: Run) -> None:
        """Write the manifests and the audit into the run directory."""
        _write_manifest(run, "train", self.train)
        _write_manifest(run, "eval", self.eval)
        selected = {"selection": self.selection} if self.selection else {}
        terms = {"terms": self.terms} if self.terms else {}
        write_json(run.audit_path, self.audit.to_dict() | selected | terms)
        if found := origins.list_origins(Column("audio", self.train, self.eval)):
            write_json(run.streams_path, {folder: origin.to_json() for folder, origin in found.items()})


def _write_manifest(run: Run, split: str, rows: list[Utterance]) -> None:
    if len(rows) >= MIN_TABLE_ROWS:
        with contextlib.suppress(UnicodeEncodeError):
            manifest.write(run.table_path(split), rows)
            return
    manifest.write(run.manifest_path(split), rows)
