"""Annotated recordings -> utterances, with what was assumed and what is wrong of each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asrkit.data import files
from asrkit.data.audio_finder import fold
from asrkit.data.durations import PartDurations
from asrkit.data.manifest import BAD_ROW, UNREADABLE_S, Mark, Utterance
from asrkit.data.readers.annotations import formats, media, tiers
from asrkit.data.readers.annotations.model import AnnotatedRecording, Span, Tier, format_clock
from asrkit.data.readers.annotations.outline import NO_TEXT, OTHER_SPEAKER, UNSURE, Outline, Outliner
from asrkit.data.readers.annotations.tiers import ChosenTiers, TierChoice, TierSummary
from asrkit.data.split_names import split_of_path
from asrkit.errors import DataError

MIN_OVERLAP_S = 0.1
"""Speech of two people at once for less is a matter of where the boundaries were set."""
MAX_JOIN_PAUSE_S, MAX_JOINED_S = 0.3, 12.0
"""Single words are joined into clips up to a pause, or a length."""
_UNSURE = re.compile(
    r"(?<!\w)(?:x{2,3}|y{2,3}|w{2,3})(?!\w)|\?{2,}|[(\[<]\s*(?:…|\.{2,3}|\?+|x{2,3}|unclear|unintelligible|inaudible|"
    r"unk|incomprehensible|indistinct)\s*[)\]>]|…\?|\(\(.*?\)\)",
    re.IGNORECASE,
)
"""xxx, ??? and (…), with which transcribers say that they did not understand, and ((guesses))."""


@dataclass(frozen=True)
class AnnotatedData:
    """The utterances of annotation files. tiers: all of them, to choose from. notes: about the dataset as a whole.

    outline: of the recording that it was asked for.
    """

    utterances: list[Utterance]
    title: str
    tiers: tuple[TierSummary, ...]
    notes: tuple[Mark, ...] = ()
    outline: Outline | None = None


@dataclass
class _Source:
    """A recording of an annotation file, the tiers chosen of it, and the name of its rows."""

    path: Path
    name: str
    recording: AnnotatedRecording
    chosen: ChosenTiers


def find_files(folder: Path, suffixes: Sequence[str] = formats.SUFFIXES) -> list[Path]:
    """Return the annotation files below a folder that have one of these suffixes."""
    return [path for path in files.list_files(folder) if path.suffix.lower() in suffixes]


def read(paths: Sequence[Path], folder: Path, choice: TierChoice, outline_of: str = "") -> AnnotatedData:
    """Read annotation files as one dataset. folder: that recordings are looked for in. outline_of: path of a recording.

    A file that cannot be read is one bad row. Raises DataError for a choice that no tier fits.
    """
    paths, unused = _choose_files(paths)
    sources: list[_Source] = []
    rows: list[Utterance] = []
    titles: list[str] = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            known = formats.require(path)
            titles.append(known.title)
            for recording in known.read(path):
                where = f"{name} {recording.where}".strip()
                sources.append(_Source(path, where, recording, tiers.choose(recording, choice)))
        except DataError as error:
            rows.append(_bad_row(path, name, str(error)))
    if sources and choice.selects_tiers and not any(source.chosen.tiers for source in sources):
        raise tiers.missing_error(choice, [source.recording for source in sources], str(folder))
    finder, notes = media.MediaFinder(folder), _Notes()
    notes.add_files(unused)
    reader = _ClipReader(choice, notes, PartDurations(), Outliner(outline_of))
    for source in sources:
        split = split_of_path(source.path, folder)
        rows += [replace(row, split=split) for row in reader.read(source, finder)]
    if not rows:
        raise DataError(f"{folder} has no annotation with a text that was understood; transcribe some.")
    title = max(dict.fromkeys(titles), key=titles.count, default="annotation")
    summaries = tiers.summarize([(source.recording, source.chosen) for source in sources])
    return AnnotatedData(rows, title, summaries, notes.list(), reader.outliner.result())


def _choose_files(paths: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, Path]]]:
    """Return one annotation of each name in a folder, and (unused, used) of the others."""
    order = {suffix: index for index, suffix in enumerate(formats.SUFFIXES)}
    used: dict[tuple[Path, str], Path] = {}
    unused = []
    for path in sorted(paths, key=lambda path: (order.get(path.suffix.lower(), len(order)), path)):
        first = used.setdefault((path.parent, fold(path.stem)), path)
        if first != path:
            unused.append((path, first))
    return sorted(used.values()), unused


class _Notes:
    """Counts what is to be said of a dataset as a whole."""

    def __init__(self) -> None:
        self.num_spans, self.num_empty, self.num_unsure = 0, 0, 0
        self._others: list[str] = []

    def add_files(self, unused: Sequence[tuple[Path, Path]]) -> None:
        self._others += [f"{used.name} is read, not {other.name}" for other, used in unused]

    def add_media(self, used: Path, others: Sequence[str]) -> None:
        if others:
            self._others.append(f"{used.name} is used, not {tiers.list_names(others)}")

    def list(self) -> tuple[Mark, ...]:
        notes = []
        if self.num_empty or self.num_unsure:
            detail = f"{self.num_empty} of {self.num_spans} have no text, {self.num_unsure} only marks such as xxx"
            notes.append(Mark("empty-spans", detail))
        if self._others:
            notes.append(Mark("one-of-several", tiers.list_names(self._others)))
        return tuple(notes)


@dataclass(frozen=True)
class _ClipReader:
    choice: TierChoice
    notes: _Notes
    durations: PartDurations
    outliner: Outliner

    def read(self, source: _Source, finder: media.MediaFinder) -> Iterator[Utterance]:
        """Yield the utterances of a recording in the order of their times."""
        if self.choice.selects_tiers and not source.chosen.tiers:
            wanted = " or ".join([*self.choice.names, *self.choice.types])
            yield _bad_row(
                source.path, source.name, f"has no tier {wanted:.100}; leave the file out, or name its tier."
            )
            return
        if not any(span.text for tier in source.recording.tiers for span in tier.spans):
            yield _bad_row(source.path, source.name, "has no annotation with a text; transcribe it first.")
            return
        found = finder.find(source.path, source.recording)
        if found is None:
            named = [media.base_name(one.names[0]) for one in source.recording.media]
            wanted = named[0] if named else f"{source.path.stem}.wav"
            yield _bad_row(
                source.path, source.name, f"is of the recording {wanted:.120}, which is missing; copy it beside it."
            )
            return
        self.notes.add_media(found.path, found.others)
        clips = sorted(self._list_rows(source, found), key=lambda clip: clip[1].start_s)
        rows = list(_mark_overlaps([row for _, row in clips]))
        of_tiers = [(tier, row) for (tier, _), row in zip(clips, rows, strict=True)]
        self.outliner.add(str(found.path), source.recording, source.chosen.tiers, of_tiers, found.offset_s)
        yield from rows

    def _list_rows(self, source: _Source, found: media.FoundMedia) -> Iterator[tuple[Tier, Utterance]]:
        marks = found.marks
        if source.chosen.assumption:
            marks = (*marks, Mark("assumed-tiers", source.chosen.assumption))
        for tier in source.chosen.tiers:
            for span in self._list_spans(tier):
                speaker = source.chosen.speaker_of(tier, span)
                if self.choice.allows_speaker(speaker):
                    where = f"{source.name} {tier.name} {format_clock(span.start_s)}"
                    row = self._make_row(span, found, speaker, where, marks)
                    if row.fault:
                        self.outliner.leave_out(tier, span, BAD_ROW)
                    yield tier, row
                else:
                    self.outliner.leave_out(tier, span, OTHER_SPEAKER)

    def _list_spans(self, tier: Tier) -> Iterator[Span]:
        """Yield the spans with a text, single words joined; count the others."""
        spans = []
        for span in tier.spans:
            if _UNSURE.sub("", span.text).strip(" .,?!…"):
                spans.append(span)
            elif span.text:
                self.notes.num_unsure += 1
                self.outliner.leave_out(tier, span, UNSURE)
            elif not tier.marks_silence:
                self.notes.num_empty += 1
                self.outliner.leave_out(tier, span, NO_TEXT)
        self.notes.num_spans += len(tier.spans)
        yield from _join_words(spans) if tiers.holds_words(tier) else spans

    def _make_row(
        self, span: Span, found: media.FoundMedia, speaker: str, where: str, marks: tuple[Mark, ...]
    ) -> Utterance:
        start_s = span.start_s + found.offset_s
        end_s = None if span.end_s is None else span.end_s + found.offset_s
        if unsure := _UNSURE.search(span.text):
            marks = (*marks, Mark("unsure-text", f"{unsure[0]} in: {span.text:.60}"))
        if fault := _find_fault(start_s, end_s):
            return Utterance(
                str(found.path), span.text, UNREADABLE_S, speaker or None, row=where, marks=(Mark(BAD_ROW, fault),)
            )
        duration_s = self.durations.measure(found.path, start_s, end_s)
        return Utterance(str(found.path), span.text, duration_s, speaker or None, None, start_s, end_s, where, marks)


def _find_fault(start_s: float, end_s: float | None) -> str:
    """Return what is wrong with the times of a span; empty if nothing is."""
    if not math.isfinite(start_s) or (end_s is not None and not math.isfinite(end_s)):
        return "the annotation has a time that is no number; correct it."
    if start_s < 0:
        return f"the annotation begins at {start_s:g} s, before the recording; correct its times."
    if end_s is not None and end_s <= start_s:
        return f"the annotation ends at {end_s:g} s but begins at {start_s:g} s; correct its times."
    return ""


def _join_words(spans: Sequence[Span]) -> Iterator[Span]:
    """Join neighbouring words of one speaker, up to a pause or MAX_JOINED_S."""
    joined: Span | None = None
    for span in sorted(spans, key=lambda span: span.start_s):
        if (
            joined is not None
            and joined.end_s is not None
            and span.end_s is not None
            and 0 <= joined.start_s < joined.end_s <= span.end_s
            and span.speaker == joined.speaker
            and span.start_s - joined.end_s <= MAX_JOIN_PAUSE_S
            and span.end_s - joined.start_s <= MAX_JOINED_S
        ):
            joined = joined._replace(end_s=span.end_s, text=f"{joined.text} {span.text}")
        else:
            if joined is not None:
                yield joined
            joined = span
    if joined is not None:
        yield joined


def _mark_overlaps(rows: list[Utterance]) -> Iterator[Utterance]:
    """Mark rows, sorted by start, in which another row of the recording is spoken."""
    overlaps: dict[int, float] = {}
    latest, latest_end_s = -1, -math.inf  # the row before that ends last
    for index, row in enumerate(rows):
        end_s = math.inf if row.end_s is None else row.end_s
        if row.fault:
            continue
        both_s = min(end_s, latest_end_s) - row.start_s
        if both_s > MIN_OVERLAP_S:
            for one in (index, latest):
                overlaps[one] = max(both_s, overlaps.get(one, 0.0))
        if end_s > latest_end_s:
            latest, latest_end_s = index, end_s
    for index, row in enumerate(rows):
        if index in overlaps:
            row = replace(
                row, marks=(*row.marks, Mark("overlapping-speech", f"for {overlaps[index]:.1f} s: {row.text:.50}"))
            )
        yield row


def _bad_row(path: Path, name: str, fault: str) -> Utterance:
    return Utterance(str(path), "", UNREADABLE_S, row=name, marks=(Mark(BAD_ROW, fault),))
