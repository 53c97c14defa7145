"""A published model card -> the history of its run, for `diagnose` and for comparison.

Reads what transformers' Trainer writes: a list of hyperparameters and a results table.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from asrkit.errors import DataError
from asrkit.runs.history import EvaluationScore, RunHistory

PUBLISHED_PATH = Path(__file__).with_name("published.json")
"""The two published results tables that presets follow."""

_SETTING = re.compile(r"^- (\w+): (.+)$", re.MULTILINE)
_BASE = re.compile(r"fine-tuned version of \[?`?([^\]\s`]+)")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_NAMES = {"lr_scheduler_warmup_steps": "warmup_steps"}


def load_card(path: str | Path) -> RunHistory:
    """Load the history of a model card. DataError if it cannot be read or has no results table."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); give a model card in Markdown.") from error
    return parse_card(text, str(path))


def parse_card(text: str, name: str) -> RunHistory:
    """Parse the text of a model card, called `name` in errors."""
    rows = _parse_table(text)
    if not rows:
        raise DataError(
            f"{name} has no results table with the columns Step and Validation Loss; "
            "give a model card as transformers' Trainer writes it."
        )
    settings: dict[str, object] = {
        _NAMES.get(name, name): _parse_number(value) for name, value in _SETTING.findall(text)
    }
    base = _BASE.search(text)
    settings["model"] = base[1] if base else ""
    scores = [
        EvaluationScore(
            int(row["step"] or 0), row.get("epoch") or 0.0, row.get("validation loss"), row.get("wer"), row.get("cer")
        )
        for row in rows
    ]
    losses = [
        (int(row["step"] or 0), row.get("epoch") or 0.0, row["training loss"]) for row in rows if "training loss" in row
    ]
    return RunHistory(settings, scores, losses)


PublishedCurves = dict[str, list[tuple[int, float, float | None]]]
"""Curve -> (step, epoch, value) in order."""


def get_curves(history: RunHistory) -> PublishedCurves:
    """Return the results table as curves. Columns that it lacks are left out."""
    series: PublishedCurves = {"train/loss": list(history.losses)}
    for name in ("loss", "wer", "cer"):
        series[f"eval/{name}"] = [(score.step, score.epoch, getattr(score, name)) for score in history.scores]
    return {name: points for name, points in series.items() if any(value is not None for *_, value in points)}


def load_published_curves() -> dict[str, tuple[str, PublishedCurves]]:
    """Load the published runs that presets follow: name of the preset -> (title, curves)."""
    cards = json.loads(PUBLISHED_PATH.read_text(encoding="utf-8"))
    return {
        name: (
            card["title"],
            {
                column: [(row[0], row[1], row[index]) for row in card["rows"]]
                for index, column in enumerate(card["columns"])
                if index > 1
            },
        )
        for name, card in cards.items()
    }


def _parse_table(text: str) -> list[dict[str, float | None]]:
    """Parse the first Markdown table with a step and a validation loss; names in lower case.

    Rows without a whole number of steps, such as a summary, are left out.
    """
    names: list[str] = []
    rows = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.lstrip().startswith("|") else []
        if not names:
            lowered = [cell.lower() for cell in cells]
            names = lowered if {"step", "validation loss"} <= set(lowered) else []
        elif not cells:
            break
        elif len(cells) == len(names) and not set("".join(cells)) <= set(":- "):
            row = {name: _parse_number(cell) for name, cell in zip(names, cells, strict=True)}
            if not (isinstance(row["step"], float) and row["step"].is_integer()):
                continue
            # "No log" means that nothing had been logged yet; nan is a number that was lost.
            rows.append({name: _to_finite(value) for name, value in row.items() if value != "No log"})
    return rows


def _to_finite(value: float | str) -> float | None:
    return value if isinstance(value, float) and abs(value) < float("inf") else None


def _parse_number(text: str) -> float | str:
    """Parse a cell as a number, which may be bold or have commas between its thousands; else return its text."""
    plain = text.strip("*")
    try:
        return float(plain.replace(",", "") if _THOUSANDS.fullmatch(plain) else plain)
    except ValueError:
        return text
