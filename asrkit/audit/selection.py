"""Selections: manifests in the data folder of the clips that were kept after an audit, with a record of the others.

A selection is a dataset like any other, so that several runs can use it; each run copies the record.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from asrkit.audit.findings import EXPLANATIONS
from asrkit.audit.inspection import Inspection
from asrkit.data import collection, manifest
from asrkit.errors import DataError
from asrkit.files import readable_disk_errors, write_json

FOLDER = collection.SELECTIONS
RECORD_SUFFIX = ".left-out.json"


def write(data_dir: Path, name: str, inspection: Inspection, excluded_codes: Sequence[str]) -> Path:
    """Write the manifest of the clips that none of these findings concerns, and return its path.

    The same choice has the same path. name: of the audited data. Raises DataError for an unknown code, or if no clip
    would remain.
    """
    for code in excluded_codes:
        if code not in EXPLANATIONS:
            raise DataError(f"{code!r} is not a finding; choose from {', '.join(EXPLANATIONS)}.")
    kept = inspection.remaining_rows(excluded_codes)
    if not kept:
        raise DataError(f"No clip of {name} is left without {', '.join(excluded_codes)}; leave out less.")
    identity = json.dumps([name, [row.id for row in kept]])
    stem = re.sub(r"[^\w-]+", "-", Path(name).name).strip("-")[:40] or "data"
    key = hashlib.sha1(identity.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:8]
    path = data_dir / FOLDER / f"{stem}-{key}.jsonl"
    record = {"data": name, "kept": len(kept), "left_out": _list_excluded(inspection, excluded_codes)}
    with readable_disk_errors(data_dir):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path.with_suffix(RECORD_SUFFIX), record)
        manifest.write(path, (replace(row, dataset=None) for row in kept))
    return path


def read_record(data: str) -> dict[str, Any] | None:
    """Read what was left out of the selection at the path `data`; None for any other data."""
    try:
        record = json.loads(Path(data).with_suffix(RECORD_SUFFIX).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # there is no record, or `data` is no path
        return None
    return record if isinstance(record, dict) else None


def _list_excluded(inspection: Inspection, excluded_codes: Sequence[str]) -> list[dict[str, Any]]:
    """List each finding whose clips were left out: clips that cannot be used, and those that were chosen."""
    return [
        {
            "code": finding.code,
            "effect": finding.cause,
            "count": len(finding.clips),
            "clips": [inspection.clips[index].row.id for index in finding.clips],
        }
        for finding in inspection.audit.findings
        if finding.clips and (finding.kind == "drop" or finding.code in excluded_codes)
    ]
