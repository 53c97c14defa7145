"""All spans of one annotated recording, by tier, for a picture of it: those that become clips and those that do not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from asrkit.data.manifest import Utterance
from asrkit.data.readers.annotations.model import AnnotatedRecording, Span, Tier

MAX_SPANS = 100_000
"""Of one recording."""
MAX_TEXT = 200
"""Characters of a text."""
NO_TEXT, UNSURE, OTHER_SPEAKER, OTHER_TIER = "empty-spans", "only-marks", "other-speaker", "other-tier"
"""Reasons to leave a span out, beside the codes of marks."""


class OutlinedSpan(NamedTuple):
    """A span in seconds of the recording; its times are those of the file, which may be wrong.

    reason: why it is left out, empty for a clip. marks: codes of what is doubtful about a clip.
    """

    start_s: float
    end_s: float | None
    text: str
    speaker: str
    reason: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutlinedTier:
    """A tier and its spans in the order of their times."""

    name: str
    is_chosen: bool
    spans: tuple[OutlinedSpan, ...]


@dataclass(frozen=True)
class Outline:
    """The tiers of a recording in the order of the file. num_left_out: spans beyond MAX_SPANS."""

    tiers: tuple[OutlinedTier, ...]
    num_left_out: int = 0


@dataclass
class Outliner:
    """Collects the outline of the recording at the path `audio`; of others nothing."""

    audio: str = ""
    outlines: list[Outline] = field(default_factory=list)
    _left_out: dict[int, list[tuple[Span, str]]] = field(default_factory=dict)

    def leave_out(self, tier: Tier, span: Span, reason: str) -> None:
        """Note a span of a chosen tier that becomes no clip."""
        if self.audio:
            self._left_out.setdefault(id(tier), []).append((span, reason))

    def add(
        self,
        audio: str,
        recording: AnnotatedRecording,
        chosen: Sequence[Tier],
        clips: Sequence[tuple[Tier, Utterance]],
        offset_s: float,
    ) -> None:
        """Add a recording that has been read. clips: of its chosen tiers. offset_s: where its zero is in the audio."""
        left_out, self._left_out = self._left_out, {}
        if audio != self.audio:
            return
        of_tier: dict[int, list[OutlinedSpan]] = {id(tier): [] for tier in recording.tiers}
        for tier, clip in clips:
            if clip.fault:  # noted with its own times
                continue
            codes = tuple(dict.fromkeys(mark.code for mark in clip.marks))
            text, speaker = clip.text[:MAX_TEXT], clip.speaker or ""
            of_tier[id(tier)].append(OutlinedSpan(clip.start_s, clip.end_s, text, speaker, "", codes))
        for tier in recording.tiers:
            spans = left_out.get(id(tier), [])
            if not any(tier is each for each in chosen):
                spans = [(span, OTHER_TIER) for span in tier.spans if span.text]
            of_tier[id(tier)] += [_outline_span(tier, span, reason, offset_s) for span, reason in spans]
        self.outlines.append(_shorten(recording.tiers, chosen, of_tier))

    def result(self) -> Outline | None:
        """Return the outline; None where no recording had that path."""
        if not self.outlines:
            return None
        tiers = tuple(tier for outline in self.outlines for tier in outline.tiers)
        return Outline(tiers, sum(outline.num_left_out for outline in self.outlines))


def _outline_span(tier: Tier, span: Span, reason: str, offset_s: float) -> OutlinedSpan:
    start_s, end_s = (time if time is None or math.isfinite(time) else 0.0 for time in (span.start_s, span.end_s))
    start_s = (start_s or 0.0) + offset_s
    end_s = None if end_s is None else end_s + offset_s
    return OutlinedSpan(start_s, end_s, span.text[:MAX_TEXT], span.speaker or tier.speaker, reason)


def _shorten(tiers: Iterable[Tier], chosen: Sequence[Tier], of_tier: dict[int, list[OutlinedSpan]]) -> Outline:
    """Return the outline with the spans of chosen tiers first where there are too many."""
    listed = sorted(tiers, key=lambda tier: not any(tier is each for each in chosen))
    room, num_left_out, outlined = MAX_SPANS, 0, []
    for tier in listed:
        spans = sorted(of_tier[id(tier)], key=lambda span: span.start_s)
        num_left_out += max(0, len(spans) - room)
        kept = tuple(spans[:room])
        room -= len(kept)
        outlined.append(OutlinedTier(tier.name, any(tier is each for each in chosen), kept))
    return Outline(tuple(outlined), num_left_out)
