"""What the pack found: rows, the report as JSON, and the table for the guide. Imports the standard library only.

python -m tests.gpu.report REPORT.json ...          prints one table of several reports
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PASSED, FAILED, MEASURED, SKIPPED = "passed", "failed", "measured", "skipped"
ERROR, TIMEOUT = "error", "timeout"


@dataclass(frozen=True)
class Row:
    """One result of a part. value: None for a check. goal: such as ">= 2", or empty. detail: the evidence."""

    name: str
    status: str
    value: float | None = None
    unit: str = ""
    goal: str = ""
    detail: str = ""


@dataclass(frozen=True)
class PartResult:
    """A part's results. message: why it was skipped, or how it failed."""

    part: str
    status: str
    seconds: float
    device: str
    is_small: bool
    rows: list[Row]
    message: str = ""


def summarize(rows: Iterable[Row]) -> str:
    """Return the status of a part that ran to its end: its worst row, "skipped" if all are."""
    statuses = {row.status for row in rows}
    if FAILED in statuses:
        return FAILED
    return SKIPPED if statuses == {SKIPPED} else PASSED


def read_report(path: Path) -> dict[str, Any]:
    """Return `{"environment": {...}, "parts": {name: PartResult as dict}}`; empty if there is no report."""
    if not path.exists():
        return {"environment": {}, "parts": {}}
    return json.loads(path.read_text(encoding="utf-8"))


def write_report(folder: Path, environment: dict[str, Any], results: Iterable[PartResult]) -> None:
    """Add results to `folder`'s report, where newer ones replace those of the same part, and write its table."""
    report = read_report(folder / "report.json")
    report["environment"] = environment
    report["parts"] |= {result.part: asdict(result) for result in results}
    _write(folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    _write(folder / "table.md", format_table(report))


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def merge(reports: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Merge reports; of a part in several of them, the last one counts."""
    merged: dict[str, Any] = {"environment": {}, "parts": {}}
    for report in reports:
        merged["environment"] |= report["environment"]
        merged["parts"] |= report["parts"]
    return merged


def format_table(report: dict[str, Any]) -> str:
    """Return a report as Markdown: what it ran on, and a row for each result."""
    environment = ", ".join(f"{name} {value}" for name, value in report["environment"].items() if value)
    lines = [f"{environment}.", "", "| Part | Result | Figure | Goal | Status |", "|---|---|---|---|---|"]
    for name, part in report["parts"].items():
        where = f"{part['device']}{', small' if part['is_small'] else ''}"
        lines.append(f"| **{name}** | {where} | {part['seconds']:.0f} s | | {_cell(part['status'], part['message'])} |")
        for row in part["rows"]:
            figure = "" if row["value"] is None else f"{_round(row['value'])} {row['unit']}".strip()
            lines.append(
                f"| | {_escape(row['name'])} | {figure} | {row['goal']} | {_cell(row['status'], row['detail'])} |"
            )
    return "\n".join(lines) + "\n"


def _cell(status: str, detail: str) -> str:
    """Return a status, with its reason unless all is well."""
    return f"{status}: {_escape(detail)}" if detail and status not in (PASSED, MEASURED) else status


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:300]


def _round(value: float) -> str:
    """Three significant digits, without an exponent where it reads better."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    print(format_table(merge(read_report(Path(name)) for name in sys.argv[1:])), end="")
