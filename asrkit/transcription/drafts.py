"""Drafts of the empty segments that somebody drew in an annotation: each transcribed, as a new tier of the same file.

Segments with a text stay without a draft, as do those in which no speech was heard.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from asrkit.audio.confined import AudioReader
from asrkit.data import confined
from asrkit.data.readers.annotations import media
from asrkit.data.readers.annotations.model import AnnotatedRecording, Span, Tier
from asrkit.data.readers.annotations.tiers import TierChoice, list_names, missing_error
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import DataError
from asrkit.jobs import ProgressCallback
from asrkit.sandbox import Sandbox
from asrkit.transcription.writers.insertion import NewTier, insert_into_eaf, insert_into_textgrid

if TYPE_CHECKING:  # which imports torch
    from asrkit.transcription.transcriber import Transcriber

INSERTERS = {".eaf": insert_into_eaf, ".textgrid": insert_into_textgrid}
"""Suffix -> what inserts tiers into such a file."""
NAME = "asrkit"
_BATCH_SIZE = 16
MIN_SEGMENT_S, MAX_SEGMENT_S = 0.1, 600.0
"""Segments that are transcribed; a tier that Praat has just made is one segment of the whole recording."""


def is_annotation(name: str | Path) -> bool:
    """Return whether a file is an annotation that drafts can be inserted into."""
    return Path(name).suffix.lower() in INSERTERS


def draft_annotation(
    path: Path,
    load_transcriber: Callable[[], Transcriber],
    *,
    tiers: str = "",
    hints: DecodingHints = NO_HINTS,
    on_progress: ProgressCallback = lambda message, done, total: None,
) -> bytes:
    """Return the content of an annotation file with a new tier for each tier of empty segments.

    tiers: those whose empty segments are transcribed, as in `TierChoice`; by default those that are empty for the most
    part. Raises DataError for a file that cannot be read, without such a tier, or whose recording is missing, and
    AudioError for a recording that cannot be read.
    """
    (recording,) = confined.read_annotation(path)
    chosen = _choose_tiers(path, recording, tiers)
    found = media.MediaFinder(path.parent).find(path, recording)
    if found is None:
        named = media.base_name(recording.media[0].names[0]) if recording.media else f"{path.stem}.wav"
        raise DataError(f"{path} is of the recording {named:.120}, which is missing; copy it beside it.")
    texts: dict[int, dict[Span, str]] = {id(tier): {} for tier in chosen}
    with AudioReader([found.path]) as reader:
        duration_s = reader.read_duration_s(found.path)
        segments = [
            (tier, span, part)
            for tier in chosen
            for span in tier.spans
            if not span.text and (part := _part(span, found.offset_s, duration_s))
        ]
        if not segments:
            raise DataError(f"{path} has no empty segment within its recording; draw segments of what is said first.")
        transcriber = load_transcriber()
        decoder = hints.build_decoder(transcriber)
        for start in range(0, len(segments), _BATCH_SIZE):
            batch = segments[start : start + _BATCH_SIZE]
            waves = [reader.load(found.path, start_s=start_s, end_s=end_s) for _, _, (start_s, end_s) in batch]
            for (tier, span, _), transcript in zip(batch, transcriber.transcribe_batch(waves, decoder), strict=True):
                if transcript.text.strip():
                    texts[id(tier)][span] = transcript.text
            on_progress(f"Transcribing {path.name}", start + len(batch), len(segments))
    taken = {tier.name for tier in recording.tiers}
    new = [NewTier(_new_name(tier.name, taken), tier, texts[id(tier)]) for tier in chosen if texts[id(tier)]]
    if not new:
        raise DataError(f"{path}: no speech was heard in the segments of {list_names(tier.name for tier in chosen)}.")
    with Sandbox([path]) as sandbox:
        return sandbox.call(_insert, path, new, about=path).encode("latin-1")


def _choose_tiers(path: Path, recording: AnnotatedRecording, tiers: str) -> list[Tier]:
    choice = TierChoice.parse(tiers)
    if choice.selects_tiers:
        chosen = list(filter(choice.matches, recording.tiers))
        if not chosen:
            raise missing_error(choice, [recording], str(path))
        return chosen
    chosen = [tier for tier in recording.tiers if not tier.parent and 2 * _count_empty(tier) > len(tier.spans)]
    blank = [tier for tier in chosen if _count_empty(tier) == len(tier.spans)]
    if not chosen:
        raise DataError(
            f"{path} has no tier of empty segments; draw segments of what is said, or name the tier (--tiers)."
        )
    return blank or chosen


def _count_empty(tier: Tier) -> int:
    return sum(not span.text for span in tier.spans)


def _part(span: Span, offset_s: float, duration_s: float) -> tuple[float, float] | None:
    """Return where a segment begins and ends in its recording; None for one outside, too short or too long."""
    start_s = max(0.0, span.start_s + offset_s)
    end_s = min(duration_s, duration_s if span.end_s is None else span.end_s + offset_s)
    return (start_s, end_s) if MIN_SEGMENT_S <= end_s - start_s <= MAX_SEGMENT_S else None


def _new_name(name: str, taken: set[str]) -> str:
    """Return the name of the new tier for the tier `name`, which no other tier has."""
    number, new = 1, f"{name} ({NAME})"
    while new in taken:
        number += 1
        new = f"{name} ({NAME} {number})"
    taken.add(new)
    return new


# In the sandbox


def _insert(path: Path, tiers: list[NewTier]) -> str:
    """Return the file with these tiers, its bytes as characters."""
    return INSERTERS[path.suffix.lower()](path.read_bytes(), tiers, path).decode("latin-1")
