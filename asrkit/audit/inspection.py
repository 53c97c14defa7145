"""The complete audit: each clip decoded, the dataset as a whole and, with a model, each text aligned with its audio.

Only a few numbers per clip are kept in memory, so that datasets of a hundred thousand clips can be audited.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

from asrkit.audio import SAMPLING_RATE
from asrkit.audit import leaks, texts
from asrkit.audit.alignment import Alignments, AlignmentScorer, check_alignments, score_clips
from asrkit.audit.checked_clips import CheckedClips
from asrkit.audit.clips import (
    Audit,
    Limits,
    build_audit,
    check_clips,
    format_example,
    make_note_findings,
)
from asrkit.audit.findings import Finding, make_finding
from asrkit.audit.statistics import Statistics, compute_statistics, sum_by_speaker
from asrkit.audit.writing import ClipText
from asrkit.data.file_cache import FileCache
from asrkit.data.manifest import Utterance
from asrkit.data.sampling import order_evenly
from asrkit.data.sources import Source
from asrkit.data.splitting import SplitIndices
from asrkit.errors import DataError
from asrkit.jobs import ProgressCallback
from asrkit.units import format_count

MAX_CLIPPED_FRACTION = 0.001
MIN_SNR_DB = 6.0
MIN_HOURS = 1 / 6
MAX_SPEAKER_SHARE = 0.5  # of the hours

SAMPLE_CLIPS = 200
"""Clips of a sample."""
MIN_SAMPLED_CLIPS = 1_000
"""All clips of a smaller dataset are decoded within seconds."""
SAMPLE_SEED = 42

SplitFunction = Callable[[Sequence[str | None], Sequence[str], Sequence[Hashable | None]], SplitIndices]
"""(speakers, normalised texts, audio fingerprints) -> (indices to train on, indices to evaluate on)"""


@dataclass(frozen=True)
class Inspection:
    """The result of the complete audit.

    clips: all clips, those of the training split first; findings, scores and held_out contain their indices. train:
    number of clips in the training split. scores: index -> alignment score, if a model was given. held_out: the clips
    that would be evaluated on.

    drawn, num_all: of a sample, the indices of its clips in the dataset, and how many that has.
    """

    clips: CheckedClips
    train: int
    audit: Audit
    statistics: Statistics
    scores: dict[int, float]
    held_out: frozenset[int] = frozenset()
    drawn: tuple[int, ...] = ()
    num_all: int = 0

    def index_in_dataset(self, index: int) -> int:
        """Return the index in the dataset of a clip."""
        return self.drawn[index] if self.drawn else index

    def remaining_rows(self, excluded_codes: Sequence[str]) -> list[Utterance]:
        """Return the rows, as written, of usable clips that none of these findings concerns."""
        excluded = {
            index for finding in self.audit.findings if finding.code in excluded_codes for index in finding.clips
        }
        kept = self.clips.is_kept
        return [clip.row for index, clip in enumerate(self.clips) if kept[index] and index not in excluded]


def inspect(
    source: Source,
    limits: Limits,
    *,
    score: AlignmentScorer | None = None,
    hold_out: SplitFunction | None = None,
    cache: FileCache | None = None,
    on_sample: Callable[[Inspection], None] | None = None,
    on_progress: ProgressCallback = lambda message, done, total: None,
) -> Inspection:
    """Decode every clip and check it by itself and together with the others.

    score: a model's alignment score, to find wrong transcripts. hold_out: the split that a run would make of data that
    has none. cache: of clips that were decoded before. on_sample: called with what is wrong with `SAMPLE_CLIPS` clips
    drawn over all of a large dataset, which are decoded first.

    Raises ConfigError for rules that do not exist.
    """
    rows = source.utterances
    if on_sample and len(rows) >= MIN_SAMPLED_CLIPS:
        on_sample(_inspect_sample(source, limits, cache))
    clips = CheckedClips(rows)
    for clip in check_clips(rows, limits, True, cache):
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
    return Inspection(clips, num_train, _build(clips, limits, findings), compute_statistics(clips), scores, held_out)


def _inspect_sample(source: Source, limits: Limits, cache: FileCache | None) -> Inspection:
    """Check a sample of the clips: by themselves, and those of their texts together that need not all be there."""
    rows = source.utterances
    drawn = sorted(order_evenly(rows, SAMPLE_SEED)[:SAMPLE_CLIPS].tolist())
    sample = [rows[index] for index in drawn]
    clips = CheckedClips(sample, check_clips(sample, limits, True, cache))
    findings = [
        *_check_audio(clips),
        *_check_texts(clips, limits, frozenset(), is_sample=True),
        *make_note_findings(source.notes),
    ]
    num_train = sum(index < len(source.train) for index in drawn)
    audit = _build(clips, limits, findings)
    return Inspection(clips, num_train, audit, compute_statistics(clips), {}, drawn=tuple(drawn), num_all=len(rows))


def _build(clips: CheckedClips, limits: Limits, findings: list[Finding]) -> Audit:
    order = {"drop": 0, "suspect": 1, "advice": 2}
    return build_audit(clips, limits, sorted(findings, key=lambda finding: order[finding.kind]))


def _find_held_out(clips: CheckedClips, num_train: int, hold_out: SplitFunction | None) -> frozenset[int]:
    """Return the indices of usable clips that are, or would be, evaluated on."""
    kept = clips.kept()
    if hold_out is None or len(kept) < 2:
        return frozenset(index for index in kept if index >= num_train)
    is_kept = clips.is_kept.tolist()
    speakers = list(compress(clips.iter_column("speaker"), is_kept))
    texts = list(compress(clips.iter_texts(), is_kept))
    fingerprints = list(compress(leaks.audio_fingerprints(clips.rows), is_kept))
    try:
        return frozenset(kept[index] for index in hold_out(speakers, texts, fingerprints)[1])
    except DataError:  # the settings allow no split; starting the run reports why
        return frozenset()


def _check_leaks(clips: CheckedClips, held_out: frozenset[int], is_own_split: bool) -> Iterator[Finding]:
    sides: tuple[list[leaks.ClipIdentity], list[leaks.ClipIdentity]] = [], []
    columns = (clips.is_kept.tolist(), clips.iter_texts(), clips.iter_column("speaker"))
    for index, (is_kept, text, speaker) in enumerate(zip(*columns, strict=True)):
        if is_kept:
            sides[index in held_out].append(leaks.ClipIdentity(index, text, speaker, clips.digest(index)))
    yield from leaks.find_leaks(
        *sides,
        lambda index, detail: format_example(clips[index], detail[:80]),
        is_own_split=is_own_split,
    )


def _check_audio(clips: CheckedClips) -> Iterator[Finding]:
    clipped = sorted(
        (
            (index, stats.clipped_fraction)
            for index, stats in clips.iter_stats()
            if stats.clipped_fraction > MAX_CLIPPED_FRACTION
        ),
        key=lambda pair: -pair[1],
    )
    if clipped:
        yield make_finding(
            "clipped",
            [index for index, _ in clipped],
            [format_example(clips[index], f"{fraction:.1%} of it cut off") for index, fraction in clipped[:9]],
        )
    noisy = sorted(
        (
            (index, stats.snr_db)
            for index, stats in clips.iter_stats()
            if stats.snr_db is not None and stats.snr_db < MIN_SNR_DB
        ),
        key=lambda pair: pair[1],
    )
    if noisy:
        yield make_finding(
            "noisy",
            [index for index, _ in noisy],
            [format_example(clips[index], f"{snr_db:.0f} dB") for index, snr_db in noisy[:9]],
            snr=MIN_SNR_DB,
        )
    low = [(index, stats.sampling_rate) for index, stats in clips.iter_stats() if stats.sampling_rate < SAMPLING_RATE]
    if low:
        yield make_finding(
            "low-rate",
            [index for index, _ in low],
            [format_example(clips[index], f"{rate} Hz") for index, rate in low[:9]],
            detail=", ".join(f"{rate:,} Hz" for rate in sorted({rate for _, rate in low})),
        )


def _check_duplicates(clips: CheckedClips, num_train: int, scores: dict[int, float]) -> Iterator[Finding]:
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


def _find_originals(clips: CheckedClips, num_train: int, scores: dict[int, float]) -> dict[int, int]:
    """Return copy -> original, within the training and within the evaluation split.

    The original is the one whose text fits best or, without scores, the first one.
    """
    groups: dict[tuple[bytes, bool], list[int]] = defaultdict(list)
    for index, stats in clips.iter_stats():
        groups[stats.digest, index < num_train].append(index)
    originals = {}
    for group in groups.values():
        original, *copies = sorted(group, key=lambda index: (-scores.get(index, 0.0), index))
        originals.update(dict.fromkeys(copies, original))
    return originals


def _check_balance(clips: CheckedClips) -> Iterator[Finding]:
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


def _check_texts(
    clips: CheckedClips, limits: Limits, held_out: frozenset[int], is_sample: bool = False
) -> Iterator[Finding]:
    columns = (clips.is_kept.tolist(), clips.iter_column("text"), clips.iter_texts(), clips.durations_s.tolist())
    transcripts = [
        ClipText(index, raw, text, duration_s)
        for index, (is_kept, raw, text, duration_s) in enumerate(zip(*columns, strict=True))
        if is_kept
    ]
    yield from texts.check_texts(
        transcripts,
        lambda index, detail: format_example(clips[index], detail[:80]),
        rules=limits.rules,
        keeps_vocabulary=is_sample or limits.vocabulary is not None,  # in a sample, every letter is rare
        language=limits.language,
        known=limits.known,
        held_out=held_out,
    )


def _check_amount(clips: CheckedClips) -> Iterator[Finding]:
    durations_s = clips.durations_s[clips.is_kept]
    hours = float(durations_s.sum()) / 3600
    if len(durations_s) and hours < MIN_HOURS:
        detail = f"{format_count(len(durations_s), 'clip')}, {60 * hours:.1f} minutes"
        yield make_finding("little-data", [], [], count=1, detail=detail)
