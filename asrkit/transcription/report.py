"""The result of an evaluation: error rates with intervals, the worst clips, confusions, groups and calibration."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest
from typing import Any

from asrkit.data.manifest import Utterance
from asrkit.decoding.transcript import Transcript, Word
from asrkit.files import disarm_formula
from asrkit.text import metrics
from asrkit.text.scripts import tokenize_mixed

LENGTH_BOUNDS_S = (2.0, 5.0, 10.0, 20.0)
CONFIDENCE_BOUNDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
CSV_COLUMNS = (
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
)


@dataclass(frozen=True)
class EvaluatedClip:
    """One utterance, its normalised reference and hypothesis, and the recognised words before normalisation."""

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

    def judge_words(self) -> Iterator[tuple[float, bool]]:
        """Yield (confidence, whether it is right) of each word; none where the normaliser split or joined words."""
        if len(tokenize_mixed(self.hypothesis)) != len(self.words):
            return
        words = iter(self.words)
        for operation, _, hypothesis in metrics.align_words(self.reference, self.hypothesis):
            for _ in hypothesis:
                yield next(words).confidence, operation == "equal"


@dataclass(frozen=True)
class ClipGroup:
    """Clips that have something in common, such as their speaker."""

    name: str
    num_clips: int
    audio_s: float
    scores: metrics.Scores


@dataclass(frozen=True)
class CalibrationBin:
    """Words with a confidence in [low, high): how many, their mean confidence, the share that is right."""

    low: float
    high: float
    num_words: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class EvaluationReport:
    """elapsed_s: seconds that the evaluation took.

    unreadable: one sentence for each clip that could not be read; no metric counts it.
    """

    clips: Sequence[EvaluatedClip]
    elapsed_s: float
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
        """Return what `evaluate --json` prints; `unreadable` is there only where it is not 0."""
        unreadable = {"unreadable": len(self.unreadable)} if self.unreadable else {}
        return (
            unreadable
            | {name: getattr(self.scores, name).rate for name in ("wer", "cer", "mer")}
            | {
                "utterances": len(self.clips),
                "audio_seconds": round(self.audio_s, 2),
                "seconds": round(self.elapsed_s, 2),
                "rtfx": round(self.audio_s / self.elapsed_s, 2),
            }
        )

    def worst_clips(self, limit: int) -> list[EvaluatedClip]:
        """Return the clips with most errors; of as many, those of the shortest text."""
        wrong = [clip for clip in self.clips if clip.errors]
        return sorted(wrong, key=lambda clip: (-clip.errors, len(clip.reference)))[:limit]

    def confusions(self, limit: int) -> list[tuple[str, str, int]]:
        """Return (reference word, hypothesis word, count), most frequent first; "" stands for a missing word."""
        counts: Counter[tuple[str, str]] = Counter()
        for clip in self.clips:
            for operation, reference, hypothesis in metrics.align_words(clip.reference, clip.hypothesis):
                if operation != "equal":
                    counts.update(zip_longest(reference, hypothesis, fillvalue=""))
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return [(*pair, count) for pair, count in ranked[:limit]]

    def group_by_speaker(self) -> list[ClipGroup]:
        """Return groups by speaker, worst first; none where no clip names its speaker."""
        if not any(clip.utterance.speaker for clip in self.clips):
            return []
        groups = self._group(lambda clip: clip.utterance.speaker or "(not said)")
        return sorted(groups, key=lambda group: -group.scores.wer.rate)

    def group_by_length(self) -> list[ClipGroup]:
        """Return groups by duration, shortest first, without empty ones."""
        names = [
            f"under {LENGTH_BOUNDS_S[0]:g} s",
            *(f"{low:g} to {high:g} s" for low, high in pairwise(LENGTH_BOUNDS_S)),
            f"over {LENGTH_BOUNDS_S[-1]:g} s",
        ]
        groups = {
            group.name: group
            for group in self._group(lambda clip: names[sum(clip.duration_s >= bound for bound in LENGTH_BOUNDS_S)])
        }
        return [groups[name] for name in names if name in groups]

    def _group(self, key: Callable[[EvaluatedClip], str]) -> list[ClipGroup]:
        members: dict[str, list[EvaluatedClip]] = {}
        for clip in self.clips:
            members.setdefault(key(clip), []).append(clip)
        return [
            ClipGroup(
                name,
                len(clips),
                sum(clip.duration_s for clip in clips),
                metrics.score([clip.reference for clip in clips], [clip.hypothesis for clip in clips]),
            )
            for name, clips in members.items()
        ]

    def calibration_bins(self) -> list[CalibrationBin]:
        """Return how often words of similar confidence are right, by rising confidence, without empty bins."""
        judged = [pair for clip in self.clips for pair in clip.judge_words()]
        bins = []
        for low, high in pairwise((0.0, *CONFIDENCE_BOUNDS, 1.0 + 1e-9)):
            inside = [(confidence, is_right) for confidence, is_right in judged if low <= confidence < high]
            if inside:
                mean_confidence = sum(confidence for confidence, _ in inside) / len(inside)
                accuracy = sum(is_right for _, is_right in inside) / len(inside)
                bins.append(CalibrationBin(low, min(1.0, high), len(inside), mean_confidence, accuracy))
        return bins

    def calibration_error(self) -> float:
        """Return the expected calibration error: |confidence - accuracy|, weighted by words (Naeini et al., AAAI
        2015)."""
        bins = self.calibration_bins()
        num_words = sum(calibration_bin.num_words for calibration_bin in bins)
        weighted_errors = (
            calibration_bin.num_words * abs(calibration_bin.confidence - calibration_bin.accuracy)
            for calibration_bin in bins
        )
        return sum(weighted_errors) / max(1, num_words)

    def to_csv(self) -> str:
        """Return a table with one row for each clip."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(CSV_COLUMNS)
        for clip in self.clips:
            mer, utterance = clip.scores.mer, clip.utterance
            table.writerow(
                [
                    disarm_formula(utterance.audio),
                    utterance.start_s,
                    utterance.end_s,
                    disarm_formula(utterance.speaker or ""),
                    round(clip.duration_s, 3),
                    disarm_formula(clip.reference),
                    disarm_formula(clip.hypothesis),
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
