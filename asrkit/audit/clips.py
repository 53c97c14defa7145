"""The check of each clip by itself: what would be dropped before training, and why."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from asrkit.audio import AudioNote
from asrkit.audio.confined import AudioReader, ClipSpan, Measured
from asrkit.audit.checked_clips import CheckedClip, CheckedClips
from asrkit.audit.findings import EXPLANATIONS, Finding, Verdict, derive_verdict, make_finding
from asrkit.audit.measurement_cache import CachedBatch
from asrkit.audit.texts import join_characters, number_settings
from asrkit.cores import count_cores
from asrkit.data.file_cache import FileCache
from asrkit.data.manifest import Column, Mark, Utterance
from asrkit.data.streams.origins import piece_of
from asrkit.decoding import ctc
from asrkit.text.normalisers import find_problems, normalise
from asrkit.units import format_list

MAX_DETAILS = 3  # in the cause of a finding
BATCH_CLIPS = 32
"""That a process reads at once."""
_PREFETCHED_BATCHES = 4
MAX_OVERSHOOT_S = 0.6
"""By how much a part of a recording may go beyond its end: many times are rounded to a second."""


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    verdict: as `findings.derive_verdict` derives it. utterances, hours: of the clips that are kept.
    """

    verdict: Verdict
    utterances: int
    hours: float
    dropped: int
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as `audit --json` prints it."""
        return {
            "verdict": self.verdict,
            "utterances": self.utterances,
            "hours": self.hours,
            "dropped": self.dropped,
            "findings": [finding.to_audit_dict() for finding in self.findings],
        }


@dataclass(frozen=True)
class Limits:
    """The limits and rules that a clip is checked against.

    rules: one or more normalisers (`TrainConfig.text_rules`). vocabulary: the characters that the model can write; None
    if it grows by those of this text. known: of a vocabulary that grows by itself, the characters that the base model
    has; it grows by all others but digits, which are spelled out. count_frames: seconds of audio -> CTC frames of the
    model, one every `frame_ms`. language: of the run, which is offered for numbers where that of the texts is
    unknown. spell: text -> labels of a model that spells in pieces of words or has letters of several characters; None
    for one of characters. unit: what the labels are, for messages.
    """

    rules: str = "basic"
    vocabulary: set[str] | None = None
    known: set[str] | None = None
    count_frames: Callable[[float], int] = ctc.num_frames
    min_duration_s: float = 0.1
    max_duration_s: float = 30.0
    language: str = ""
    frame_ms: float = 20.0
    spell: Callable[[str], Sequence[Hashable]] | None = None
    unit: str = "characters"

    def find_unknown(self, characters: Iterable[str]) -> frozenset[str]:
        """Return those of the characters that the model will not write."""
        if self.vocabulary is not None:
            return frozenset(characters) - self.vocabulary
        return frozenset(filter(str.isdecimal, characters)) - self.known if self.known is not None else frozenset()


def audit_clips(
    utterances: Sequence[Utterance], limits: Limits, decode: bool = False, cache: FileCache | None = None
) -> tuple[list[Utterance], Audit]:
    """Check each clip by itself, quickly, as before a run; `inspection` does the complete audit.

    decode: decode every clip, which finds truncated, damaged and silent files; else only headers are read.

    Returns (the utterances to train on, the audit). Texts stay as written; durations become those of the audio itself.
    Raises ConfigError for rules that do not exist.
    """
    clips = CheckedClips(utterances, check_clips(utterances, limits, decode, cache))
    return [clip.row for clip in clips if clip.code is None], build_audit(clips, limits)


def check_clips(
    rows: Sequence[Utterance], limits: Limits, decode: bool, cache: FileCache | None = None
) -> Iterator[CheckedClip]:
    """Check each clip by itself, in order. Clips are read in advance, in batches, on all cores.

    The audio of streamed clips is not read: they have the length that their index says, and training checks the rest.

    cache: of clips that were decoded before, which are not decoded again unless their files have changed.

    Raises ConfigError for rules that do not exist, before any audio is read.
    """
    normalise("", limits.rules)
    # A longer clip is dropped, so it is not decoded.
    max_decoded_s = limits.max_duration_s if decode else 0.0
    pending: deque[tuple[list[Utterance], CachedBatch, Future[list[Measured]] | None]] = deque()
    with AudioReader(_list_files(rows)) as reader, ThreadPoolExecutor(count_cores()) as threads:
        try:
            for batch in _cut_batches(rows):
                spans = [ClipSpan(row.audio, row.start_s, row.end_s) for row in batch if _is_read(row)]
                known = CachedBatch(cache, spans, max_decoded_s)
                rest = threads.submit(reader.measure, known.missing, max_decoded_s) if known.missing else None
                pending.append((batch, known, rest))
                if len(pending) >= max(_PREFETCHED_BATCHES, 2 * count_cores()):
                    yield from _check_batch(*pending.popleft(), limits)
            while pending:
                yield from _check_batch(*pending.popleft(), limits)
        finally:
            threads.shutdown(cancel_futures=True)
            if cache:
                cache.commit()


def _list_files(rows: Sequence[Utterance]) -> Iterator[str]:
    """Yield the file of each clip that is read."""
    for audio, marks in zip(Column("audio", rows), Column("marks", rows), strict=True):
        if not piece_of(audio) and not any(EXPLANATIONS[mark.code].kind == "drop" for mark in marks):
            yield audio


def _is_read(row: Utterance) -> bool:
    """Whether the audio of a row is read here."""
    return not piece_of(row.audio) and _find_dropping_mark(row) is None


def _cut_batches(rows: Iterable[Utterance]) -> Iterator[list[Utterance]]:
    rest = iter(rows)
    while batch := list(islice(rest, BATCH_CLIPS)):
        yield batch


def build_audit(clips: CheckedClips, limits: Limits, other_findings: Iterable[Finding] = ()) -> Audit:
    """Build the audit of checked clips: findings that drop clips, those of marks and notes, and the other ones."""
    num_kept = int(clips.is_kept.sum())
    num_dropped = len(clips) - num_kept
    indices = clips.dropped()
    unknown = frozenset[str]().union(*clips.unknown.values())
    findings = [
        make_finding(
            code,
            indices[code],
            [format_example(clips[index]) for index in islice(indices[code], 9)],
            settings=_settings_for_unknown(clips, unknown, limits) if code == "unknown-characters" else None,
            minimum=limits.min_duration_s,
            maximum=limits.max_duration_s,
            frame_ms=limits.frame_ms,
            characters=join_characters(unknown),
            detail=_describe_dropped(code, (clips[index] for index in indices[code])),
        )
        for code in EXPLANATIONS
        if code in indices
    ]
    findings += [*_find_marks(clips), *other_findings]
    hours = float(clips.durations_s[clips.is_kept].sum()) / 3600
    verdict = derive_verdict(num_kept, num_dropped, findings)
    return Audit(verdict, num_kept, round(hours, 4), num_dropped, findings)


def _describe_dropped(code: str, clips: Iterable[CheckedClip]) -> str:
    """Return what is wrong with the clips that a finding drops, for its cause: of audio, which files."""
    if code != "unreadable-audio":
        return format_list(list(dict.fromkeys(clip.detail.rstrip(".") for clip in clips)), MAX_DETAILS, "; ")
    names = {True: list[str](), False: list[str]()}
    for clip in clips:
        path = Path(clip.row.audio)
        names[path.is_file()].append(path.name)
    return " and ".join(
        f"{what} ({format_list(of_kind, MAX_DETAILS)})"
        for what, of_kind in (("do not exist", names[False]), ("cannot be decoded", names[True]))
        if of_kind
    )


def make_note_findings(notes: Iterable[Mark]) -> list[Finding]:
    """Make the findings of what a reader saw in the dataset as a whole."""
    return [make_finding(note.code, [], [], count=1, detail=note.detail) for note in notes]


def _find_marks(clips: CheckedClips) -> Iterator[Finding]:
    """Make a finding of the marks, and the notes on the audio, of one code on the clips that are kept."""
    marked: dict[str, list[tuple[int, str]]] = {}
    for index, (is_kept, marks) in enumerate(zip(clips.is_kept.tolist(), clips.iter_column("marks"), strict=True)):
        if is_kept:
            of_clip: tuple[Mark | AudioNote, ...] = (*marks, *clips.notes.get(index, ()))
            for mark in of_clip:
                marked.setdefault(mark.code, []).append((index, mark.detail))
    for code, rows in marked.items():
        details = list(dict.fromkeys(detail for _, detail in rows))
        yield make_finding(
            code,
            list(dict.fromkeys(index for index, _ in rows)),
            [format_example(clips[index], detail) for index, detail in rows[:9]],
            detail="; ".join(details[:3]),
        )


def format_example(clip: CheckedClip, detail: str | None = None) -> str:
    """Format a clip as "metadata.csv row 3: clip.flac (0.05 s)"."""
    where = f"{clip.row.row}: " if clip.row.row else ""
    return f"{where}{Path(clip.row.audio).name} ({clip.detail if detail is None else detail})"


def _check_batch(
    rows: list[Utterance], known: CachedBatch, rest: Future[list[Measured]] | None, limits: Limits
) -> list[CheckedClip]:
    measured = iter(known.complete(rest.result() if rest else []))
    clips = []
    for row in rows:
        mark = _find_dropping_mark(row)
        if mark:
            clips.append(CheckedClip(row, "", mark.code, mark.detail))
        else:
            clips.append(_check_clip(row, next(measured) if _is_read(row) else Measured(row.duration_s), limits))
    return clips


def _find_dropping_mark(row: Utterance) -> Mark | None:
    """Return the mark for which a row is dropped, whatever its audio is."""
    return next((mark for mark in row.marks if EXPLANATIONS[mark.code].kind == "drop"), None)


def _check_clip(row: Utterance, measured: Measured, limits: Limits) -> CheckedClip:
    if measured.error:
        return CheckedClip(row, "", "unreadable-audio", measured.error)
    seconds, stats = measured.duration_s, measured.stats
    row, text = replace(row, duration_s=seconds), normalise(row.text, limits.rules)
    if row.end_s is not None and row.end_s - row.start_s > seconds + MAX_OVERSHOOT_S and seconds > 0:
        detail = f"from {row.start_s:g} s to {row.end_s:g} s, of which {seconds:.2f} s are there"
        return CheckedClip(row, text, "beyond-end", detail, stats)
    code = _check_duration(seconds, limits)
    if code:
        return CheckedClip(row, text, code, f"{seconds:.2f} s", stats)
    if stats and stats.is_silent:
        return CheckedClip(row, text, "silent", f"{stats.loudest_dbfs:.0f} dBFS at most", stats)
    code, detail, unknown = _check_text(row, text, limits)
    return CheckedClip(row, text, code, detail, stats, unknown, measured.notes)


def _check_duration(seconds: float, limits: Limits) -> str | None:
    if seconds <= 0 or not math.isfinite(seconds):
        return "zero-length"
    if seconds < limits.min_duration_s:
        return "too-short"
    return "too-long" if seconds > limits.max_duration_s else None


def _check_text(row: Utterance, text: str, limits: Limits) -> tuple[str | None, str, frozenset[str]]:
    """Return (code, detail, unknown characters)."""
    if not text:
        return "empty-transcript", f"text {row.text!r}", frozenset()
    if unread := find_problems(row.text, limits.rules).unread:
        return "unread-numbers", ", ".join(unread), frozenset()
    if unknown := limits.find_unknown(ctc.collect_characters([text])):
        return "unknown-characters", "".join(sorted(unknown)), unknown
    tokens = limits.spell(text) if limits.spell else text.replace(" ", ctc.DELIMITER)
    num_frames = limits.count_frames(row.duration_s)
    if not ctc.is_feasible(tokens, num_frames):
        return "label-too-long", f"{len(tokens)} {limits.unit} in {num_frames} frames", unknown
    return None, "", unknown


def _settings_for_unknown(clips: CheckedClips, unknown: frozenset[str], limits: Limits) -> dict[str, Any]:
    """Return the settings that solve unknown characters: digits can be spelled out, others need a larger vocabulary."""
    if all(character.isdecimal() for character in unknown):
        return number_settings(clips.iter_column("text"), limits.language)
    return {"vocabulary": "auto"}
