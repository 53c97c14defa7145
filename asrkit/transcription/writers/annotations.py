"""Transcripts as files of annotation programs: ELAN, Praat, Audacity and the lists that NIST's tools read.

Utterances and their words are tiers, of each channel where the channels were transcribed one by one.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from asrkit.decoding.transcript import Transcript, Word, join_words

MIN_PAUSE_S, MAX_UTTERANCE_S = 0.6, 15.0
"""Pause that starts a new utterance, and the longest one."""
TRANSCRIPTION, WORDS = "transcription", "words"
"""Names of tiers."""
_MIME_TYPES = {".wav": "audio/x-wav", ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".m4a": "audio/mp4"}
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONSTRAINTS = {
    "Time_Subdivision": "parts of an annotation, with times and without gaps",
    "Symbolic_Subdivision": "ordered parts of an annotation, without times",
    "Symbolic_Association": "one annotation for each of another tier",
    "Included_In": "parts of an annotation, with times and maybe with gaps",
}
"""Which ELAN writes into each file, used or not. Some programs want the descriptions, which the schema does not."""


@dataclass(frozen=True)
class TimedText:
    """A text from start_ms to end_ms; start_ms < end_ms."""

    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class Track:
    """The utterances and words of one channel, in order and without overlap. speaker: empty for a single track."""

    speaker: str
    utterances: Sequence[TimedText]
    words: Sequence[TimedText]

    @property
    def name(self) -> str:
        """The name of the tier of utterances."""
        return f"{self.speaker} {TRANSCRIPTION}".strip()

    @property
    def words_name(self) -> str:
        return f"{self.speaker} {WORDS}".strip()


def to_eaf(transcript: Transcript) -> str:
    """Return an .eaf of EAF 3.0: a tier of utterances and, below it, one of words, linked to the recording."""
    tracks = list(split_tracks(transcript))
    times = {time for track in tracks for mark in track.words for time in (mark.start_ms, mark.end_ms)}
    slots = {time: f"ts{number}" for number, time in enumerate(sorted(times), 1)}
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    lines.append(
        f'<ANNOTATION_DOCUMENT AUTHOR="asrkit" DATE="{now}" FORMAT="3.0" VERSION="3.0" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">'
    )
    num_annotations = sum(len(track.utterances) + len(track.words) for track in tracks)
    lines += ['    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">', *_media_lines(transcript.recording)]
    lines += [f'        <PROPERTY NAME="lastUsedAnnotationId">{num_annotations}</PROPERTY>', "    </HEADER>"]
    lines.append("    <TIME_ORDER>")
    lines += [f'        <TIME_SLOT TIME_SLOT_ID="{slot}" TIME_VALUE="{time}"/>' for time, slot in slots.items()]
    lines.append("    </TIME_ORDER>")
    first_id = 1
    for track in tracks:
        for name, kind, parent, marks in (
            (track.name, "utterance", "", track.utterances),
            (track.words_name, "word", track.name, track.words),
        ):
            lines += _tier_lines(name, kind, parent, track.speaker, marks, slots, first_id)
            first_id += len(marks)
    lines.append(
        '    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="utterance" TIME_ALIGNABLE="true"/>'
    )
    lines.append(
        '    <LINGUISTIC_TYPE CONSTRAINTS="Included_In" GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="word" '
        'TIME_ALIGNABLE="true"/>'
    )
    lines += [constraint_line(name) for name in _CONSTRAINTS]
    return "\n".join([*lines, "</ANNOTATION_DOCUMENT>", ""])


def to_textgrid(transcript: Transcript) -> str:
    """Return a TextGrid in Praat's long form, with a tier of utterances and one of words."""
    tracks = list(split_tracks(transcript))
    last_ms = max((mark.end_ms for track in tracks for mark in track.words), default=1)
    end_ms = max(last_ms, round(1000 * transcript.duration_s))
    tiers = [tier for track in tracks for tier in ((track.name, track.utterances), (track.words_name, track.words))]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {_seconds(end_ms)} "]
    lines += ["tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for number, (name, marks) in enumerate(tiers, 1):
        lines += textgrid_tier(number, name, list(_fill_gaps(marks, end_ms)), end_ms / 1000)
    return "\n".join([*lines, ""])


def to_elan_text(transcript: Transcript) -> str:
    """Return utterances as ELAN's tab-delimited text: tier, participant, begin, end and duration, text."""
    rows = []
    for track in split_tracks(transcript):
        for mark in track.utterances:
            times = (mark.start_ms, mark.end_ms, mark.end_ms - mark.start_ms)
            clocks = [part for time in times for part in (_clock(time), _seconds(time))]
            rows.append("\t".join([track.name, track.speaker, *clocks, mark.text]) + "\n")
    return "".join(rows)


def to_audacity(transcript: Transcript) -> str:
    """Return utterances as a label track of Audacity: start, end, text."""
    marks = sorted(
        (mark for track in split_tracks(transcript) for mark in track.utterances), key=lambda mark: mark.start_ms
    )
    return "".join(f"{mark.start_ms / 1000:.6f}\t{mark.end_ms / 1000:.6f}\t{mark.text}\n" for mark in marks)


def to_ctm(transcript: Transcript) -> str:
    """Return words as NIST's CTM: recording, channel, start and duration in seconds, word, confidence."""
    recording = "_".join(Path(transcript.recording).stem.split()) or "recording"
    return "".join(
        f"{recording} {word.channel or 1} {word.start_s:.3f} {max(0.0, word.end_s - word.start_s):.3f} "
        f"{'_'.join(word.word.split())} {word.confidence:.4f}\n"
        for word in transcript.words
    )


def split_tracks(transcript: Transcript) -> Iterator[Track]:
    """Yield the utterances and words of each channel; of all channels together where they were mixed."""
    channels = sorted({word.channel for word in transcript.words}) or [0]
    for channel in channels:
        words = sorted(
            (word for word in transcript.words if word.channel == channel), key=lambda word: (word.start_s, word.end_s)
        )
        marks = list(_separate(words))
        groups = list(_group(words))
        utterances, first = [], 0
        for group in groups:
            last = first + len(group) - 1
            text = " ".join(join_words(group).split())
            utterances.append(TimedText(marks[first].start_ms, marks[last].end_ms, text))
            first = last + 1
        yield Track(f"channel {channel}" if channel else "", utterances, marks)


def textgrid_tier(number: int, name: str, intervals: Sequence[tuple[str, str, str]], end_s: float) -> list[str]:
    """Return the lines of a tier in Praat's long form. intervals: (start, end, text), the times as text."""
    lines = [f"    item [{number}]:", '        class = "IntervalTier" ', f'        name = "{_double(name)}" ']
    lines += ["        xmin = 0 ", f"        xmax = {end_s!r} ", f"        intervals: size = {len(intervals)} "]
    for index, (start, end, text) in enumerate(intervals, 1):
        lines += [f"        intervals [{index}]:", f"            xmin = {start} ", f"            xmax = {end} "]
        lines.append(f'            text = "{_double(text)}" ')
    return lines


def constraint_line(name: str) -> str:
    """Return the element of one of ELAN's constraints."""
    return f'    <CONSTRAINT DESCRIPTION="{_CONSTRAINTS[name]}" STEREOTYPE="{name}"/>'


def xml_text(text: str) -> str:
    """Return a text as XML content, without the characters that XML cannot hold."""
    return escape(_NOT_IN_XML.sub("", text))


def xml_attribute(text: str) -> str:
    """Return a text as a quoted XML attribute, without the characters that XML cannot hold."""
    return quoteattr(_NOT_IN_XML.sub("", text))


def _tier_lines(
    name: str, kind: str, parent: str, speaker: str, marks: Sequence[TimedText], slots: dict[int, str], first_id: int
) -> Iterator[str]:
    attributes = f'LINGUISTIC_TYPE_REF="{kind}"'
    if parent:
        attributes += f" PARENT_REF={xml_attribute(parent)}"
    if speaker:
        attributes += f" PARTICIPANT={xml_attribute(speaker)}"
    yield f"    <TIER {attributes} TIER_ID={xml_attribute(name)}>"
    for number, mark in enumerate(marks, first_id):
        yield "        <ANNOTATION>"
        yield (
            f'            <ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" TIME_SLOT_REF1="{slots[mark.start_ms]}" '
            f'TIME_SLOT_REF2="{slots[mark.end_ms]}">'
        )
        yield f"                <ANNOTATION_VALUE>{xml_text(mark.text)}</ANNOTATION_VALUE>"
        yield "            </ALIGNABLE_ANNOTATION>"
        yield "        </ANNOTATION>"
    yield "    </TIER>"


def _media_lines(recording: str) -> Iterator[str]:
    """Yield the link to a recording, absolute where it is on this machine, and beside the annotation."""
    if not recording:
        return
    path = Path(recording)
    url = path.absolute().as_uri() if path.parent != Path() or path.exists() else f"file:///{quote(path.name)}"
    mime_type = _MIME_TYPES.get(path.suffix.lower(), "unknown")
    yield (
        f'        <MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(url)} MIME_TYPE="{mime_type}" '
        f"RELATIVE_MEDIA_URL={quoteattr('./' + quote(path.name))}/>"
    )


def _group(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the words of each utterance."""
    group: list[Word] = []
    for word in words:
        is_new = group and (
            word.start_s - group[-1].end_s >= MIN_PAUSE_S or word.end_s - group[0].start_s > MAX_UTTERANCE_S
        )
        if is_new:
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _separate(words: Sequence[Word]) -> Iterator[TimedText]:
    """Yield words in whole milliseconds, each at least one long and none before the end of the one before."""
    end_ms = 0
    for word in words:
        start_ms = max(end_ms, round(1000 * word.start_s))
        end_ms = max(start_ms + 1, round(1000 * word.end_s))
        yield TimedText(start_ms, end_ms, " ".join(word.word.split()))


def _fill_gaps(marks: Sequence[TimedText], end_ms: int) -> Iterator[tuple[str, str, str]]:
    """Yield intervals from 0 to end_ms; those between the marks are empty."""
    position_ms = 0
    for mark in marks:
        if mark.start_ms > position_ms:
            yield _seconds(position_ms), _seconds(mark.start_ms), ""
        yield _seconds(mark.start_ms), _seconds(mark.end_ms), mark.text
        position_ms = mark.end_ms
    if position_ms < end_ms:
        yield _seconds(position_ms), _seconds(end_ms), ""


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"


def _clock(milliseconds: int) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _double(text: str) -> str:
    return text.replace('"', '""')
