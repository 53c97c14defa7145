"""Statistics of a dataset: durations, characters, speakers, words and sampling rates."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from asrkit.audit.checked_clips import CheckedClips

HISTOGRAM_BINS = 24
HISTOGRAM_STEPS_S = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 1e9)


@dataclass(frozen=True)
class Statistics:
    """Statistics of the clips that can be used.

    durations: (from, to, number of clips) in seconds. characters: with their counts, the most frequent first. speakers:
    (name, number of clips, hours), most hours first; empty if none is known. rates: sampling rate -> number of clips.
    """

    durations: list[tuple[float, float, int]]
    characters: list[tuple[str, int]]
    speakers: list[tuple[str, int, float]]
    words: int
    distinct_words: int
    rates: dict[int, int] = field(default_factory=dict)


def sum_by_speaker(clips: CheckedClips) -> dict[str, tuple[int, float]]:
    """Return speaker -> (number of clips, hours)."""
    sums: dict[str, tuple[int, float]] = {}
    columns = (clips.is_kept.tolist(), clips.iter_column("speaker"), clips.durations_s.tolist())
    for is_kept, speaker, duration_s in zip(*columns, strict=True):
        if is_kept and speaker:
            count, hours = sums.get(speaker, (0, 0.0))
            sums[speaker] = (count + 1, hours + duration_s / 3600)
    return sums


def compute_statistics(clips: CheckedClips) -> Statistics:
    """Compute the statistics of the clips that can be used."""
    letters, words = Counter[str](), Counter[str]()
    for text, is_kept in zip(clips.iter_texts(), clips.is_kept.tolist(), strict=True):
        if is_kept:
            letters.update(letter for letter in text if not letter.isspace())
            words.update(text.split())
    speakers = [(name, count, hours) for name, (count, hours) in sum_by_speaker(clips).items()]
    rates = Counter(clips.rates[clips.is_kept].tolist())
    del rates[0]
    return Statistics(
        _make_histogram(clips.durations_s[clips.is_kept].tolist()),
        letters.most_common(),
        sorted(speakers, key=lambda speaker: -speaker[2]),
        words.total(),
        len(words),
        dict(rates),
    )


def _make_histogram(seconds: list[float]) -> list[tuple[float, float, int]]:
    if not seconds:
        return []
    width = next(step for step in HISTOGRAM_STEPS_S if max(seconds) <= step * HISTOGRAM_BINS)
    counts = Counter(int(length / width) for length in seconds)
    return [(index * width, (index + 1) * width, counts[index]) for index in range(max(counts) + 1)]
