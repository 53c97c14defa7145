"""Transcriber's files (.trs): turns of one or several speakers, divided by points in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from asrkit.data.readers.annotations import xml_files
from asrkit.data.readers.annotations.model import AnnotatedRecording, Media, Span, Tier, tidy
from asrkit.errors import DataError


def read(path: Path) -> list[AnnotatedRecording]:
    """Read a .trs. Where several people speak at once, each has a span. Raises DataError for a damaged file."""
    root = xml_files.read_tree(path, "Trans", "Transcriber")
    names = {speaker.get("id", ""): tidy(speaker.get("name", "")) for speaker in root.iter("Speaker")}
    spans: list[Span] = []
    for turn in root.iter("Turn"):
        speakers = [names.get(name) or name for name in turn.get("speaker", "").split()]
        spans += _read_turn(turn, speakers, path)
    audio = root.get("audio_filename", "")
    return [AnnotatedRecording((Tier("turns", tuple(spans)),), (Media((audio,)),) if audio else ())]


def _read_turn(turn: Element, speakers: list[str], path: Path) -> Iterator[Span]:
    """Yield the spans of a turn. Events, such as noises, are no text; <Who> names which speaker goes on."""
    start_s, end_s = (_read_time(turn.get(name), path) for name in ("startTime", "endTime"))
    points, texts = [start_s], [{0: turn.text or ""}]
    who = 0
    for child in turn:
        if child.tag == "Sync":
            time_s = _read_time(child.get("time"), path)
            if time_s != points[-1] or any(map(tidy, texts[-1].values())):
                points.append(time_s)
                texts.append({})
            who = 0
        elif child.tag == "Who":
            number = child.get("nb", "1")
            who = max(0, int(number) - 1) if number.isdecimal() else 0
        texts[-1][who] = f"{texts[-1].get(who, '')} {child.tail or ''}"
    for at_s, following_s, parts in zip(points, [*points[1:], end_s], texts, strict=True):
        said = {who: tidy(text) for who, text in parts.items() if tidy(text)}
        for who, text in (said or {0: ""}).items():
            yield Span(at_s, following_s, text, speakers[who] if who < len(speakers) else "")


def _read_time(value: str | None, path: Path) -> float:
    try:
        return float(value or "")
    except ValueError:
        raise DataError(
            f"{path} has a turn at {value!r:.60}, which is no time; save it again in Transcriber."
        ) from None
