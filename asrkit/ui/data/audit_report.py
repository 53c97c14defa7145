"""An inspection, a clip, a text preview -> what the Data tab's script draws. Plain values; the script makes text of
them."""

from __future__ import annotations

import functools
import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asrkit.audit import inspection
from asrkit.audit.clips import Limits
from asrkit.audit.findings import Finding
from asrkit.audit.inspection import Inspection
from asrkit.audit.texts import MIN_OCCURRENCES
from asrkit.config import TrainConfig
from asrkit.data.manifest import Utterance
from asrkit.data.sources import Source
from asrkit.jobs import ProgressCallback
from asrkit.runs import preparation
from asrkit.runs.store import RunStore

CLIPS = 20  # of a finding that can be heard
SPEAKERS = 12
MOST_CHARACTERS = 400

TITLES = {
    "unreadable-audio": "Cannot be read",
    "zero-length": "No audio",
    "too-short": "Too short",
    "too-long": "Too long",
    "silent": "Silent",
    "empty-transcript": "No transcript",
    "unknown-characters": "Characters the model cannot write",
    "label-too-long": "More text than the audio can hold",
    "poor-alignment": "Probably wrong transcripts",
    "fast-speech": "Too much text for the audio",
    "slow-speech": "Little text for the audio",
    "clipped": "Clipped",
    "noisy": "Very noisy",
    "duplicate-audio": "The same audio twice",
    "leak-audio": "Trained and evaluated on",
    "leak-speaker": "Speakers on both sides",
    "leak-text": "Sentences on both sides",
    "speaker-balance": "One voice speaks most",
    "duplicate-text": "The same sentences again and again",
    "little-data": "Little data",
    "low-rate": "Low sampling rate",
    "digits": "Digits",
    "spoken-symbols": "Symbols that are read out",
    "symbols": "Punctuation in the vocabulary",
    "mixed-case": "Mixed case",
    "unicode-form": "One letter written in two ways",
    "look-alikes": "Look-alike letters",
    "mixed-scripts": "Letters of another script",
    "rare-characters": "Rare characters",
}
VERDICTS = {
    "ready": "Ready to train on.",
    "ready-with-drops": "Ready, without the clips that cannot be used.",
    "not-ready": "Not ready: too little of it can be used.",
}
_USUALLY_LEFT_OUT = ("leak-audio", "duplicate-audio", "noisy")


def inspect(
    source: Source, limits: Limits, config: TrainConfig, model: str, store: RunStore, on_progress: ProgressCallback
) -> Inspection:
    """The whole audit; config: of the run that it is for. model: whose alignment scores it gets, or empty."""
    score = None
    if model:
        on_progress("Loading the model", 0, 0)
        # Imported here because it brings torch, for which the page must not wait.
        from asrkit.transcription.scoring import make_scorer

        score = make_scorer(model, store)
    return inspection.inspect(
        source,
        limits,
        keeps_vocabulary=limits.vocabulary is not None,
        score=score,
        hold_out=functools.partial(preparation.split_rows, config),
        on_progress=on_progress,
    )


def report(found: Inspection, limits: Limits) -> dict[str, Any]:
    """Everything that the tab shows of an audit."""
    told, numbers = found.audit, found.statistics
    return {
        "verdict": told.verdict,
        "sentence": VERDICTS[told.verdict],
        "utterances": told.utterances,
        "hours": told.hours,
        "dropped": told.dropped,
        "findings": [_finding(found, each) for each in told.findings],
        "durations": numbers.durations,
        "words": numbers.words,
        "distinct_words": numbers.distinct_words,
        "characters": _marked(numbers.characters, limits.vocabulary),
        "speakers": numbers.speakers[:SPEAKERS],
        "speaker_count": len(numbers.speakers),
        "rates": sorted(numbers.rates.items()),
        "held_out": _held_out(found),
    }


def _held_out(found: Inspection) -> str:
    """Who or what is to be evaluated on."""
    rows = [found.clips[place].row for place in sorted(found.held_out)]
    kept = found.audit.utterances
    if not rows:
        return ""
    speakers = sorted({row.speaker for row in rows if row.speaker})
    by = f" by {', '.join(speakers[:3])}{' and others' if len(speakers) > 3 else ''}" if speakers else ""
    return f"{len(rows):,} clips{by} ({len(rows) / kept:.0%}) are to evaluate on, {kept - len(rows):,} to train on."


def clip(row: Utterance, place: int, detail: str = "") -> dict[str, Any]:
    """One clip of a list. detail: what is special about it."""
    return {
        "place": place,
        "id": row.id,
        "text": row.text,
        "speaker": row.speaker or "",
        "seconds": max(0.0, row.duration_s),
        "where": row.row or Path(row.audio).name,
        "name": Path(row.audio).name,
        "detail": detail,
    }


def telling_pairs(before: Sequence[str], after: Sequence[str], wanted: int) -> list[tuple[str, str]]:
    """Sentences that show what the rules do: each brings a change that those above it did not have."""
    seen: set[str] = set()
    shown: list[tuple[str, str]] = []
    # Many kinds of change (a capital, a comma, a digit ...) in a short sentence.
    ranked = sorted(
        zip(before, after, strict=True),
        key=lambda pair: (-len({unicodedata.category(letter) for letter in set(pair[0]) - set(pair[1])}), len(pair[0])),
    )
    for old, new in ranked:
        gone = set(old) - set(new)
        if gone - seen or (old != new and len(shown) < 2):
            seen |= gone
            shown.append((old, new))
        if len(shown) == wanted:
            break
    return shown or list(zip(before, after, strict=True))[:3]


def characters(texts: Sequence[str], known: set[str] | None) -> list[dict[str, Any]]:
    """The vocabulary of texts, as `report` has it."""
    return _marked(Counter(letter for text in texts for letter in text if not letter.isspace()).most_common(), known)


def _marked(counted: Sequence[tuple[str, int]], known: set[str] | None) -> list[dict[str, Any]]:
    return [
        {
            "character": letter,
            "count": count,
            "rare": count < MIN_OCCURRENCES,
            "unknown": known is not None and letter not in known,
        }
        for letter, count in counted[:MOST_CHARACTERS]
    ]


def _finding(found: Inspection, each: Finding) -> dict[str, Any]:
    details = {place: _detail(found, each, place) for place in each.clips[:CLIPS]}
    return {
        "code": each.code,
        "title": TITLES[each.code],
        "kind": each.kind,
        "count": each.count,
        "effect": each.cause,
        "fix": each.remedy,
        "settings": each.settings,
        "examples": [] if each.clips else each.examples,
        "clips": [clip(found.clips[place].row, place, detail) for place, detail in details.items()],
        "can_leave_out": each.kind == "suspect" and bool(each.clips),
        "leave_out": each.code in _USUALLY_LEFT_OUT,
    }


def _detail(found: Inspection, each: Finding, place: int) -> str:
    one = found.clips[place]
    if one.code == each.code:
        return one.detail
    if each.code == "poor-alignment":
        return f"score {found.scores[place]:.2f}"
    if each.code in ("fast-speech", "slow-speech"):
        return f"{len(one.text.replace(' ', '')) / one.row.duration_s:.1f} letters a second"
    if one.stats and each.code == "noisy" and one.stats.snr_db is not None:
        return f"{one.stats.snr_db:.0f} dB"
    if one.stats and each.code == "clipped":
        return f"{math.ceil(1000 * one.stats.clipped_fraction) / 10:g} % cut off"
    return ""
