"""Datasets, their clips and their texts as plain values for the Data tab's script, which escapes them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asrkit.data.manifest import Column, Utterance
from asrkit.data.readers import spreadsheets
from asrkit.data.sources import Source
from asrkit.errors import ColumnError
from asrkit.ui import strings
from asrkit.ui.common.component import Reply
from asrkit.ui.data import proposals
from asrkit.ui.strings.messages import translate

MAX_LISTED = 500  # clips of a recorded dataset, each of which can be changed
NUM_PREVIEWED = 8  # clips, and pairs of sentences
MAX_PREVIEW_TEXTS = 4_000  # for the preview and the vocabulary
MAX_ASSUMED_EXAMPLES = 3


def describe_source(name: str, source: Source, lists_all: bool = False) -> Reply:
    """Describe a dataset that was read: its size, columns, sheets and some of its clips, or all up to MAX_LISTED."""
    rows, columns = source.utterances, source.columns
    shown = range(min(len(rows), MAX_LISTED)) if lists_all else _spread(len(rows), NUM_PREVIEWED)
    return {
        "name": name,
        "layout": source.layout,
        "train": len(source.train),
        "eval": len(source.eval or []),
        "test": len(source.test or []),
        "hours": float(Column("duration_s", rows).to_numpy().clip(min=0).sum()) / 3600,
        "speakers": len({speaker for speaker in Column("speaker", rows) if speaker}),
        "column_names": list(source.column_names),
        "columns": {"text_column": columns.text, "audio_column": columns.audio, "speaker_column": columns.speaker}
        if columns
        else {},
        "sheets": [[sheet, sheet.rpartition(spreadsheets.SHEET_SEPARATOR)[2]] for sheet in source.sheets],
        "sheet": source.sheet,
        "tiers": [asdict(tier) for tier in source.tiers],
        "assumed": describe_assumed(source),
        "proposed": proposals.propose_text_settings([row.text for row in rows[:MAX_PREVIEW_TEXTS]]),
        "clips": [describe_clip(rows[index], index) for index in shown],
    }


def describe_columns(name: str, error: ColumnError, chosen: dict[str, str]) -> Reply:
    """Describe a table whose columns the visitor has to choose. chosen: those that were chosen already."""
    return {
        "state": "columns",
        "name": name,
        "message": translate(str(error)),
        "column_names": [column for column in error.column_names if column],
        "columns": chosen,
    }


def describe_assumed(source: Source) -> list[str]:
    """Describe what was assumed to read a dataset, and which rows cannot be used: a sentence for each kind."""
    found: dict[str, list[str]] = {}
    rows = source.utterances
    for row, marks in zip(Column("row", rows), Column("marks", rows), strict=True):
        for mark in marks:
            found.setdefault(mark.code, []).append(f"{row}: {mark.detail}")
    for note in source.notes:
        found.setdefault(note.code, []).append(note.detail)
    return [
        strings.text(
            "data.assumed",
            title=strings.text(f"data.finding.{code}"),
            examples="; ".join(list(dict.fromkeys(details))[:MAX_ASSUMED_EXAMPLES]),
            count=f"{len(details):,}",
        )
        for code, details in found.items()
    ]


def describe_clip(row: Utterance, index: int, detail: str = "") -> dict[str, Any]:
    """Return one clip of a list. detail: why the clip is listed."""
    return {
        "index": index,
        "id": row.id,
        "text": row.text,
        "speaker": row.speaker or "",
        "seconds": max(0.0, row.duration_s),
        "where": row.row or Path(row.audio).name,
        "name": Path(row.audio).name,
        "detail": detail,
    }


def choose_examples(before: Sequence[str], after: Sequence[str], max_pairs: int) -> list[tuple[str, str]]:
    """Choose (before, after) pairs that show what the rules do: each has a change that those above it do not have."""
    shown_changes: set[str] = set()
    pairs: list[tuple[str, str]] = []
    # Short sentences with many kinds of change (a capital, a comma, a digit ...) come first.
    ranked = sorted(
        zip(before, after, strict=True),
        key=lambda pair: (-len({unicodedata.category(letter) for letter in set(pair[0]) - set(pair[1])}), len(pair[0])),
    )
    for old, new in ranked:
        removed = set(old) - set(new)
        if removed - shown_changes or (old != new and len(pairs) < 2):
            shown_changes |= removed
            pairs.append((old, new))
        if len(pairs) == max_pairs:
            break
    return pairs or list(zip(before, after, strict=True))[:3]


def _spread(count: int, max_indices: int) -> list[int]:
    """Return up to `max_indices` indices, evenly spread over a list of `count`."""
    return sorted({round(step * (count - 1) / max(1, max_indices - 1)) for step in range(min(count, max_indices))})
