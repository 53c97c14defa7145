"""Statistics of a dataset: durations, characters, speakers, words and sampling rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from asrkit.audit.clips import CheckedClip

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


def sum_by_speaker(clips: Sequence[CheckedClip]) -> dict[str, tuple[int, float]]:
    """Return speaker -> (number of clips, hours)."""
    sums: dict[str, tuple[int, float]] = {}
    for clip in clips:
        if clip.code is None and clip.row.speaker:
            count, hours = sums.get(clip.row.speaker, (0, 0.0))
            sums[clip.row.speaker] = (count + 1, hours + clip.row.duration_s / 3600)
    return sums


def compute_statistics(clips: Sequence[CheckedClip]) -> Statistics:
    """Compute the statistics of the clips that can be used."""
    kept = [clip for clip in clips if clip.code is None]
    letters = Counter(letter for clip in kept for letter in clip.text if not letter.isspace())
    words = Counter(word for clip in kept for word in clip.text.split())
    speakers = [(name, count, hours) for name, (count, hours) in sum_by_speaker(clips).items()]
    return Statistics(
        _make_histogram([clip.row.duration_s for clip in kept]),
        letters.most_common(),
        sorted(speakers, key=lambda speaker: -speaker[2]),
        words.total(),
        len(words),
        dict(Counter(clip.stats.sampling_rate for clip in kept if clip.stats)),
    )


def _make_histogram(seconds: list[float]) -> list[tuple[float, float, int]]:
    if not seconds:
        return []
    width = next(step for step in HISTOGRAM_STEPS_S if max(seconds) <= step * HISTOGRAM_BINS)
    counts = Counter(int(length / width) for length in seconds)
    return [(index * width, (index + 1) * width, counts[index]) for index in range(max(counts) + 1)]
