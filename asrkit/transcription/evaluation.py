"""A dataset against a model: how wrong it is, how sure that figure is, where it is worst, and what it mishears."""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Any

from asrkit.audio import load_audio
from asrkit.data.manifest import Utterance
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import AudioError, DataError
from asrkit.jobs import ProgressCallback
from asrkit.text import metrics
from asrkit.text.normalizers import normalize
from asrkit.text.scripts import tokenize_mixed

if TYPE_CHECKING:
    from asrkit.decoding.protocols import Decoder
    from asrkit.transcription.transcriber import Transcriber

TOGETHER = 64
"""Clips that are decoded, then heard in batches of like lengths; fewer of long ones."""
TOGETHER_S, UNKNOWN_S = 600.0, 30.0
"""Seconds of sound that are held at once; what a clip of unknown length is counted as."""
LENGTHS_S = (2.0, 5.0, 10.0, 20.0)
CONFIDENCES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Clip:
    """One utterance, normalised reference and hypothesis, and the words as they were heard."""

    utterance: Utterance
    reference: str
    hypothesis: str
    words: Sequence[Word]
    duration_s: float

    @cached_property
    def scores(self) -> metrics.Scores:
        return metrics.score([self.reference], [self.hypothesis])

    @property
    def errors(self) -> int:
        """Words wrong, missing or extra; a character of a script without word spaces is a word."""
        return self.scores.mer.substitutions + self.scores.mer.deletions + self.scores.mer.insertions


@dataclass(frozen=True)
class Group:
    """Clips that have something in common, such as their speaker."""

    name: str
    clips: int
    audio_s: float
    scores: metrics.Scores


@dataclass(frozen=True)
class Sureness:
    """Words heard with a confidence in [low, high): how many, their mean confidence, the share that was right."""

    low: float
    high: float
    words: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Report:
    """unreadable: for each clip that could not be heard, one sentence why; no figure counts it."""

    clips: Sequence[Clip]
    seconds: float
    unreadable: Sequence[str] = ()

    @cached_property
    def scores(self) -> metrics.Scores:
        return metrics.score(*self._texts())

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % bootstrap intervals of wer, cer and mer."""
        return metrics.bootstrap_intervals(*self._texts())

    @property
    def audio_s(self) -> float:
        return sum(clip.duration_s for clip in self.clips)

    def _texts(self) -> tuple[list[str], list[str]]:
        return [clip.reference for clip in self.clips], [clip.hypothesis for clip in self.clips]

    def summary(self) -> dict[str, Any]:
        """What `evaluate --json` prints; `unreadable` is told where it is not 0."""
        unreadable = {"unreadable": len(self.unreadable)} if self.unreadable else {}
        return (
            unreadable
            | {name: getattr(self.scores, name).rate for name in ("wer", "cer", "mer")}
            | {
                "utterances": len(self.clips),
                "audio_seconds": round(self.audio_s, 2),
                "seconds": round(self.seconds, 2),
                "rtfx": round(self.audio_s / self.seconds, 2),
            }
        )

    def worst(self, most: int) -> list[Clip]:
        """The clips with an error, most wrong words first; of as many, the shortest text."""
        wrong = [clip for clip in self.clips if clip.errors]
        return sorted(wrong, key=lambda clip: (-clip.errors, len(clip.reference)))[:most]

    def confusions(self, most: int) -> list[tuple[str, str, int]]:
        """(said, heard, how often), most frequent first; an empty side is a word missing or extra."""
        counts: Counter[tuple[str, str]] = Counter()
        for clip in self.clips:
            for operation, said, heard in metrics.align_words(clip.reference, clip.hypothesis):
                if operation != "equal":
                    counts.update(zip_longest(said, heard, fillvalue=""))
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return [(*pair, count) for pair, count in ranked[:most]]

    def by_speaker(self) -> list[Group]:
        """Worst first; empty where no clip names its speaker."""
        if not any(clip.utterance.speaker for clip in self.clips):
            return []
        groups = self._grouped(lambda clip: clip.utterance.speaker or "(not said)")
        return sorted(groups, key=lambda group: -group.scores.wer.rate)

    def by_length(self) -> list[Group]:
        """Shortest first; lengths without a clip are left out."""
        names = [
            f"under {LENGTHS_S[0]:g} s",
            *(f"{low:g} to {high:g} s" for low, high in pairwise(LENGTHS_S)),
            f"over {LENGTHS_S[-1]:g} s",
        ]
        groups = {
            group.name: group
            for group in self._grouped(lambda clip: names[sum(clip.duration_s >= edge for edge in LENGTHS_S)])
        }
        return [groups[name] for name in names if name in groups]

    def _grouped(self, key: Callable[[Clip], str]) -> list[Group]:
        members: dict[str, list[Clip]] = {}
        for clip in self.clips:
            members.setdefault(key(clip), []).append(clip)
        return [
            Group(
                name,
                len(inside),
                sum(clip.duration_s for clip in inside),
                metrics.score([clip.reference for clip in inside], [clip.hypothesis for clip in inside]),
            )
            for name, inside in members.items()
        ]

    def calibration(self) -> list[Sureness]:
        """Confidence against truth, surest last. Clips whose words the normaliser splits or joins are left out."""
        judged = [pair for clip in self.clips for pair in _judged(clip)]
        edges = (0.0, *CONFIDENCES, 1.0 + 1e-9)
        rows = []
        for low, high in pairwise(edges):
            inside = [(sure, right) for sure, right in judged if low <= sure < high]
            if inside:
                rows.append(
                    Sureness(
                        low,
                        min(1.0, high),
                        len(inside),
                        sum(sure for sure, _ in inside) / len(inside),
                        sum(right for _, right in inside) / len(inside),
                    )
                )
        return rows

    def calibration_error(self) -> float:
        """Expected calibration error: |confidence - share right|, weighted by words (Naeini et al., AAAI 2015)."""
        rows = self.calibration()
        return sum(row.words * abs(row.confidence - row.right) for row in rows) / max(1, sum(row.words for row in rows))

    def table(self) -> str:
        """Every clip as CSV."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(
            [
                "audio",
                "start_s",
                "end_s",
                "speaker",
                "duration_s",
                "reference",
                "hypothesis",
                "wer",
                "cer",
                "mer",
                "substitutions",
                "deletions",
                "insertions",
                "confidence",
            ]
        )
        for clip in self.clips:
            mer, row = clip.scores.mer, clip.utterance
            rows.writerow(
                [
                    row.audio,
                    row.start_s,
                    row.end_s,
                    row.speaker or "",
                    round(clip.duration_s, 3),
                    clip.reference,
                    clip.hypothesis,
                    round(clip.scores.wer.rate, 4),
                    round(clip.scores.cer.rate, 4),
                    round(mer.rate, 4),
                    mer.substitutions,
                    mer.deletions,
                    mer.insertions,
                    round(Transcript(list(clip.words), clip.duration_s).confidence, 4),
                ]
            )
        return text.getvalue()


def evaluate(
    transcriber: Transcriber,
    utterances: Sequence[Utterance],
    normaliser: str,
    *,
    decoder: Decoder | None = None,
    on_progress: ProgressCallback = lambda message, done, total: None,
) -> Report:
    """Hear every utterance; both sides of the comparison go through the same normaliser.

    on_progress: called with clips done and all clips; to give up, let it raise. A clip that cannot be read is left
    out and listed in the report. Raises DataError without utterances, ConfigError for an unknown normaliser, and
    AudioError where no clip can be read.
    """
    if not utterances:
        raise DataError("There is no clip to evaluate on; choose a dataset that has some.")
    normalize("", normaliser)  # a wrong name is said before hours of work
    begun, clips, failed = time.monotonic(), {}, []
    for chosen in _parts([row.duration_s for row in utterances]):
        on_progress("Transcribing the clips", len(clips) + len(failed), len(utterances))
        waves = {}
        for place in chosen:
            row = utterances[place]
            try:
                waves[place] = load_audio(row.audio, start_s=row.start_s, end_s=row.end_s)
            except AudioError as error:
                failed.append(error)
        if not waves:
            continue
        for place, told in zip(waves, transcriber.transcribe_all(list(waves.values()), decoder), strict=True):
            row = utterances[place]
            clips[place] = Clip(
                row, normalize(row.text, normaliser), normalize(told.text, normaliser), told.words, told.duration_s
            )
    on_progress("Transcribing the clips", len(utterances), len(utterances))
    if not clips:
        raise failed[0]
    return Report([clips[place] for place in sorted(clips)], time.monotonic() - begun, [str(one) for one in failed])


def _parts(durations_s: Sequence[float]) -> Iterator[list[int]]:
    """Places of clips that are held together: neighbours in length, so that little of a batch is padding."""
    lengths = [length if length > 0 else UNKNOWN_S for length in durations_s]
    part, held_s = [], 0.0
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if part and (len(part) == TOGETHER or held_s + lengths[place] > TOGETHER_S):
            yield part
            part, held_s = [], 0.0
        part.append(place)
        held_s += lengths[place]
    yield part


def _judged(clip: Clip) -> Iterator[tuple[float, bool]]:
    """(confidence, whether it was said) of each word heard."""
    if len(tokenize_mixed(clip.hypothesis)) != len(clip.words):
        return
    place = 0
    for operation, _, heard in metrics.align_words(clip.reference, clip.hypothesis):
        for _ in heard:
            yield clip.words[place].confidence, operation == "equal"
            place += 1
