"""EXMARaLDA's basic transcriptions (.exb): tiers of events on one timeline, of which not every point has a time."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from asrkit.data.readers.annotations import xml_files
from asrkit.data.readers.annotations.model import AnnotatedRecording, Media, Span, Tier, tidy
from asrkit.errors import DataError


def read(path: Path) -> list[AnnotatedRecording]:
    """Read an .exb. Events without a time between them are joined. Raises DataError for a damaged file."""
    root = xml_files.read_tree(path, "basic-transcription", "EXMARaLDA")
    order = [point.get("id", "") for point in root.iter("tli")]
    times = {point.get("id", ""): _read_time(point, path) for point in root.iter("tli")}
    speakers = {speaker.get("id", ""): _name_speaker(speaker) for speaker in root.iter("speaker")}
    elements = list(root.iter("tier"))
    # A tier of type t is what a speaker said; the others of the speaker annotate it.
    spoken = {tier.get("speaker", ""): _name_tier(tier) for tier in elements if tier.get("type") == "t"}
    tiers = [_read_tier(tier, order, times, speakers, spoken, path) for tier in elements]
    media = (file.get("url", "") for file in root.iter("referenced-file"))
    return [AnnotatedRecording(tuple(tiers), tuple(Media((name,)) for name in media if name))]


def _read_tier(
    element: Element,
    order: list[str],
    times: dict[str, float | None],
    speakers: dict[str, str],
    spoken: dict[str, str],
    path: Path,
) -> Tier:
    index = {name: number for number, name in enumerate(order)}
    events = []
    for event in element.iter("event"):
        start, end = event.get("start", ""), event.get("end", "")
        if start not in index or end not in index:
            raise DataError(
                f"{path} has an event from {start!r:.40} to {end!r:.40}, which are not both on its timeline; save it "
                "again in EXMARaLDA."
            )
        events.append((index[start], index[end], "".join(event.itertext())))
    spans: list[Span] = []
    open_from: tuple[int, str] | None = None  # of events that end at a point without a time
    for start_index, end_index, text in sorted(events):
        if open_from and open_from[0] == start_index:
            text, first_s = f"{open_from[1]}{text}", spans.pop().start_s
        else:
            first_s = _nearest_time(order, times, start_index, -1, path)
        spans.append(Span(first_s, _nearest_time(order, times, end_index, 1, path), tidy(text)))
        open_from = (end_index, text) if times[order[end_index]] is None else None
    name, speaker = _name_tier(element), element.get("speaker", "")
    if element.get("type") == "t":
        return Tier(name, tuple(spans), "transcription", speakers.get(speaker, ""))
    return Tier(name, tuple(spans), element.get("category", ""), speakers.get(speaker, ""), spoken.get(speaker, ""))


def _name_tier(element: Element) -> str:
    return tidy(element.get("display-name", "") or element.get("id", ""))


def _nearest_time(order: list[str], times: dict[str, float | None], index: int, step: int, path: Path) -> float:
    """Return the time of a point, or of the nearest one before or after it that has a time."""
    while 0 <= index < len(order):
        time_s = times[order[index]]
        if time_s is not None:
            return time_s
        index += step
    raise DataError(f"{path} has events before the first or after the last time; align its ends in EXMARaLDA.")


def _read_time(point: Element, path: Path) -> float | None:
    value = point.get("time")
    try:
        return None if value is None else float(value)
    except ValueError as error:
        raise DataError(f"{path} has the time {value!r:.60} on its timeline; it must be seconds.") from error


def _name_speaker(speaker: Element) -> str:
    return xml_files.all_text(speaker.find("abbreviation")) or speaker.get("id", "")
