"""The check of transcripts by a model: texts that fit their audio badly, and texts that were moved by a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from asrkit.audio import Waveform
from asrkit.audio.confined import AudioReader
from asrkit.audit import texts
from asrkit.audit.checked_clips import CheckedClip
from asrkit.audit.clips import format_example
from asrkit.audit.findings import Finding, make_finding
from asrkit.errors import DataError
from asrkit.jobs import ProgressCallback

ALIGNMENT_OUTLIER = 3.5  # robust standard deviations below the median
MIN_ALIGNMENT_DEVIATION = 0.5  # nats per letter; smaller deviations are no outliers, however even the other clips are
OFFSETS = (-1, 1)
"""Rows by which texts are moved: a cell was deleted or inserted above them."""
WINDOW_ROWS = 3
"""Rows on either side whose texts are compared. By chance, one of them fits best in one clip of seven."""
MIN_SHIFTED = 4
"""Clips in a row whose texts are moved, in a small dataset; one more for each tenfold of ten clips."""
MIN_SHIFTED_SHARE = 0.8  # of the clips from the first to the last of them

AlignmentScorer = Callable[[Waveform, str], float]
"""(audio, normalised text) -> how well they fit; higher is better. Raises DataError if it cannot be computed."""


@dataclass(frozen=True)
class Alignments:
    """scores: index of a clip -> how well its text fits. shifts: index -> offset of the row whose text fits better than
    its own and all others near by.
    """

    scores: dict[int, float] = field(default_factory=dict)
    shifts: dict[int, int] = field(default_factory=dict)


def score_clips(
    clips: Sequence[CheckedClip], num_train: int, score: AlignmentScorer, on_progress: ProgressCallback
) -> Alignments:
    """Score each usable clip with its own text and those of the rows around it, in its split."""
    result = Alignments()
    with AudioReader(clip.row.audio for clip in clips if clip.code is None) as reader:
        for index, clip in enumerate(clips):
            if clip.code is None:
                first, last = (0, num_train) if index < num_train else (num_train, len(clips))
                rows = range(max(first, index - WINDOW_ROWS), min(last, index + WINDOW_ROWS + 1))
                _score_clip(clips, index, rows, score, result, reader)
            on_progress("Checking the transcripts by forced alignment", index + 1, len(clips))
    return result


def check_alignments(clips: Sequence[CheckedClip], alignments: Alignments) -> Iterator[Finding]:
    """Find texts that were moved by a row, and scores that are outliers by the median absolute deviation."""
    for offset in OFFSETS:
        if shifted := _find_shifted(alignments, offset):
            yield _make_shift_finding(clips, shifted, offset)
    scores = alignments.scores
    if len(scores) < texts.MIN_CLIPS:
        return
    middle = median(scores.values())
    spread = texts.MAD_TO_SIGMA * median(abs(value - middle) for value in scores.values())
    limit = middle - max(ALIGNMENT_OUTLIER * spread, MIN_ALIGNMENT_DEVIATION)
    worst = sorted((index for index, value in scores.items() if value < limit), key=scores.__getitem__)
    if worst:
        yield make_finding(
            "poor-alignment",
            worst,
            [
                format_example(clips[index], f"{scores[index]:.2f}, usually {middle:.2f}: {clips[index].text[:60]}")
                for index in worst[:9]
            ],
        )


def _score_clip(
    clips: Sequence[CheckedClip],
    index: int,
    rows: range,
    score: AlignmentScorer,
    result: Alignments,
    reader: AudioReader,
) -> None:
    clip, by_text = clips[index], dict[str, float]()
    try:
        wave = reader.load(clip.row.audio, start_s=clip.row.start_s, end_s=clip.row.end_s)
    except DataError:
        return
    for text in dict.fromkeys([clip.text, *(clips[row].text for row in rows)]):
        try:
            by_text[text] = score(wave, text) if text else -math.inf
        except DataError:  # a text that is too long for the clip, or of another language than the model
            by_text[text] = -math.inf
    own = by_text[clip.text]
    if own > -math.inf:
        result.scores[index] = own
    for offset in OFFSETS:
        if index + offset in rows:
            text = clips[index + offset].text
            others = [value for other, value in by_text.items() if other != text]
            if others and by_text[text] > max(*others, own + MIN_ALIGNMENT_DEVIATION):
                result.shifts[index] = offset


def _find_shifted(alignments: Alignments, offset: int) -> list[int]:
    """Return the clips of the longest stretch whose texts are moved by that many rows; none if there are too few."""
    moved = sorted(index for index, by in alignments.shifts.items() if by == offset)
    num_scored = len({*alignments.scores, *alignments.shifts})
    needed = MIN_SHIFTED + max(0, math.ceil(math.log10(max(1, num_scored) / 10)))
    best: list[int] = []
    stretch: list[int] = []
    for index in moved:
        if stretch and (len(stretch) + 1) < MIN_SHIFTED_SHARE * (index - stretch[0] + 1):
            stretch = []
        stretch.append(index)
        if len(stretch) > len(best):
            best = list(stretch)
    return best if len(best) >= needed else []


def _make_shift_finding(clips: Sequence[CheckedClip], shifted: list[int], offset: int) -> Finding:
    first, last = clips[shifted[0]].row.row, clips[shifted[-1]].row.row
    return make_finding(
        "shifted-texts",
        shifted,
        [
            format_example(clips[index], f"fits {clips[index + offset].text[:40]!r}, not {clips[index].text[:40]!r}")
            for index in shifted[:9]
        ],
        detail=f"from {first} to {last}, the text of the row {'below' if offset > 0 else 'above'} fits better",
    )
