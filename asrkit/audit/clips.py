"""What is wrong with this data, why it matters, and what would be dropped before training."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from asrkit.audio import read_duration_s
from asrkit.audio.clip_stats import ClipStats, measure_clip
from asrkit.audit.findings import EXPLANATIONS, Finding, make_finding
from asrkit.audit.texts import guess_language
from asrkit.data.manifest import Utterance
from asrkit.decoding import ctc
from asrkit.errors import AudioError
from asrkit.text.normalizers import normalize

CHARACTERS = 20  # how many unknown characters a message lists
_AHEAD = 64  # clips decoded before they are asked for


@dataclass(frozen=True)
class Audit:
    """utterances and hours are those that are kept.

    verdict: "not-ready" when nothing is left or more than half is dropped, "ready" when nothing is dropped.
    """

    verdict: Literal["ready", "ready-with-drops", "not-ready"]
    utterances: int
    hours: float
    dropped: int
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        """As `audit --json` prints it."""
        return {
            "verdict": self.verdict,
            "utterances": self.utterances,
            "hours": self.hours,
            "dropped": self.dropped,
            "findings": [found.to_audit_dict() for found in self.findings],
        }


@dataclass(frozen=True)
class Limits:
    """What a clip is checked against.

    rules: as `normalize` takes them. vocabulary: the characters the model can write; None when it will be
    built from this text, so that none is unknown. frames_of: seconds of audio -> CTC frames of the model.
    """

    rules: str = "basic"
    vocabulary: set[str] | None = None
    frames_of: Callable[[float], int] = ctc.num_frames
    min_duration_s: float = 0.1
    max_duration_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Checked:
    """One clip: with its real duration, its text after the rules, and what it is dropped for (None: it is kept).

    heard: None where it was not decoded."""

    row: Utterance
    text: str
    code: str | None
    detail: str = ""
    heard: ClipStats | None = None
    unknown: frozenset[str] = field(default_factory=frozenset)


def audit(utterances: Iterable[Utterance], limits: Limits, decode: bool = False) -> tuple[list[Utterance], Audit]:
    """-> (the utterances to train on, what was found). Texts stay raw; durations become those of the audio itself.

    The quick check before a run, of each clip for itself; `inspection` looks at them together as well. decode: decode
    every clip, which finds files that are cut off or damaged behind a good header, and silent ones; else headers only.

    Raises ConfigError for rules that do not exist.
    """
    checked = list(check_each(utterances, limits, decode))
    return [one.row for one in checked if one.code is None], report(checked, limits)


def check_each(utterances: Iterable[Utterance], limits: Limits, decode: bool) -> Iterator[Checked]:
    """Each clip checked for itself, in order; decoding goes on ahead on all cores. Raises ConfigError as `audit`."""
    normalize("", limits.rules)  # an unknown name is told before hours of audio are read
    if not decode:
        yield from (_check(row, limits, False) for row in utterances)
        return
    rows, ahead = iter(utterances), deque()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        try:
            for row in rows:
                ahead.append(threads.submit(_check, row, limits, True))
                if len(ahead) >= _AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)


def report(checked: list[Checked], limits: Limits, others: Iterable[Finding] = ()) -> Audit:
    """The audit of clips that were checked, with other findings behind those that drop clips."""
    kept = [one for one in checked if one.code is None]
    lost = len(checked) - len(kept)
    verdict: Any = "ready" if not lost else "ready-with-drops"
    if not kept or lost > len(kept):
        verdict = "not-ready"
    places: dict[str, list[int]] = {}
    for place, one in enumerate(checked):
        if one.code is not None:
            places.setdefault(one.code, []).append(place)
    unknown = frozenset().union(*(one.unknown for one in checked)) if checked else frozenset()
    found = [
        make_finding(
            code,
            places[code],
            [example(checked[place]) for place in islice(places[code], 9)],
            settings=_way_out(checked, unknown) if code == "unknown-characters" else None,
            minimum=limits.min_duration_s,
            maximum=limits.max_duration_s,
            characters=_listed(unknown),
        )
        for code in EXPLANATIONS
        if code in places
    ]
    hours = sum(one.row.duration_s for one in kept) / 3600
    return Audit(verdict, len(kept), round(hours, 4), lost, [*found, *others])


def example(one: Checked, detail: str | None = None) -> str:
    """metadata.csv row 3: clip.flac (0.05 s)"""
    place = f"{one.row.row}: " if one.row.row else ""
    return f"{place}{Path(one.row.audio).name} ({one.detail if detail is None else detail})"


def _check(row: Utterance, limits: Limits, decode: bool) -> Checked:
    heard = None
    try:
        seconds = _measure(row)
        if decode and 0 < seconds <= limits.max_duration_s:  # an hour by its header is not decoded to be dropped
            heard = measure_clip(row.audio, start_s=row.start_s, end_s=row.end_s)
            seconds = heard.duration_s
    except AudioError as error:
        return Checked(row, "", "unreadable-audio", str(error))
    row, text = replace(row, duration_s=seconds), normalize(row.text, limits.rules)
    code = _check_duration(seconds, limits)
    if code:
        return Checked(row, text, code, f"{seconds:.2f} s", heard)
    if heard and heard.is_silent:
        return Checked(row, text, "silent", f"{heard.loudest_dbfs:.0f} dBFS at most", heard)
    code, detail, unknown = _check_text(row, text, limits)
    return Checked(row, text, code, detail, heard, unknown)


def _measure(row: Utterance) -> float:
    """Seconds of audio by the header, 0.0 for none. Raises AudioError."""
    path = Path(row.audio)
    if path.is_file() and path.stat().st_size == 0:
        return 0.0
    whole_s = read_duration_s(path)
    return max(0.0, (whole_s if row.end_s is None else min(row.end_s, whole_s)) - row.start_s)


def _check_duration(seconds: float, limits: Limits) -> str | None:
    if seconds <= 0 or not math.isfinite(seconds):
        return "zero-length"
    if seconds < limits.min_duration_s:
        return "too-short"
    return "too-long" if seconds > limits.max_duration_s else None


def _check_text(row: Utterance, text: str, limits: Limits) -> tuple[str | None, str, frozenset[str]]:
    if not text:
        return "empty-transcript", f"text {row.text!r}", frozenset()
    unknown = (
        frozenset() if limits.vocabulary is None else frozenset(ctc.collect_characters([text])) - limits.vocabulary
    )
    if unknown:
        return "unknown-characters", "".join(sorted(unknown)), unknown
    tokens, frames = text.replace(" ", ctc.DELIMITER), limits.frames_of(row.duration_s)
    if not ctc.is_feasible(tokens, frames):
        return "label-too-long", f"{len(tokens)} characters in {frames} frames", unknown
    return None, "", unknown


def _way_out(checked: list[Checked], unknown: frozenset[str]) -> dict[str, Any]:
    """Digits can be spelled out; other characters need a larger vocabulary."""
    if all(character.isdecimal() for character in unknown):
        return {"spell_numbers": guess_language(one.text for one in checked) or "en"}
    return {"vocabulary": "extend"}


def _listed(unknown: frozenset[str]) -> str:
    listed = " ".join(sorted(unknown)[:CHARACTERS])
    return listed + (f" and {len(unknown) - CHARACTERS} more" if len(unknown) > CHARACTERS else "")
