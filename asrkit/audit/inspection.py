"""The whole audit: every clip listened to, the dataset looked at as one, and, with a model, each text held against
its audio.

Nothing is kept in memory but a few numbers a clip, so a hundred thousand clips are as workable as a hundred.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.audit import leaks, texts
from asrkit.audit.clips import Audit, Checked, Limits, check_each, example, report
from asrkit.audit.findings import Finding, make_finding
from asrkit.data.manifest import Utterance
from asrkit.data.sources import Source
from asrkit.data.splitting import TrainEval
from asrkit.errors import DataError
from asrkit.jobs import ProgressCallback

CLIPPED_SHARE = 0.001  # of the samples, at full scale in runs
NOISY_DB = 6.0  # between the voice and the background
LITTLE_HOURS = 1 / 6
ONE_SPEAKER_SHARE = 0.5  # of the hours
BINS = 24  # of the histogram of durations
ALIGNMENT_OUTLIER = 3.5  # robust deviations below the median
ALIGNMENT_LEAST = 0.5  # nats a letter: smaller deviations are none, however even the others are

HoldOut = Callable[[Sequence[Utterance], Sequence[Hashable | None]], TrainEval]
"""(rows with the text after the rules, a print of the audio of each) -> (to train on, to evaluate on)"""

Score = Callable[[Waveform, str], float]
"""Audio and its text after the rules -> how well they fit; higher is better. DataError where it cannot be told."""


@dataclass(frozen=True)
class Statistics:
    """Of the clips that can be used. durations: (from, to, clips) in seconds. characters: with their counts, the
    commonest first. speakers: (name, clips, hours), most hours first; empty where none is known. rate: clips by
    sampling rate."""

    durations: list[tuple[float, float, int]]
    characters: list[tuple[str, int]]
    speakers: list[tuple[str, int, float]]
    words: int
    distinct_words: int
    rates: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Inspection:
    """clips: all of them, those to train on first; findings and scores name them by their places in it.

    train: how many of them are to train on, if the data says so. scores: place -> alignment score, where a model was
    at hand. held_out: the places of those that would be evaluated on.
    """

    clips: list[Checked]
    train: int
    audit: Audit
    statistics: Statistics
    scores: dict[int, float]
    held_out: frozenset[int] = frozenset()

    def left(self, without: Sequence[str]) -> list[Utterance]:
        """The rows, as written, that remain when the clips of these findings are left out; those that cannot be used
        never do."""
        gone = {place for found in self.audit.findings if found.code in without for place in found.clips}
        return [one.row for place, one in enumerate(self.clips) if one.code is None and place not in gone]


def inspect(
    source: Source,
    limits: Limits,
    *,
    keeps_vocabulary: bool = False,
    score: Score | None = None,
    hold_out: HoldOut | None = None,
    on_progress: ProgressCallback = lambda message, done, total: None,
) -> Inspection:
    """Decode every clip, check it for itself and all of them together.

    keeps_vocabulary: whether the vocabulary is given, so that rare characters do not matter. score: from a model, to
    put wrong transcripts first. hold_out: the split that a run would make of data that has none.

    Raises ConfigError for rules that do not exist.
    """
    rows = source.utterances
    clips = []
    for one in check_each(rows, limits, decode=True):
        clips.append(one)
        on_progress("Listening to the clips", len(clips), len(rows))
    scores = dict(_scored(clips, score, on_progress)) if score else {}
    train = len(source.train)
    held = _held_out(clips, train, hold_out if source.eval is None else None)
    others = [
        *_aligned(clips, scores),
        *_heard(clips, train, scores),
        *_leaks(clips, held, source.eval is None),
        *_balance(clips),
        *_texts(clips, keeps_vocabulary),
        *_amount(clips),
    ]
    order = {"drop": 0, "suspect": 1, "advice": 2}
    told = report(clips, limits, sorted(others, key=lambda found: order[found.kind]))
    return Inspection(clips, train, told, _statistics(clips), scores, held)


def _held_out(clips: list[Checked], train: int, hold_out: HoldOut | None) -> frozenset[int]:
    """Places of the clips that can be used and are, or would be, evaluated on."""
    kept = [place for place, one in enumerate(clips) if one.code is None]
    if hold_out is None or len(kept) < 2:
        return frozenset(place for place in kept if place >= train)
    # A row's place stands in for where it came from, so that it is found again.
    rows = [replace(clips[place].row, text=clips[place].text, row=str(place)) for place in kept]
    try:
        return frozenset(int(row.row) for row in hold_out(rows, leaks.audio_fingerprints(rows))[1])
    except DataError:  # it cannot be split as the settings say; starting the run tells why
        return frozenset()


def _leaks(clips: list[Checked], held: frozenset[int], own: bool) -> Iterator[Finding]:
    seen = [
        leaks.ClipIdentity(place, one.text, one.row.speaker, one.heard.digest if one.heard else None)
        for place, one in enumerate(clips)
        if one.code is None
    ]
    yield from leaks.find_leaks(
        [clip for clip in seen if clip.index not in held],
        [clip for clip in seen if clip.index in held],
        lambda place, detail: example(clips[place], detail[:80]),
        own=own,
    )


def _scored(clips: list[Checked], score: Score, on_progress: ProgressCallback) -> Iterator[tuple[int, float]]:
    for place, one in enumerate(clips):
        if one.code is None:
            try:
                wave = load_audio(one.row.audio, start_s=one.row.start_s, end_s=one.row.end_s)
                yield place, score(wave, one.text)
            except DataError:
                pass  # a model of another language or with longer frames: this clip cannot be ranked
        on_progress("Checking the transcripts by forced alignment", place + 1, len(clips))


def _aligned(clips: list[Checked], scores: dict[int, float]) -> Iterator[Finding]:
    if len(scores) < texts.LEAST_CLIPS:
        return
    middle = median(scores.values())
    spread = 1.4826 * median(abs(value - middle) for value in scores.values())
    limit = middle - max(ALIGNMENT_OUTLIER * spread, ALIGNMENT_LEAST)
    worst = sorted((place for place, value in scores.items() if value < limit), key=scores.__getitem__)
    if worst:
        yield make_finding(
            "poor-alignment",
            worst,
            [
                example(clips[place], f"{scores[place]:.2f}, usually {middle:.2f}: {clips[place].text[:60]}")
                for place in worst[:9]
            ],
        )


def _heard(clips: list[Checked], train: int, scores: dict[int, float]) -> Iterator[Finding]:
    kept = [(place, one.heard) for place, one in enumerate(clips) if one.code is None and one.heard]
    clipped = sorted(
        (pair for pair in kept if pair[1].clipped_fraction > CLIPPED_SHARE), key=lambda pair: -pair[1].clipped_fraction
    )
    if clipped:
        yield make_finding(
            "clipped",
            [place for place, _ in clipped],
            [example(clips[place], f"{heard.clipped_fraction:.1%} of it cut off") for place, heard in clipped[:9]],
        )
    noisy = [pair for pair in kept if pair[1].snr_db is not None and pair[1].snr_db < NOISY_DB]
    if noisy:
        noisy.sort(key=lambda pair: pair[1].snr_db)
        yield make_finding(
            "noisy",
            [place for place, _ in noisy],
            [example(clips[place], f"{heard.snr_db:.0f} dB") for place, heard in noisy[:9]],
            snr=NOISY_DB,
        )
    low = [(place, heard) for place, heard in kept if heard.sampling_rate < SAMPLING_RATE]
    if low:
        rates = sorted({heard.sampling_rate for _, heard in low})
        yield make_finding(
            "low-rate",
            [place for place, _ in low],
            [example(clips[place], f"{heard.sampling_rate} Hz") for place, heard in low[:9]],
            detail=", ".join(f"{rate:,} Hz" for rate in rates),
        )
    yield from _copies(clips, kept, train, scores)


def _copies(
    clips: list[Checked], kept: list[tuple[int, Any]], train: int, scores: dict[int, float]
) -> Iterator[Finding]:
    same: dict[bytes, list[int]] = defaultdict(list)
    for place, heard in kept:
        same[heard.digest].append(place)
    groups = [places for places in same.values() if len(places) > 1]
    # Of those to train on and of those to evaluate on, all but the one whose text fits best, else the first.
    copies = {}
    for places in groups:
        for side in ([place for place in places if place < train], [place for place in places if place >= train]):
            side.sort(key=lambda place: (-scores.get(place, 0.0), place))
            copies |= dict.fromkeys(side[1:], side[0] if side else 0)
    if copies:
        # Those that say something else than their double come first.
        order = sorted(copies, key=lambda place: (clips[place].text == clips[copies[place]].text, place))
        told = []
        for place in order[:9]:
            kept_one = clips[copies[place]]
            told.append(
                example(
                    clips[place],
                    f"{clips[place].text[:40]!r}; the same recording in "
                    f"{kept_one.row.row or 'another row'} is {kept_one.text[:40]!r}",
                )
            )
        yield make_finding("duplicate-audio", order, told)


def _balance(clips: list[Checked]) -> Iterator[Finding]:
    hours = _hours_by_speaker(clips)
    if len(hours) > 1:
        name, (_, most) = max(hours.items(), key=lambda item: item[1][1])
        share = most / sum(each for _, each in hours.values())
        if share > ONE_SPEAKER_SHARE and len(hours) > 2:
            yield make_finding(
                "speaker-balance",
                [],
                [],
                count=1,
                detail=f"{share:.0%} of the speech is by {name[:40]!r}, one of {len(hours)} speakers",
            )


def _texts(clips: list[Checked], keeps_vocabulary: bool) -> Iterator[Finding]:
    said = [(place, one.row.text, one.text, one.row.duration_s) for place, one in enumerate(clips) if one.code is None]

    def name(place: int, detail: str) -> str:
        return example(clips[place], detail[:80])

    yield from texts.check(said, name, keeps_vocabulary=keeps_vocabulary)


def _amount(clips: list[Checked]) -> Iterator[Finding]:
    kept = [one for one in clips if one.code is None]
    hours = sum(one.row.duration_s for one in kept) / 3600
    if kept and hours < LITTLE_HOURS:
        yield make_finding("little-data", [], [], count=1, detail=f"{len(kept)} clips, {60 * hours:.1f} minutes")


def _hours_by_speaker(clips: list[Checked]) -> dict[str, tuple[int, float]]:
    found: dict[str, tuple[int, float]] = {}
    for one in clips:
        if one.code is None and one.row.speaker:
            count, hours = found.get(one.row.speaker, (0, 0.0))
            found[one.row.speaker] = (count + 1, hours + one.row.duration_s / 3600)
    return found


def _statistics(clips: list[Checked]) -> Statistics:
    kept = [one for one in clips if one.code is None]
    letters = Counter(letter for one in kept for letter in one.text if not letter.isspace())
    words = Counter(word for one in kept for word in one.text.split())
    speakers = sorted(((name, *told) for name, told in _hours_by_speaker(clips).items()), key=lambda row: -row[2])
    return Statistics(
        _histogram([one.row.duration_s for one in kept]),
        letters.most_common(),
        speakers,
        words.total(),
        len(words),
        dict(Counter(one.heard.sampling_rate for one in kept if one.heard)),
    )


def _histogram(seconds: list[float]) -> list[tuple[float, float, int]]:
    if not seconds:
        return []
    width = next(step for step in (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 1e9) if max(seconds) <= step * BINS)
    counts = Counter(int(length / width) for length in seconds)
    return [(place * width, (place + 1) * width, counts[place]) for place in range(max(counts) + 1)]
