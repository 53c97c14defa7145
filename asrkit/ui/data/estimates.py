"""Sentences about the time and memory that a run would take."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from asrkit import config as configs
from asrkit.audit.inspection import Inspection
from asrkit.config import TrainConfig
from asrkit.data import access, collection, dataset_names, sources
from asrkit.data.collection import Collection
from asrkit.data.manifest import Column
from asrkit.data.mix import Mix, parse_weights
from asrkit.data.readers import hub_datasets
from asrkit.data.readers.hub_names import PREFIX
from asrkit.data.streams.options import StreamMode, StreamOptions
from asrkit.errors import DataError, HubError
from asrkit.runs import devices, estimate, launchers, pace, system
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.data.dataset_cache import SETTINGS, DatasetCache
from asrkit.ui.strings.messages import translate
from asrkit.units import format_size

REUSE_S = 600.0
"""How long an answer of the Hub about the size of a dataset is reused, while the form changes."""
MAX_TABLE_BYTES = 1 << 20
"""Of a recorded dataset, whose table is read again whenever the form changes: some 10,000 clips."""


@dataclass(frozen=True)
class _ClipLengths:
    """The clips of a dataset in seconds. evaluate: None if it has no split to evaluate on. names: the dataset of each
    clip to train on."""

    train: list[float]
    evaluate: list[float] | None
    names: list[str]


def describe_run_estimate(config: TrainConfig, datasets: DatasetCache, store: RunStore) -> str:
    """Describe a run with the settings of the form of Train.

    Without a time where there is no estimate, and where the lengths of clips are not known: they are for datasets that
    come with asrkit, that were recorded here, or that were loaded in the Data tab. Raises DataError if a dataset lacks
    its name, or the table of a recorded one is damaged.
    """
    streamed = _describe_stream(config)
    parts = _list_lengths(config, datasets, store)
    if not parts:
        return streamed
    clips = [
        (seconds, name)
        for lengths in parts
        for seconds, name in zip(lengths.train, lengths.names, strict=True)
        if config.min_duration_s <= seconds <= config.max_duration_s
    ]
    if config.eval or any(lengths.evaluate is not None for lengths in parts):
        eval_s = sum(max(0.0, seconds) for lengths in parts for seconds in lengths.evaluate or ())
    else:
        num_held_out = config.eval_count or round(config.eval_share * len(clips))
        # Spread over the datasets, as those are that are held out by chance.
        held_out = {index * len(clips) // num_held_out for index in range(num_held_out)}
        eval_s = sum(clips[index][0] for index in held_out)
        clips = [clip for index, clip in enumerate(clips) if index not in held_out]
    train, sentences = [seconds for seconds, _ in clips], []
    if weights := parse_weights(config.mix, config.train):
        mix = Mix(np.array(train), [name for _, name in clips], weights)
        train = mix.durations_s.tolist()
        sentences.append(_describe_mix(mix, weights))
    is_rented = launchers.for_config(config).is_rented  # a machine that nothing is known of here
    if not is_rented and (result := estimate.estimate_run(config, train, store, eval_s)):
        sentences.insert(0, translate(result.describe()))
        is_on_cpu = not devices.list_devices()[0].startswith(devices.CUDA)
        if is_on_cpu and system.is_busy() and not pace.has_run_lately("cpu"):
            sentences.append(strings.text("train.machine_busy"))
    return " ".join(filter(None, (*sentences, streamed)))


def _describe_stream(config: TrainConfig) -> str:
    """Describe how much audio a run would stream; empty where it streams none, or nobody knows."""
    names = [name for name in dataset_names.separate(config.train) if name.startswith(PREFIX)]
    if access.is_visitor() or config.stream == "no" or not names:
        return ""
    mode, period = cast(StreamMode, config.stream), int(time.monotonic() // REUSE_S)
    num_bytes = sum(_predict_streamed_bytes(name, mode, period) for name in names)
    if not num_bytes:
        return ""
    cache = format_size(config.stream_cache_bytes)
    return strings.text("train.streams", size=format_size(num_bytes), cache=cache)


@functools.lru_cache(maxsize=32)
def _predict_streamed_bytes(name: str, mode: StreamMode, _: int) -> int:
    """Return what the Hub said within `REUSE_S`; 0 where it does not answer, as starting the run will tell."""
    try:
        return hub_datasets.predict_streamed_bytes(name, StreamOptions(mode))
    except (HubError, DataError):
        return 0


def _describe_mix(mix: Mix, weights: Mapping[str, float]) -> str:
    parts = [
        strings.text(
            "train.mix_part",
            dataset=dataset_names.strip_paths(name),
            share=f"{share:.0%}",
            times=f"{num_slots / num_clips:.2g}" if num_slots < 100 * num_clips else f"{num_slots / num_clips:.0f}",
        )
        for (name, share), num_slots, num_clips in zip(weights.items(), mix.num_slots, mix.num_clips, strict=True)
    ]
    return strings.text("train.mix", parts="; ".join(parts))


def describe_audit_estimate(config: TrainConfig, inspection: Inspection, store: RunStore, is_proposed: bool) -> str:
    """Describe a run on the usable clips of an audited dataset; empty if there is no estimate.

    is_proposed: the preset is proposed for this data, and is not that of the form of Train.
    """
    usable = [(index, clip.row.duration_s) for index, clip in enumerate(inspection.clips) if clip.code is None]
    train = [seconds for index, seconds in usable if index not in inspection.held_out]
    eval_s = sum(seconds for index, seconds in usable if index in inspection.held_out)
    result = estimate.estimate_run(config, train, store, eval_s)
    if not result:
        return ""
    preset = configs.load_preset(config.preset).title if config.preset else strings.text("data.no_preset")
    if is_proposed:
        return strings.text("data.estimate_proposed", preset=preset, estimate=translate(result.describe()))
    return strings.text("data.estimate", model=config.model, preset=preset, estimate=translate(result.describe()))


def _list_lengths(config: TrainConfig, datasets: DatasetCache, store: RunStore) -> list[_ClipLengths]:
    """Return the lengths of the clips of each dataset to train on; empty unless all are known."""
    if as_one := _find_lengths(config.train, config, datasets, store):  # several can be loaded together
        return [as_one]
    found = [_find_lengths(name, config, datasets, store) for name in dataset_names.separate(config.train)]
    known = [lengths for lengths in found if lengths]
    return known if len(known) == len(found) else []


def _find_lengths(name: str, config: TrainConfig, datasets: DatasetCache, store: RunStore) -> _ClipLengths | None:
    """Return the lengths of a dataset's clips; None where they are not known."""
    if name in sources.BUILT_IN:
        source = datasets.get({"data": name}).source
    elif recorded := _find_recorded(name, store):  # before the loaded datasets: it may have grown since
        lengths = [clip.duration_s for clip in recorded.clips()]
        return _ClipLengths(lengths, None, [name] * len(lengths))
    elif loaded := datasets.find({"data": name} | {setting: getattr(config, setting) for setting in SETTINGS}):
        source = loaded.source
    else:
        return None
    evaluate = None if source.eval is None else list(Column("duration_s", source.eval))
    datasets_of_clips = [dataset or name for dataset in Column("dataset", source.train)]
    return _ClipLengths(list(Column("duration_s", source.train)), evaluate, datasets_of_clips)


def _find_recorded(name: str, store: RunStore) -> Collection | None:
    """Return the dataset in the folder `name` if the sender has recorded it here and its table is small."""
    for recorded in collection.list_collections(access.visitor_dir(store.data_dir)):
        if str(recorded.folder) == name:
            table = recorded.folder / collection.METADATA
            return recorded if table.exists() and table.stat().st_size <= MAX_TABLE_BYTES else None
    return None
