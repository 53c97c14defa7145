"""Check the data and the base model of a run before it starts, so that errors are reported before any download.

The supervisor uses it for what is on this machine, the worker for what comes from the Hub.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from asrkit.audit import leaks, measurement_cache, selection, texts
from asrkit.audit.clips import Audit, Limits, audit_clips, make_note_findings
from asrkit.audit.findings import Finding, derive_verdict
from asrkit.audit.writing import ClipText, FormatExample
from asrkit.config import TrainConfig
from asrkit.data import confined, dataset_names, mix, sampling, sources, terms
from asrkit.data.file_cache import FileCache
from asrkit.data.manifest import Column, Utterance
from asrkit.data.readers.hub_names import PREFIX
from asrkit.data.streams.options import StreamMode, StreamOptions
from asrkit.errors import DataError
from asrkit.jobs import ProgressCallback
from asrkit.models import compatibility, resolution, vocabularies
from asrkit.runs.audit_record import read_audit
from asrkit.runs.dataset_audit import make_limits, split_indices
from asrkit.runs.decisions import check_decisions
from asrkit.runs.prepared_data import FOLDER, PreparedData
from asrkit.runs.store import RunStore
from asrkit.text import normalisers
from asrkit.text.graphemes import GraphemeSplitter, choose_graphemes

HARMLESS = frozenset({"too-long", "too-short"})
"""Clips outside the length limits are left out and counted, as in every recipe; that is what the limits are for."""

PartKey = tuple[str, float, float | None]
Fingerprints = dict[PartKey, Hashable | None]
"""File, start and end of an utterance -> fingerprint of its audio, None where the audio cannot be read."""


def is_local(config: TrainConfig) -> bool:
    """Whether everything needed to check the data is on this machine."""
    return not any(name.startswith(PREFIX) for name in list_datasets(config))


def check_access(config: TrainConfig) -> None:
    """Raise DataError unless the current visitor may read the data of `config`.

    The worker, which acts for no visitor, reads what the owner of the run may read.
    """
    for name in list_datasets(config):
        if not name.startswith(PREFIX) and name not in sources.BUILT_IN:
            sources.check_access(name)


def list_datasets(config: TrainConfig) -> list[str]:
    """Return the names of the datasets to train and to evaluate on."""
    return [name for setting in (config.train, config.eval) if setting for name in dataset_names.separate(setting)]


def check_settings(config: TrainConfig, store: RunStore, model: Path | None = None) -> Path | None:
    """Check the base model and the settings, without the data. Return the model's directory if it is on this machine.

    Raises ConfigError or ModelError if a run cannot start with them.
    """
    compatibility.check_optimizer(config.optimizer)
    choose_graphemes(config.graphemes, [], config.text_rules)  # raises for what cannot be one
    mix.parse_weights(config.mix, config.train)
    model = model or resolution.resolve(config.model, store)
    if model and config.vocabulary != "fresh":
        vocabularies.check_language(model, config.adapter_language)
    if model:
        compatibility.check(model, config)
    return model


def prepare_data(
    config: TrainConfig,
    store: RunStore,
    hub_dir: Path | None = None,
    model: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> PreparedData:
    """Read, split, normalise and audit the data of `config`. The evaluation split is audited like the training split.

    model: the base model's directory, where it was fetched already. on_progress: called while data is fetched.

    UndecidedError names why clips cannot be used, unless `drop_bad_clips`, and what was assumed to read the data,
    unless `accept_assumptions`; DataError if the data cannot be read; ModelError if the base model is none.
    """
    model = check_settings(config, store, model)
    source = confined.load(
        config.train,
        eval_data=config.eval or None,
        text_column=config.text_column or None,
        audio_column=config.audio_column or None,
        speaker_column=config.speaker_column or None,
        tiers=config.tiers,
        hub_dir=hub_dir,
        stream=StreamOptions(cast(StreamMode, config.stream), config.stream_cache_bytes, config.audio_column),
        on_progress=on_progress,
    )
    limits = make_limits(config, model)
    held_out: list[Utterance] = []
    with measurement_cache.open_cache(store.root / FOLDER, len(source.utterances)) as cache:
        train, result = _audit_rows(source.train, config, limits, cache)
        if source.eval:
            held_out, eval_result = _audit_rows(source.eval, config, limits, cache)
    if source.eval:
        held_out = sampling.take_sample(held_out, config.eval_count or len(held_out), config.seed)
        result = _merge_audits(result, eval_result)
    bad_clips = [finding for finding in result.findings if finding.kind == "drop" and finding.code not in HARMLESS]
    result = _add_findings(result, make_note_findings(source.notes))
    check_decisions(bad_clips, [finding for finding in result.findings if finding.is_assumption], config)
    rows = [*train, *held_out]
    if model:
        compatibility.check_delimiter(model, config, (row.text for row in rows))
    fingerprints = dict(zip(map(_part_key, rows), leaks.audio_fingerprints(rows), strict=True))
    if source.eval is None:
        train, held_out = _split_usable(train, config, fingerprints)
    found = _find_leaks(train, held_out, config, fingerprints, is_own_split=source.eval is None)
    found += _find_new_characters(train, held_out, config, limits.known)
    _check_splits(train, held_out, config)
    folders = frozenset(map(os.path.dirname, Column("audio", source.utterances)))
    return PreparedData(
        train,
        held_out,
        _add_findings(result, found),
        selection.read_record(config.train),
        folders,
        _collect_terms(folders, config, store),
    )


def _check_splits(train: list[Utterance], held_out: list[Utterance], config: TrainConfig) -> None:
    """Raise DataError where a split, or a dataset that is weighted against others, has no clip."""
    for split, purpose in ((train, "train"), (held_out, "evaluate")):
        if not split:
            raise DataError(
                f"{config.train}: no clip is left to {purpose} on; add data or change the clip length limits."
            )
    if weights := mix.parse_weights(config.mix, config.train):
        mix.Mix.of(train, weights, config.seed)


def _collect_terms(folders: Iterable[str], config: TrainConfig, store: RunStore) -> list[dict[str, Any]]:
    """Return the terms of recorded datasets: those of the data, and those that the base model was trained on."""
    base = store.find(config.model)
    audit = (read_audit(base) if base else None) or {}
    found = terms.collect(folders)
    return found + [each for each in audit.get("terms", []) if each not in found]


def _part_key(row: Utterance) -> PartKey:
    return row.audio, row.start_s, row.end_s


def _split_usable(
    rows: list[Utterance], config: TrainConfig, fingerprints: Fingerprints
) -> tuple[list[Utterance], list[Utterance]]:
    """Split after the audit: of a few clips to evaluate on, it must not drop any."""
    if config.eval:
        raise DataError(f"{config.eval} holds no clips to evaluate on; give another evaluation dataset.")
    if not rows:
        return [], []
    if len(rows) < 2:
        raise DataError(
            f"{config.train} holds {len(rows)} clip and no evaluation split; add clips, or name an evaluation dataset."
        )
    train, held_out = split_indices(
        config,
        [row.speaker for row in rows],
        [row.text for row in rows],
        [fingerprints[_part_key(row)] for row in rows],
    )
    return [rows[index] for index in train], [rows[index] for index in held_out]


def _find_leaks(
    train: list[Utterance],
    held_out: list[Utterance],
    config: TrainConfig,
    fingerprints: Fingerprints,
    is_own_split: bool,
) -> list[Finding]:
    """Find what both splits share. With a fixed set of commands, shared sentences are intended."""
    rows = [*train, *held_out]
    clips = [
        leaks.ClipIdentity(index, row.text, row.speaker, fingerprints[_part_key(row)]) for index, row in enumerate(rows)
    ]
    findings = leaks.find_leaks(
        clips[: len(train)],
        clips[len(train) :],
        _make_example_format(rows),
        is_own_split=is_own_split,
    )
    return [finding for finding in findings if finding.code != "leak-text" or config.decoding != "words"]


def _make_example_format(rows: Sequence[Utterance]) -> FormatExample:
    """Return what formats one of these rows as "metadata.csv row 3 (detail)"."""
    return lambda index, detail: f"{rows[index].row or Path(rows[index].audio).name} ({detail[:80]})"


def _find_new_characters(
    train: list[Utterance], held_out: list[Utterance], config: TrainConfig, known: set[str] | None
) -> list[Finding]:
    """Find characters that are new to the base model and too rare in the training split to be learned.

    known: the characters of the base model, if its vocabulary grows; None where all are new.
    """
    if config.vocabulary == "keep":
        return []
    rows = [*train, *held_out]
    return list(
        texts.check_new_characters(
            [ClipText(index, row.text, row.text, row.duration_s) for index, row in enumerate(rows)],
            _make_example_format(rows),
            known,
            frozenset(range(len(train), len(rows))),
            GraphemeSplitter(choose_graphemes(config.graphemes, [row.text for row in rows], config.text_rules)).split,
        )
    )


def _audit_rows(
    source_rows: Sequence[Utterance], config: TrainConfig, limits: Limits, cache: FileCache | None
) -> tuple[list[Utterance], Audit]:
    """Return the usable rows, with normalised texts, and their audit."""
    kept, result = audit_clips(source_rows, limits, cache=cache)
    rows = [replace(row, text=normalisers.normalise(row.text, config.text_rules), marks=()) for row in kept]
    return rows, _add_findings(result, _find_changed_texts(kept, rows, config))


def _find_changed_texts(raw: list[Utterance], rows: list[Utterance], config: TrainConfig) -> list[Finding]:
    """Find the texts of which something else is learned than they say. raw: `rows` as written."""
    transcripts = [
        ClipText(index, old.text, new.text, new.duration_s)
        for index, (old, new) in enumerate(zip(raw, rows, strict=True))
    ]
    found = texts.check_texts(
        transcripts,
        _make_example_format(rows),
        rules=config.text_rules,
        keeps_vocabulary=True,
    )
    return [finding for finding in found if finding.changes]


def _add_findings(audit: Audit, findings: list[Finding]) -> Audit:
    findings = [*audit.findings, *findings]
    verdict = derive_verdict(audit.utterances, audit.dropped, findings)
    # The audit of one split may be worse than that of both together.
    return replace(audit, findings=findings, verdict="not-ready" if audit.verdict == "not-ready" else verdict)


def _merge_audits(train: Audit, held_out: Audit) -> Audit:
    """Merge the audits of both splits: add the counts, concatenate the findings."""
    verdicts = ("ready", "ready-with-drops", "not-ready")
    worst = max((train.verdict, held_out.verdict), key=verdicts.index)
    return Audit(
        worst,
        train.utterances + held_out.utterances,
        train.hours + held_out.hours,
        train.dropped + held_out.dropped,
        [*train.findings, *held_out.findings],
    )
