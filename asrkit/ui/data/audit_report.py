"""Audits as plain values for the Data tab's script, which escapes them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from asrkit.audit.clips import Audit, Limits
from asrkit.audit.findings import Finding
from asrkit.audit.inspection import Inspection
from asrkit.audit.texts import MIN_OCCURRENCES
from asrkit.config import TrainConfig
from asrkit.data.sources import Source
from asrkit.jobs import Job
from asrkit.runs import dataset_audit
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.data.dataset_report import describe_clip
from asrkit.ui.strings.messages import translate

MAX_CLIPS = 20  # of each finding
MAX_SPEAKERS = 12
MAX_SPEAKERS_NAMED = 3
MAX_CHARACTERS = 400
LEFT_OUT_BY_DEFAULT = ("leak-audio", "duplicate-audio", "noisy")
"""Findings whose clips are left out unless the visitor decides otherwise."""


def inspect(
    source: Source, limits: Limits, config: TrainConfig, model: str, store: RunStore, job: Job[Inspection]
) -> Inspection:
    """Audit a dataset for a run with `config`. model: checks the transcripts by forced alignment; empty for none.

    job: gets the progress and, as its `partial`, the first verdict on a large dataset.
    """

    def on_sample(sample: Inspection) -> None:
        job.partial = sample

    job.on_progress(strings.text("data.check_starts"))
    score = None
    if model:
        job.on_progress(strings.text("data.loading_model"))
        # Imported here because it imports torch, for which the page must not wait.
        from asrkit.transcription.scoring import make_scorer

        score = make_scorer(model, store)
    return dataset_audit.inspect_dataset(
        source, limits, config, store, score, on_sample=on_sample, on_progress=job.on_progress
    )


def make_report(result: Inspection, limits: Limits) -> dict[str, Any]:
    """Return everything that the tab shows of an audit, or of the first verdict on a sample."""
    audit, statistics = result.audit, result.statistics
    return {
        "verdict": audit.verdict,
        "is_sample": bool(result.drawn),
        "sentence": _describe_sample(result) if result.drawn else _describe_verdict(audit),
        "utterances": audit.utterances,
        "hours": audit.hours,
        "dropped": audit.dropped,
        "findings": [_describe_finding(result, finding) for finding in audit.findings],
        "durations": statistics.durations,
        "words": statistics.words,
        "distinct_words": statistics.distinct_words,
        "characters": _describe_characters(statistics.characters, limits),
        "speakers": statistics.speakers[:MAX_SPEAKERS],
        "speaker_count": len(statistics.speakers),
        "rates": sorted(statistics.rates.items()),
        "held_out": _describe_held_out(result),
    }


def _describe_verdict(audit: Audit) -> str:
    """Describe the verdict and what was assumed; where clips are left out, the page says how many."""
    assumptions = [finding for finding in audit.findings if finding.is_assumption]
    sentences = [] if assumptions and not audit.dropped else [strings.text(f"data.verdict.{audit.verdict}")]
    if assumptions:
        titles = ", ".join(strings.text(f"data.finding.{finding.code}") for finding in assumptions)
        sentences.append(strings.text("data.verdict.assumptions", findings=titles))
    return " ".join(sentences)


def _describe_sample(result: Inspection) -> str:
    verdict, clips = _describe_verdict(result.audit), f"{len(result.clips):,}"
    return strings.text("data.first_verdict", clips=clips, total=f"{result.num_all:,}", verdict=verdict)


def _describe_held_out(result: Inspection) -> str:
    """Describe the clips and speakers that would be evaluated on."""
    rows = [result.clips[index].row for index in sorted(result.held_out)]
    num_kept = result.audit.utterances
    if not rows:
        return ""
    clips = strings.text("data.clips_held_out", count=len(rows), formatted=f"{len(rows):,}")
    if speakers := sorted({row.speaker for row in rows if row.speaker}):
        names = ", ".join(speakers[:MAX_SPEAKERS_NAMED])
        is_complete = len(speakers) <= MAX_SPEAKERS_NAMED
        key = "by_speakers" if is_complete else "by_some_speakers"
        clips = strings.text(f"data.clips_held_out_{key}", clips=clips, speakers=names)
    return strings.text(
        "data.held_out", clips=clips, share=f"{len(rows) / num_kept:.0%}", train=f"{num_kept - len(rows):,}"
    )


def count_characters(texts: Sequence[str], limits: Limits) -> list[dict[str, Any]]:
    """Return the characters of `texts` in the format of `make_report`."""
    counts = Counter(letter for text in texts for letter in text if not letter.isspace())
    return _describe_characters(counts.most_common(), limits)


def _describe_characters(counts: Sequence[tuple[str, int]], limits: Limits) -> list[dict[str, Any]]:
    unknown = limits.find_unknown(letter for letter, _ in counts)
    return [
        {
            "character": letter,
            "count": count,
            "rare": count < MIN_OCCURRENCES,
            "unknown": letter in unknown,
        }
        for letter, count in counts[:MAX_CHARACTERS]
    ]


def _describe_finding(result: Inspection, finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "title": strings.text(f"data.finding.{finding.code}"),
        "kind": finding.kind,
        "count": finding.count,
        "effect": translate(finding.cause),
        "fix": translate(finding.remedy),
        "settings": finding.settings,
        "changes": finding.changes,
        "examples": [] if finding.clips else finding.examples,
        "clips": [
            describe_clip(
                result.clips[index].row, result.index_in_dataset(index), _describe_detail(result, finding, index)
            )
            for index in finding.clips[:MAX_CLIPS]
        ],
        "can_leave_out": finding.kind == "suspect" and bool(finding.clips) and not result.drawn,
        "leave_out": finding.code in LEFT_OUT_BY_DEFAULT,
    }


def _describe_detail(result: Inspection, finding: Finding, index: int) -> str:
    """Return the figure for which the finding lists this clip; empty if it has none."""
    clip, stats = result.clips[index], result.clips[index].stats
    if clip.code == finding.code:
        return translate(clip.detail)
    if finding.code == "poor-alignment":
        return strings.text("data.detail.score", value=f"{result.scores[index]:.2f}")
    if finding.code in ("fast-speech", "slow-speech"):
        rate = len(clip.text.replace(" ", "")) / clip.row.duration_s
        return strings.text("data.detail.letters_per_second", value=f"{rate:.1f}")
    if stats and finding.code == "noisy" and stats.snr_db is not None:
        return strings.text("data.detail.snr", value=f"{stats.snr_db:.0f}")
    if stats and finding.code == "clipped":
        return strings.text("data.detail.clipped", percent=f"{math.ceil(1000 * stats.clipped_fraction) / 10:g}")
    return ""
