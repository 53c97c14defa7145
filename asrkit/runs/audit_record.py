"""Read the audit of a run's data, which `preparation` has written, in the format of `audit --json`."""

from __future__ import annotations

import json
from typing import Any

from asrkit.audit.findings import EXPLANATIONS
from asrkit.runs.run import Run

LEAK = "leak-"
"""Prefix of the codes of findings about leaks between the splits."""


def read_audit(run: Run) -> dict[str, Any] | None:
    """Return the audit; None for a run whose data is on the Hub, of an older version, or with hand-made manifests."""
    try:
        audit: dict[str, Any] = json.loads(run.audit_path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return audit


def load_leak_findings(run: Run) -> list[dict[str, Any]]:
    """Read the findings about leaks between the splits."""
    return [finding for finding in _load_findings(run) if finding["code"].startswith(LEAK)]


def load_assumptions(run: Run) -> list[dict[str, Any]]:
    """Read the accepted assumptions about the data."""
    dropping = {code for code, explanation in EXPLANATIONS.items() if explanation.kind == "drop"}
    return [finding for finding in _load_findings(run) if "changes" in finding and finding["code"] not in dropping]


def _load_findings(run: Run) -> list[dict[str, Any]]:
    audit = read_audit(run)
    return audit["findings"] if audit else []
