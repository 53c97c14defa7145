"""EXMARaLDA's basic transcriptions (.exb): tiers of events on one timeline, of which not every point has a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from asrkit.data.readers.annotations import xml_files
from asrkit.data.readers.annotations.model import AnnotatedRecording, Media, Span, Tier, nearest_time, tidy
from asrkit.errors import DataError


@dataclass(frozen=True)
class _Timeline:
    """index: of each point by its id. times: of the points in seconds, None where a point has none."""

    path: Path
    index: dict[str, int]
    times: list[float | None]

    def nearest_time(self, index: int, step: int) -> float:
        """Do what `model.nearest_time` does. Raises DataError where it returns None."""
        time_s = nearest_time(self.times, index, step)
        if time_s is None:
            raise DataError(
                f"{self.path} has events before the first or after the last time; align its ends in EXMARaLDA."
            )
        return time_s


def read(path: Path) -> list[AnnotatedRecording]:
    """Read an .exb. Events without a time between them are joined. Raises DataError for a damaged file."""
    root = xml_files.read_tree(path, "basic-transcription", "EXMARaLDA")
    points = {point.get("id", ""): _read_time(point, path) for point in root.iter("tli")}
    timeline = _Timeline(path, {name: number for number, name in enumerate(points)}, list(points.values()))
    speakers = {speaker.get("id", ""): _name_speaker(speaker) for speaker in root.iter("speaker")}
    elements = list(root.iter("tier"))
    # A tier of type t is what a speaker said; the others of the speaker annotate it.
    spoken = {tier.get("speaker", ""): _name_tier(tier) for tier in elements if tier.get("type") == "t"}
    tiers = [_read_tier(tier, timeline, speakers, spoken) for tier in elements]
    media = (file.get("url", "") for file in root.iter("referenced-file"))
    return [AnnotatedRecording(tuple(tiers), tuple(Media((name,)) for name in media if name))]


def _read_tier(element: Element, timeline: _Timeline, speakers: dict[str, str], spoken: dict[str, str]) -> Tier:
    index, events = timeline.index, []
    for event in element.iter("event"):
        start, end = event.get("start", ""), event.get("end", "")
        if start not in index or end not in index:
            raise DataError(
                f"{timeline.path} has an event from {start!r:.40} to {end!r:.40}, which are not both on its timeline; "
                "save it again in EXMARaLDA."
            )
        events.append((index[start], index[end], "".join(event.itertext())))
    spans: list[Span] = []
    open_from: tuple[int, str] | None = None  # of events that end at a point without a time
    for start_index, end_index, text in sorted(events):
        if open_from and open_from[0] == start_index:
            text, first_s = f"{open_from[1]}{text}", spans.pop().start_s
        else:
            first_s = timeline.nearest_time(start_index, -1)
        spans.append(Span(first_s, timeline.nearest_time(end_index, 1), tidy(text)))
        open_from = (end_index, text) if timeline.times[end_index] is None else None
    name, speaker = _name_tier(element), element.get("speaker", "")
    if element.get("type") == "t":
        return Tier(name, tuple(spans), "transcription", speakers.get(speaker, ""))
    return Tier(name, tuple(spans), element.get("category", ""), speakers.get(speaker, ""), spoken.get(speaker, ""))


def _name_tier(element: Element) -> str:
    return tidy(element.get("display-name", "") or element.get("id", ""))


def _read_time(point: Element, path: Path) -> float | None:
    value = point.get("time")
    try:
        return None if value is None else float(value)
    except ValueError as error:
        raise DataError(f"{path} has the time {value!r:.60} on its timeline; it must be seconds.") from error


def _name_speaker(speaker: Element) -> str:
    return xml_files.all_text(speaker.find("abbreviation")) or speaker.get("id", "")
