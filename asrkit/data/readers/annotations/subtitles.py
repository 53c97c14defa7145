"""Subtitles beside a long recording: SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

import html
import re
from pathlib import Path

from asrkit.data.readers.annotations.model import AnnotatedRecording, Span, Tier, parse_clock, read_lines, tidy
from asrkit.errors import DataError

_TIMES = re.compile(r"\s*([\d:.,]+)\s*-->\s*([\d:.,]+)(?:\s.*)?")
_VOICE = re.compile(r"<v(?:\.[^\s>]+)*\s+([^>]+)>")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|</?\d[\d:.]*>|\{\\[^}]*\}")
"""<i>, WebVTT's <00:01.000>, and the positions that some programs write into SubRip."""


def read(path: Path) -> list[AnnotatedRecording]:
    """Read the captions of a file. Raises DataError for a time that is none, and for a file without captions."""
    lines = read_lines(path)
    starts = [index for index, line in enumerate(lines) if "-->" in line]
    if not starts:
        raise DataError(f"{path} has no captions: no line with times such as 00:00:01,000 --> 00:00:04,000.")
    spans = []
    for start, following in zip(starts, [*starts[1:], len(lines)], strict=True):
        spans.append(_make_span(lines[start], _caption_lines(lines[start + 1 : following]), path, start + 1))
    return [AnnotatedRecording((Tier("captions", tuple(spans)),))]


def _caption_lines(lines: list[str]) -> list[str]:
    """Return the lines of a caption: up to the first empty line, behind which the next one has its number or name."""
    return lines[: next((index for index, line in enumerate(lines) if not line.strip()), len(lines))]


def _make_span(times: str, lines: list[str], path: Path, number: int) -> Span:
    match = _TIMES.fullmatch(times)
    start_s, end_s = map(parse_clock, match.groups()) if match else (None, None)
    if start_s is None or end_s is None:
        raise DataError(
            f"{path} line {number}: {times.strip()!r:.60} is no pair of times; write 00:00:01,000 --> 00:00:04,000."
        )
    content = "\n".join(lines)
    voices = {tidy(voice) for voice in _VOICE.findall(content)}
    text = html.unescape(_TAG.sub(" " if path.suffix.lower() == ".vtt" else "", content))
    return Span(start_s, end_s, tidy(text), voices.pop() if len(voices) == 1 else "")
