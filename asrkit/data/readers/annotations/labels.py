"""Plain lists of labels: Audacity's (seconds), HTK's .lab (100 ns), and ELAN's tab-delimited export.

They have suffixes that other files have too, so they are recognised by their first lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from asrkit.data.readers.annotations.model import AnnotatedRecording, Span, Tier, parse_clock, read_lines, tidy
from asrkit.errors import DataError

PROBED_LINES = 20
_AUDACITY = re.compile(r"(-?\d+(?:[.,]\d+)?)\t(-?\d+(?:[.,]\d+)?)(?:\t(.*))?")
_FREQUENCIES = "\\\t"  # begins a line that Audacity adds to the label of a spectral selection
_HTK = re.compile(r"(\d{1,15}) (\d{3,15}) (\S.*)")
_HTK_UNIT_S = 1e-7
_CLOCK = re.compile(r"\d{2}:\d{2}:\d{2}[.,:]\d{2,3}")
_SECONDS, _MILLISECONDS = re.compile(r"\d+[.,]\d{1,3}"), re.compile(r"\d+")
_HEADER_WORDS = {"tier": "tier", "participant": "speaker", "begin": "start", "end": "end", "annotation": "text"}


def is_audacity(lines: Sequence[str]) -> bool:
    """Return whether every line is start TAB end TAB text, in seconds."""
    labels = [line for line in lines if line.strip() and not line.startswith(_FREQUENCIES)]
    return bool(labels) and all(map(_AUDACITY.fullmatch, labels))


def is_htk(lines: Sequence[str]) -> bool:
    """Return whether every line is start SPACE end SPACE label, in units of 100 ns."""
    labels = [line.strip() for line in lines if line.strip()]
    return bool(labels) and all(map(_HTK.fullmatch, labels))


def is_elan_export(lines: Sequence[str]) -> bool:
    """Return whether every line but the first has tabs and two times on the clock, as 00:00:01.500."""
    rows = [line.split("\t") for line in lines if line.strip() and not line.startswith('"#')]
    counts = [sum(map(bool, map(_CLOCK.fullmatch, row))) for row in rows]
    counts = counts[1:] if counts and not counts[0] and len(counts) > 1 else counts
    return bool(counts) and min(counts) >= 2


def read_audacity(path: Path) -> list[AnnotatedRecording]:
    """Read a label track; labels of a point are left out. Raises DataError for a line that is no label."""
    spans = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith(_FREQUENCIES):
            continue
        match = _AUDACITY.fullmatch(line)
        if match is None:
            raise DataError(f"{path} line {number}: {line!r:.60} is no label; write start, end and text between tabs.")
        start_s, end_s = (float(match[group].replace(",", ".")) for group in (1, 2))
        if start_s != end_s:
            spans.append(Span(start_s, end_s, tidy(match[3] or "")))
    return [AnnotatedRecording((Tier("labels", tuple(spans)),))]


def read_htk(path: Path) -> list[AnnotatedRecording]:
    """Read HTK labels. Raises DataError for a line that is no label."""
    spans = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        match = _HTK.fullmatch(line.strip())
        if match is None:
            raise DataError(f"{path} line {number}: {line!r:.60} is no label; write start, end and label.")
        spans.append(Span(int(match[1]) * _HTK_UNIT_S, int(match[2]) * _HTK_UNIT_S, tidy(match[3])))
    return [AnnotatedRecording((Tier("labels", tuple(spans), marks_silence=True),))]


def read_elan_export(path: Path) -> list[AnnotatedRecording]:
    """Read the tab-delimited text that ELAN exports, with or without a line of column names.

    Raises DataError for a row without times.
    """
    rows = [
        (number, line.split("\t"))
        for number, line in enumerate(read_lines(path), 1)
        if line.strip() and not line.startswith('"#')
    ]
    columns = _find_columns([fields for _, fields in rows])
    if not any(map(_CLOCK.fullmatch, rows[0][1])):
        rows = rows[1:]
    tiers: dict[tuple[str, str], list[Span]] = {}
    for number, fields in rows:

        def field(kind: str, fields: list[str] = fields) -> str:
            return tidy(fields[columns[kind]]) if kind in columns and columns[kind] < len(fields) else ""

        start_s, end_s = parse_clock(field("start")), parse_clock(field("end"))
        if start_s is None or end_s is None:
            raise DataError(f"{path} line {number} has no times such as 00:00:01.500; export it again from ELAN.")
        tiers.setdefault((field("tier"), field("speaker")), []).append(Span(start_s, end_s, field("text")))
    return [
        AnnotatedRecording(
            tuple(Tier(name or "annotations", tuple(spans), "", speaker) for (name, speaker), spans in tiers.items())
        )
    ]


def _find_columns(rows: list[list[str]]) -> dict[str, int]:
    """Return what each column is: by the names in the first row, else by the order in which ELAN writes them.

    That is tier, participant, times of begin, end and duration in up to three forms, and the annotation.
    """
    probed = rows[1] if len(rows) > 1 else rows[0]
    clocks = [index for index, value in enumerate(probed) if _CLOCK.fullmatch(value)]
    if not any(map(_CLOCK.fullmatch, rows[0])):
        columns: dict[str, int] = {}
        for index, name in enumerate(rows[0]):
            kind = next((kind for word, kind in _HEADER_WORDS.items() if name.strip().lower().startswith(word)), "")
            if kind in ("start", "end") and index not in clocks:
                continue
            columns.setdefault(kind, index)
        others = [
            index for index in range(len(probed)) if index not in columns.values() and not _is_time(probed[index])
        ]
        if "text" not in columns and others:  # a column for each tier
            columns["text"] = others[-1]
        return columns
    before = list(range(clocks[0]))
    num_forms = clocks[1] - clocks[0]  # of each time
    has_duration = clocks[1] + num_forms in clocks
    columns = {"start": clocks[0], "end": clocks[1], "text": clocks[1] + num_forms * (2 if has_duration else 1)}
    if before:
        columns["tier"] = before[0]
    if len(before) > 1:
        columns["speaker"] = before[1]
    return columns


def _is_time(value: str) -> bool:
    return any(pattern.fullmatch(value) for pattern in (_CLOCK, _SECONDS, _MILLISECONDS))
