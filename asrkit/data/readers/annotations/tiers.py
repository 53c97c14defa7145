"""Which tiers of a recording hold what was said: as chosen by the user, or by their kind.

A choice is a list of items, separated by commas; quotes keep a comma inside an item. An item is the name of a tier, in
which * stands for anything (tx@*), or type:NAME, of a linguistic type, or speaker:NAME, which leaves out all others.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from asrkit.data.readers.annotations.model import AnnotatedRecording, Span, Tier
from asrkit.errors import DataError
from asrkit.units import format_list

MAX_LISTED = 12  # tiers in a message
MAX_PREVIEWED_TEXTS = 3

_TRANSCRIPTION = frozenset(
    "transcription transcriptions transcript transcripts transcribed orth ortho orthography orthographic trs trl tx "
    "txt text utterance utterances utt sentence sentences speech spoken verbatim captions turns labels transkription "
    "transcripcion transcricao transcricoes phrase phrases".split()
)
_WORDS = frozenset("word words wrd token tokens wort worter palabra palabras mot mots palavra palavras".split())
_OTHER = frozenset(
    "translation translations trans free ft gls gloss glosses glossing ge mb morph morphs morpheme morphemes pos ps "
    "note notes nt comment comments com phon phons phone phones phoneme phonemes syllable syllables tone tones pitch "
    "segment segnum ref id gesture gestures gaze marker markers section sections language topic literal lit lt trad "
    "traduction traduccion traducao ubersetzung ipa phonetic phonetics english french spanish".split()
)
_MIN_PARALLEL_SHARE = 0.8
_MAX_WORD_S = 1.2
"""Median length above which single words of a script without spaces are sentences."""


@dataclass(frozen=True)
class TierSummary:
    """A tier of a dataset, over all of its files, for the user to choose from.

    num_spans: with and without text. duration_s: of those with text. texts: the first ones.
    """

    name: str
    type: str
    speaker: str
    num_files: int
    num_spans: int
    num_texts: int
    duration_s: float
    texts: tuple[str, ...]
    is_chosen: bool


@dataclass(frozen=True)
class TierChoice:
    """What the user chose. names and types: any of them; speakers: only those, of the chosen tiers."""

    names: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> TierChoice:
        """Parse the setting `tiers`."""
        items: dict[str, list[str]] = {"": [], "type": [], "speaker": []}
        for record in csv.reader([text], skipinitialspace=True):
            for item in filter(None, map(str.strip, record)):
                kind, colon, name = item.partition(":")
                known = colon and kind in items
                items[kind if known else ""].append(name.strip() if known else item)
        return cls(tuple(items[""]), tuple(items["type"]), tuple(items["speaker"]))

    @property
    def selects_tiers(self) -> bool:
        return bool(self.names or self.types)

    def matches(self, tier: Tier) -> bool:
        """Return whether a tier is one of those named; without any, all are."""
        if not self.selects_tiers:
            return True
        return any(_is_like(name, tier.name) for name in self.names) or any(
            _is_like(name, tier.type) for name in self.types
        )

    def allows_speaker(self, speaker: str) -> bool:
        return not self.speakers or any(_is_like(name, speaker) for name in self.speakers)


@dataclass(frozen=True)
class ChosenTiers:
    """tiers: those to read. assumption: what was assumed to choose them; empty where it is clear."""

    tiers: tuple[Tier, ...]
    assumption: str = ""

    def speaker_of(self, tier: Tier, span: Span) -> str:
        """Return who speaks: as the span or its tier says, or else the tier's name, where there are several.

        What the tier is, as in "Ann - words", is no part of the speaker's name.
        """
        if span.speaker or tier.speaker or len(self.tiers) < 2:
            return span.speaker or tier.speaker
        words = re.findall(r"[^\W_]+", tier.name)
        kept = [word for word in words if word.lower() not in _TRANSCRIPTION | _WORDS | _OTHER]
        return tier.name if len(kept) == len(words) else " ".join(kept)


def choose(recording: AnnotatedRecording, choice: TierChoice) -> ChosenTiers:
    """Choose the tiers to read of a recording; none if nothing fits the user's choice, or no tier has a text."""
    if choice.selects_tiers:
        return ChosenTiers(tuple(filter(choice.matches, recording.tiers)))
    written = [tier for tier in recording.tiers if any(span.text for span in tier.spans)]
    groups: dict[tuple[int, str], list[Tier]] = defaultdict(list)
    for tier in written:
        rank = _rank(tier)
        kind = " ".join(sorted(_words_of(tier) & _TRANSCRIPTION)) if rank == _RANK_NAMED else tier.type
        groups[rank, kind].append(tier)
    if not groups:
        return ChosenTiers(())
    best = max(groups, key=lambda key: (key[0], -_depth(groups[key][0], recording), _num_letters(groups[key])))
    chosen = _leave_out_parallel(groups[best])
    names = {tier.name for tier in chosen}
    left_out = [tier for tier in written if tier not in chosen and not _is_below(tier, names, recording)]
    unclear = [tier.name for tier in left_out if best[0] < _RANK_NAMED or _rank(tier) >= _RANK_PLAIN]
    read = list_names([tier.name for tier in chosen])
    if unclear:
        return ChosenTiers(tuple(chosen), f"{read} is read, not {list_names(unclear)}")
    return ChosenTiers(tuple(chosen), f"{read} is read, there being nothing better" if best[0] <= _RANK_OTHER else "")


def list_names(names: Iterable[str]) -> str:
    """Return up to three names, for a message."""
    return format_list(list(dict.fromkeys(names)), 3)


def summarize(recordings: Sequence[tuple[AnnotatedRecording, ChosenTiers]]) -> tuple[TierSummary, ...]:
    """Return the tiers of all recordings, those with most texts first."""
    rows: dict[tuple[str, str, str], list[tuple[Tier, bool]]] = defaultdict(list)
    for recording, chosen in recordings:
        for tier in recording.tiers:
            rows[tier.name, tier.type, tier.speaker].append((tier, tier in chosen.tiers))
    summaries = []
    for (name, kind, speaker), tiers in rows.items():
        texts = [span for tier, _ in tiers for span in tier.spans if span.text]
        summaries.append(
            TierSummary(
                name,
                kind,
                speaker,
                len(tiers),
                sum(len(tier.spans) for tier, _ in tiers),
                len(texts),
                sum(max(0.0, span.end_s - span.start_s) for span in texts if span.end_s is not None),
                tuple(span.text[:120] for span in texts[:MAX_PREVIEWED_TEXTS]),
                any(is_chosen for _, is_chosen in tiers),
            )
        )
    return tuple(sorted(summaries, key=lambda row: (not row.is_chosen, -row.num_texts)))


def merge_summaries(parts: Iterable[Sequence[TierSummary]]) -> tuple[TierSummary, ...]:
    """Return the tiers of several datasets, with the counts of those that several have."""
    merged: dict[tuple[str, str, str], TierSummary] = {}
    for row in (row for part in parts for row in part):
        key = row.name, row.type, row.speaker
        if key in merged:
            first = merged[key]
            row = replace(
                first,
                num_files=first.num_files + row.num_files,
                num_spans=first.num_spans + row.num_spans,
                num_texts=first.num_texts + row.num_texts,
                duration_s=first.duration_s + row.duration_s,
                texts=(*first.texts, *row.texts)[:MAX_PREVIEWED_TEXTS],
                is_chosen=first.is_chosen or row.is_chosen,
            )
        merged[key] = row
    return tuple(merged.values())


def missing_error(choice: TierChoice, recordings: Sequence[AnnotatedRecording], where: str) -> DataError:
    """Return the error for a choice that no tier fits, with the tiers that there are."""
    counts: dict[str, int] = defaultdict(int)
    for recording in recordings:
        for tier in recording.tiers:
            counts[tier.name] += sum(bool(span.text) for span in tier.spans)
    listed = [f"{name!r:.60} ({count} texts)" for name, count in sorted(counts.items(), key=lambda pair: -pair[1])]
    wanted = [*choice.names, *(f"type:{name}" for name in choice.types)]
    return DataError(
        f"{where} has no tier {' or '.join(wanted):.200}; there are {format_list(listed, MAX_LISTED) or 'none'}."
    )


def holds_words(tier: Tier) -> bool:
    """Return whether the spans of a tier are single words, which are too short to learn from one by one."""
    spans = [span for span in tier.spans if span.text and span.end_s is not None and span.end_s > span.start_s]
    if len(spans) < 3 or 10 * sum(" " in span.text for span in spans) > len(spans):
        return False
    return median(span.end_s - span.start_s for span in spans if span.end_s is not None) <= _MAX_WORD_S


_RANK_NAMED, _RANK_PLAIN, _RANK_WORDS, _RANK_OTHER, _RANK_NUMBERS = 4, 3, 2, 1, 0


def _rank(tier: Tier) -> int:
    """Return how likely a tier is the transcription, by its name, type and texts."""
    words = _words_of(tier)
    if words & _OTHER:
        return _RANK_OTHER
    if words & _WORDS:
        return _RANK_WORDS
    if words & _TRANSCRIPTION:
        return _RANK_NAMED
    texts = [span.text for span in tier.spans if span.text]
    return _RANK_NUMBERS if 2 * sum(any(map(str.isalpha, text)) for text in texts) < len(texts) else _RANK_PLAIN


def _words_of(tier: Tier) -> set[str]:
    """Return the words of a tier's name and type, without those of its speaker."""
    kind = "" if tier.type.lower().startswith("default") else tier.type  # ELAN's default-lt says nothing
    return set(re.findall(r"[^\W\d_]+", f"{tier.name} {kind}".lower())) - set(
        re.findall(r"[^\W\d_]+", tier.speaker.lower())
    )


def _depth(tier: Tier, recording: AnnotatedRecording) -> int:
    return len(_list_parents(tier, recording))


def _is_below(tier: Tier, names: set[str], recording: AnnotatedRecording) -> bool:
    return bool(names & set(_list_parents(tier, recording)))


def _list_parents(tier: Tier, recording: AnnotatedRecording) -> list[str]:
    parents = {other.name: other.parent for other in recording.tiers}
    found: list[str] = []
    name = tier.parent
    while name and name not in found:
        found.append(name)
        name = parents.get(name, "")
    return found


def _num_letters(tiers: Sequence[Tier]) -> int:
    return sum(len(span.text) for tier in tiers for span in tier.spans)


def _leave_out_parallel(tiers: Sequence[Tier]) -> list[Tier]:
    """Leave out tiers without a speaker beside those with one, and tiers whose spans are those of one before.

    A translation has the times of its original.
    """
    kept: list[Tier] = []
    with_speaker = [tier for tier in tiers if tier.speaker or any(span.speaker for span in tier.spans)]
    for tier in with_speaker or tiers:
        if not any(_are_parallel(tier, other) for other in kept):
            kept.append(tier)
    return kept


def _are_parallel(tier: Tier, other: Tier) -> bool:
    if tier.speaker != other.speaker:
        return False
    times = {(round(span.start_s, 2), round(span.end_s or 0.0, 2)) for span in other.spans if span.text}
    spans = [span for span in tier.spans if span.text]
    same = sum((round(span.start_s, 2), round(span.end_s or 0.0, 2)) in times for span in spans)
    return same >= _MIN_PARALLEL_SHARE * len(spans)


def _is_like(pattern: str, name: str) -> bool:
    parts = ".*".join(re.escape(part) for part in pattern.split("*"))
    return re.fullmatch(parts, name, re.IGNORECASE | re.DOTALL) is not None
