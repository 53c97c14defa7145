"""The audit of a dataset for a run: with the limits and the split that the run would have."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from asrkit.audit import inspection, measurement_cache
from asrkit.audit.alignment import AlignmentScorer
from asrkit.audit.clips import Limits
from asrkit.audit.inspection import Inspection
from asrkit.config import TrainConfig
from asrkit.data import splitting
from asrkit.data.sources import Source
from asrkit.jobs import ProgressCallback
from asrkit.models import frames, vocabularies
from asrkit.runs.prepared_data import FOLDER
from asrkit.runs.store import RunStore
from asrkit.text.graphemes import GraphemeSplitter, choose_graphemes


def inspect_dataset(
    source: Source,
    limits: Limits,
    config: TrainConfig,
    store: RunStore,
    score: AlignmentScorer | None,
    *,
    on_sample: Callable[[Inspection], None],
    on_progress: ProgressCallback,
) -> Inspection:
    """Audit a dataset for a run with `config`. What is measured of large ones is kept; see `inspection.inspect`."""
    with measurement_cache.open_cache(store.root / FOLDER, len(source.utterances)) as cache:
        return inspection.inspect(
            source,
            limits,
            score=score,
            hold_out=functools.partial(split_indices, config),
            cache=cache,
            on_sample=on_sample,
            on_progress=on_progress,
        )


def split_indices(
    config: TrainConfig,
    speakers: Sequence[str | None],
    texts: Sequence[str],
    fingerprints: Sequence[Hashable | None],
) -> splitting.SplitIndices:
    """Split data without an evaluation split as a run of `config` does. Texts are normalised already."""
    return splitting.split_indices(
        speakers,
        texts,
        eval_share=config.eval_share,
        count=config.eval_count,
        seed=config.seed,
        by=cast(splitting.SplitBy, config.split_by),
        audio_fingerprints=fingerprints,
    )


def make_limits(config: TrainConfig, model: Path | None) -> Limits:
    """Return the limits that the clips of a run are audited against.

    model: the base model's directory; None where it is not on this machine. ModelError for a damaged checkpoint.
    """
    known = vocabularies.known_characters(model, config.adapter_language) if model else None
    limits = Limits(
        config.text_rules,
        known if config.vocabulary == "keep" else None,
        known if config.vocabulary == "auto" else None,
        min_duration_s=config.min_duration_s,
        max_duration_s=config.max_duration_s,
        language=config.language,
    )
    if model is None:
        return limits
    geometry = frames.read(model, add_adapter=config.add_adapter)
    speller = vocabularies.read_speller(model, config.adapter_language) if config.vocabulary != "fresh" else None
    limits = replace(limits, count_frames=geometry.num_frames_in, frame_ms=geometry.frame_ms)
    if speller is not None and speller.pieces is not None:
        return replace(limits, spell=speller.encode_all, unit="pieces")
    graphemes = choose_graphemes(config.graphemes, [], config.text_rules)
    graphemes += [text for text in (speller.texts.values() if speller else ()) if len(text) > 1]
    return replace(limits, spell=GraphemeSplitter(graphemes).split, unit="letters") if graphemes else limits
