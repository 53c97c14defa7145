"""The complete audit: each clip decoded, the dataset as a whole and, with a model, each text aligned with its audio.

Only a few numbers per clip are kept in memory, so that datasets of a hundred thousand clips can be audited.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from asrkit.audio import SAMPLING_RATE
from asrkit.audio.clip_stats import ClipStats
from asrkit.audit import leaks, texts
from asrkit.audit.alignment import Alignments, AlignmentScorer, check_alignments, score_clips
from asrkit.audit.clips import (
    Audit,
    CheckedClip,
    Limits,
    build_audit,
    check_clips,
    format_example,
    make_note_findings,
)
from asrkit.audit.findings import Finding, make_finding
from asrkit.audit.statistics import Statistics, compute_statistics, sum_by_speaker
from asrkit.audit.writing import ClipText
from asrkit.data.manifest import Utterance
from asrkit.data.sources import Source
from asrkit.data.splitting import TrainEval
from asrkit.errors import DataError
from asrkit.jobs import ProgressCallback
from asrkit.units import format_count

MAX_CLIPPED_FRACTION = 0.001
MIN_SNR_DB = 6.0
MIN_HOURS = 1 / 6
MAX_SPEAKER_SHARE = 0.5  # of the hours

SplitFunction = Callable[[Sequence[Utterance], Sequence[Hashable | None]], TrainEval]
"""(rows with normalised texts, audio fingerprints) -> (rows to train on, rows to evaluate on)"""


@dataclass(frozen=True)
class Inspection:
    """The result of the complete audit.

    clips: all clips, those of the training split first; findings, scores and held_out contain their indices. train:
    number of clips in the training split. scores: index -> alignment score, if a model was given. held_out: the clips
    that would be evaluated on.
    """

    clips: list[CheckedClip]
    train: int
    audit: Audit
    statistics: Statistics
    scores: dict[int, float]
    held_out: frozenset[int] = frozenset()

    def remaining_rows(self, excluded_codes: Sequence[str]) -> list[Utterance]:
        """Return the rows, as written, of usable clips that none of these findings concerns."""
        excluded = {
            index for finding in self.audit.findings if finding.code in excluded_codes for index in finding.clips
        }
        return [clip.row for index, clip in enumerate(self.clips) if clip.code is None and index not in excluded]


def inspect(
    source: Source,
    limits: Limits,
    *,
    score: AlignmentScorer | None = None,
    hold_out: SplitFunction | None = None,
    on_progress: ProgressCallback = lambda message, done, total: None,
) -> Inspection:
    """Decode every clip and check it by itself and together with the others.

    score: a model's alignment score, to find wrong transcripts. hold_out: the split that a run would make of data that
    has none.

    Raises ConfigError for rules that do not exist.
    """
    rows = source.utterances
    clips = []
    for clip in check_clips(rows, limits, decode=True):
        clips.append(clip)
        on_progress("Decoding the clips", len(clips), len(rows))
    num_train = len(source.train)
    alignments = score_clips(clips, num_train, score, on_progress) if score else Alignments()
    scores = alignments.scores
    held_out = _find_held_out(clips, num_train, hold_out if source.eval is None else None)
    findings = [
        *check_alignments(clips, alignments),
        *_check_audio(clips),
        *_check_duplicates(clips, num_train, scores),
        *_check_leaks(clips, held_out, source.eval is None),
        *_check_balance(clips),
        *_check_texts(clips, limits, held_out),
        *_check_amount(clips),
        *make_note_findings(source.notes),
    ]
    order = {"drop": 0, "suspect": 1, "advice": 2}
    audit = build_audit(clips, limits, sorted(findings, key=lambda finding: order[finding.kind]))
    return Inspection(clips, num_train, audit, compute_statistics(clips), scores, held_out)


def _find_held_out(clips: list[CheckedClip], num_train: int, hold_out: SplitFunction | None) -> frozenset[int]:
    """Return the indices of usable clips that are, or would be, evaluated on."""
    kept = [index for index, clip in enumerate(clips) if clip.code is None]
    if hold_out is None or len(kept) < 2:
        return frozenset(index for index in kept if index >= num_train)
    # `row` carries the index through the split.
    rows = [replace(clips[index].row, text=clips[index].text, row=str(index)) for index in kept]
    try:
        return frozenset(int(row.row) for row in hold_out(rows, leaks.audio_fingerprints(rows))[1])
    except DataError:  # the settings allow no split; starting the run reports why
        return frozenset()


def _check_leaks(clips: list[CheckedClip], held_out: frozenset[int], is_own_split: bool) -> Iterator[Finding]:
    identities = [
        leaks.ClipIdentity(index, clip.text, clip.row.speaker, clip.stats.digest if clip.stats else None)
        for index, clip in enumerate(clips)
        if clip.code is None
    ]
    yield from leaks.find_leaks(
        [identity for identity in identities if identity.index not in held_out],
        [identity for identity in identities if identity.index in held_out],
        lambda index, detail: format_example(clips[index], detail[:80]),
        is_own_split=is_own_split,
    )


def _usable_stats(clips: list[CheckedClip]) -> list[tuple[int, ClipStats]]:
    return [(index, clip.stats) for index, clip in enumerate(clips) if clip.code is None and clip.stats]


def _check_audio(clips: list[CheckedClip]) -> Iterator[Finding]:
    usable = _usable_stats(clips)
    clipped = sorted(
        ((index, stats.clipped_fraction) for index, stats in usable if stats.clipped_fraction > MAX_CLIPPED_FRACTION),
        key=lambda pair: -pair[1],
    )
    if clipped:
        yield make_finding(
            "clipped",
            [index for index, _ in clipped],
            [format_example(clips[index], f"{fraction:.1%} of it cut off") for index, fraction in clipped[:9]],
        )
    noisy = sorted(
        ((index, stats.snr_db) for index, stats in usable if stats.snr_db is not None and stats.snr_db < MIN_SNR_DB),
        key=lambda pair: pair[1],
    )
    if noisy:
        yield make_finding(
            "noisy",
            [index for index, _ in noisy],
            [format_example(clips[index], f"{snr_db:.0f} dB") for index, snr_db in noisy[:9]],
            snr=MIN_SNR_DB,
        )
    low = [(index, stats.sampling_rate) for index, stats in usable if stats.sampling_rate < SAMPLING_RATE]
    if low:
        yield make_finding(
            "low-rate",
            [index for index, _ in low],
            [format_example(clips[index], f"{rate} Hz") for index, rate in low[:9]],
            detail=", ".join(f"{rate:,} Hz" for rate in sorted({rate for _, rate in low})),
        )


def _check_duplicates(clips: list[CheckedClip], num_train: int, scores: dict[int, float]) -> Iterator[Finding]:
    originals = _find_originals(clips, num_train, scores)
    if not originals:
        return
    # Copies whose text differs from that of their original come first.
    order = sorted(originals, key=lambda index: (clips[index].text == clips[originals[index]].text, index))
    examples = []
    for index in order[:9]:
        original = clips[originals[index]]
        examples.append(
            format_example(
                clips[index],
                f"{clips[index].text[:40]!r}; the same recording in "
                f"{original.row.row or 'another row'} is {original.text[:40]!r}",
            )
        )
    yield make_finding("duplicate-audio", order, examples)


def _find_originals(clips: list[CheckedClip], num_train: int, scores: dict[int, float]) -> dict[int, int]:
    """Return copy -> original, within the training and within the evaluation split.

    The original is the one whose text fits best or, without scores, the first one.
    """
    groups: dict[tuple[bytes, bool], list[int]] = defaultdict(list)
    for index, stats in _usable_stats(clips):
        groups[stats.digest, index < num_train].append(index)
    originals = {}
    for group in groups.values():
        original, *copies = sorted(group, key=lambda index: (-scores.get(index, 0.0), index))
        originals.update(dict.fromkeys(copies, original))
    return originals


def _check_balance(clips: list[CheckedClip]) -> Iterator[Finding]:
    speakers = sum_by_speaker(clips)
    if len(speakers) <= 2:
        return
    name, (_, hours) = max(speakers.items(), key=lambda item: item[1][1])
    share = hours / sum(hours for _, hours in speakers.values())
    if share > MAX_SPEAKER_SHARE:
        yield make_finding(
            "speaker-balance",
            [],
            [],
            count=1,
            detail=f"{share:.0%} of the speech is by {name[:40]!r}, one of {len(speakers)} speakers",
        )


def _check_texts(clips: list[CheckedClip], limits: Limits, held_out: frozenset[int]) -> Iterator[Finding]:
    transcripts = [
        ClipText(index, clip.row.text, clip.text, clip.row.duration_s)
        for index, clip in enumerate(clips)
        if clip.code is None
    ]
    yield from texts.check_texts(
        transcripts,
        lambda index, detail: format_example(clips[index], detail[:80]),
        rules=limits.rules,
        keeps_vocabulary=limits.vocabulary is not None,
        language=limits.language,
        known=limits.known,
        held_out=held_out,
    )


def _check_amount(clips: list[CheckedClip]) -> Iterator[Finding]:
    kept = [clip for clip in clips if clip.code is None]
    hours = sum(clip.row.duration_s for clip in kept) / 3600
    if kept and hours < MIN_HOURS:
        detail = f"{format_count(len(kept), 'clip')}, {60 * hours:.1f} minutes"
        yield make_finding("little-data", [], [], count=1, detail=detail)
