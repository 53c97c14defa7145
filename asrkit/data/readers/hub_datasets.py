"""hub:owner/name[:config][:split] -> the local files that hold its clips, by split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asrkit import hub
from asrkit.data import access, embedded
from asrkit.data.readers.hub_names import PREFIX, DatasetName
from asrkit.data.readers.hub_plans import SHARD_BUILDERS, Plan, make_plan
from asrkit.data.split_names import names_in_selection, split_role
from asrkit.data.streams.cache import SPARE_BYTES
from asrkit.data.streams.clips import StreamedClips
from asrkit.data.streams.index import describe_size, index_files
from asrkit.data.streams.options import NOT_STREAMED, StreamMode, StreamOptions
from asrkit.errors import DataError
from asrkit.files import free_bytes
from asrkit.jobs import ProgressCallback

STREAMED_BUILDER = "parquet"


@dataclass(frozen=True)
class DatasetChoices:
    """The configurations and splits to choose from.

    config: the one that was named, else the default one; None if the dataset has no default, and then splits is empty.
    splits: name -> bytes to fetch. split: the one that was named.
    """

    configs: tuple[str, ...]
    config: str | None
    splits: Mapping[str, int]
    split: str | None


@dataclass(frozen=True)
class FetchedDataset:
    """The local files of a dataset.

    folder: to be read like any other folder; None if each file is to be read by itself. splits: the files of each
    split. selection: the split that was named. note: names the splits that the Hub has only a part of.
    """

    folder: Path | None
    splits: Mapping[str, list[Path]]
    selection: str | None = None
    note: str = ""


def list_choices(data: str) -> DatasetChoices:
    """List the configurations and splits of a dataset.

    Raises HubError and DataError as `fetch` does, except for a configuration or split that is still to be chosen.
    """
    name, plan = make_plan(DatasetName.parse(data))
    sizes = plan.repository.sizes
    splits = {
        split: sum(sizes.get(path, 0) for path in _paths_to_fetch(plan, {split: paths}))
        for split, paths in plan.splits.items()
    }
    return DatasetChoices(plan.configs, plan.config, splits, name.split)


def fetch(
    data: str, on_progress: ProgressCallback | None = None, stream: StreamOptions = NOT_STREAMED
) -> FetchedDataset:
    """Fetch the clips of `data` from the Hub, or the index of a dataset that is streamed.

    Raises HubError for a dataset that cannot be fetched; DataError for a malformed name, a configuration that is still
    to be chosen, and a split that does not exist.
    """
    name, plan = make_plan(DatasetName.parse(data))
    if plan.config is None:
        raise DataError(
            f"The dataset {name.dataset} has {len(plan.configs)} configurations; choose one of "
            f"{', '.join(plan.configs)}, as in {PREFIX}{name.dataset}:{plan.configs[0]}."
        )
    splits = _choose_splits(plan, name) if plan.by_file else plan.splits
    paths_to_fetch = _paths_to_fetch(plan, splits)
    if not paths_to_fetch:
        raise DataError(f"{data} holds no files.")
    partial = ", ".join(split for split in splits if split in plan.partial_splits)
    note = f"; of {partial} the Hub has only a part" if partial else ""
    if _is_streamed(plan, paths_to_fetch, stream.mode):
        clips = StreamedClips(stream.cache_bytes)
        files = index_files(plan.repository, paths_to_fetch, stream.audio_column, clips, on_progress)
        indexed = dict(zip(paths_to_fetch, files, strict=True))
        num_bytes = sum(plan.repository.sizes[path] for path in paths_to_fetch)
        return FetchedDataset(
            None,
            {split: [indexed[path] for path in paths] for split, paths in splits.items()},
            name.split,
            f"{note}; streams {describe_size(num_bytes, stream.cache_bytes)}",
        )
    root = hub.fetch(plan.repository, paths_to_fetch, on_progress)
    return FetchedDataset(
        None if plan.by_file else root / _common_folder(splits),
        {split: [root / path for path in paths] for split, paths in splits.items()},
        name.split,
        note,
    )


def predict_streamed_bytes(data: str, stream: StreamOptions) -> int:
    """Return how many bytes of a dataset `fetch` would stream; 0 if none. Raises HubError and DataError as it does."""
    name, plan = make_plan(DatasetName.parse(data))
    if plan.config is None:
        return 0
    paths = _paths_to_fetch(plan, _choose_splits(plan, name) if plan.by_file else plan.splits)
    return sum(plan.repository.sizes[path] for path in paths) if _is_streamed(plan, paths, stream.mode) else 0


def _is_streamed(plan: Plan, paths: Sequence[str], mode: StreamMode) -> bool:
    """Whether a dataset is streamed. Raises DataError for one that is to be, but cannot."""
    if mode == "no":
        return False
    if access.is_visitor():
        if mode == "yes":
            raise DataError("Datasets are not streamed for visitors of this app; set stream to no.")
        return False
    if plan.builder != STREAMED_BUILDER:
        if mode == "yes":
            raise DataError(
                f"{plan.repository.name} holds no parquet files, so it cannot be streamed; set stream to no, or give "
                "the parquet files that the Hub converts datasets to."
            )
        return False
    if mode == "yes":
        return True
    missing = hub.missing_bytes(plan.repository, paths)
    # What is fetched is written out once more, as clips.
    return bool(missing) and 2 * missing + SPARE_BYTES > free_bytes(embedded.cache_dir())


def _choose_splits(plan: Plan, name: DatasetName) -> dict[str, list[str]]:
    """Return the named splits, else all splits with a role. Raises DataError if there are none."""
    if name.split:
        chosen = names_in_selection(name.split)
        unknown = [part for part in chosen if part not in plan.splits]
        if unknown:
            raise DataError(f"The dataset {name.dataset} has no split {unknown[0]!r}; it has {', '.join(plan.splits)}.")
    else:
        chosen = [split for split in plan.splits if split_role(split)]
        if not chosen:
            raise DataError(
                f"The dataset {name.dataset} has no split that is named like train, validation or test, "
                f"only {', '.join(plan.splits) or 'none'}; name the one to use, as in "
                f"{PREFIX}{name.dataset}:{plan.config}:{next(iter(plan.splits), 'SPLIT')}."
            )
    return {split: files for split, files in plan.splits.items() if split in chosen}


def _common_folder(splits: Mapping[str, list[str]]) -> str:
    """Return the folder in the repository that contains all these files; "" for the repository itself."""
    return os.path.commonpath([os.path.dirname(path) for paths in splits.values() for path in paths])


def _paths_to_fetch(plan: Plan, splits: Mapping[str, list[str]]) -> list[str]:
    """Return the files of these splits and, unless they contain their audio, all files beside them."""
    files = [path for paths in splits.values() for path in paths]
    if plan.builder in SHARD_BUILDERS or not files:
        return files
    common = _common_folder(plan.splits)
    return [path for path in plan.repository.sizes if path.startswith(f"{common}/" if common else "")]
