"""Clips that somebody chose after an audit: a manifest in the data folder, with a record of what was left out and why.

It is a dataset like any other, so a run can be started on it again and again; the run copies the record.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asrkit.audit.findings import EXPLANATIONS
from asrkit.audit.inspection import Inspection
from asrkit.data import collection, manifest
from asrkit.errors import DataError
from asrkit.files import readable_disk_errors, write_json

FOLDER = collection.SELECTIONS
SUFFIX = ".left-out.json"


def write(data_dir: Path, name: str, inspection: Inspection, without: Sequence[str]) -> Path:
    """The manifest of what remains without the clips of the findings `without`. The same choice is the same file.

    name: of the data that was looked at. Raises DataError where nothing would remain.
    """
    for code in without:
        if code not in EXPLANATIONS:
            raise DataError(f"{code!r} is no finding; choose of {', '.join(EXPLANATIONS)}.")
    kept = inspection.left(without)
    if not kept:
        raise DataError(f"No clip of {name} is left without {', '.join(without)}; leave out less.")
    identity = json.dumps([name, [row.id for row in kept]])
    stem = re.sub(r"[^\w-]+", "-", Path(name).name).strip("-")[:40] or "data"
    key = hashlib.sha1(identity.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()[:8]
    path = data_dir / FOLDER / f"{stem}-{key}.jsonl"
    with readable_disk_errors(data_dir):
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"data": name, "kept": len(kept), "left_out": _left_out(inspection, without)}
        write_json(path.with_suffix(SUFFIX), told)
        manifest.write(path, kept)
    return path


def record(data: str) -> dict[str, Any] | None:
    """What was left out of the selection at the path `data`; None for any other data."""
    try:
        told = json.loads(Path(data).with_suffix(SUFFIX).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no file of ours is there, or it is no path at all
        return None
    return told if isinstance(told, dict) else None


def _left_out(inspection: Inspection, without: Sequence[str]) -> list[dict[str, Any]]:
    """Each finding with the clips that went for it: those that cannot be used, and those that were chosen."""
    return [
        {
            "code": found.code,
            "effect": found.cause,
            "count": len(found.clips),
            "clips": [inspection.clips[place].row.id for place in found.clips],
        }
        for found in inspection.audit.findings
        if found.clips and (found.kind == "drop" or found.code in without)
    ]
