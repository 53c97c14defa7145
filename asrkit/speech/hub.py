"""hub:owner/name[:config][:split] -> the files on this disk that hold its clips, by split.

`datasets` knows which files belong to which configuration and split, and nothing more is asked of it: it cannot put
audio into its own tables without torchcodec, and would keep all of it a second time. A dataset with a loading script,
which it does not run any more, is taken from the parquet files that the Hub made of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from asrkit import hub
from asrkit.errors import DataError, HubError, first_line

PREFIX = "hub:"
CONVERTED = "refs/convert/parquet"
"""The branch on which the Hub keeps what it made of a dataset."""
SHARDS = ("parquet", "webdataset")
"""What `datasets` calls files that hold their audio themselves; of others, all that lies beside them is needed."""
LISTS = ("csv", "json")
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?)(?::(?P<rest>\S+))?")
_EVAL_SPLITS = {"validation", "valid", "val", "dev", "eval", "evaluation"}
_TEST_SPLITS = {"test", "testing"}
_TRAIN_SPLITS = {"train", "training"}
_Row = TypeVar("_Row")


def side(split: str) -> str | None:
    """train, eval or test for a split's name, None for others; its first word decides (train.clean.100, test-other)."""
    word = re.split("[^a-z]", split.strip().lower(), maxsplit=1)[0]
    kinds = {"train": _TRAIN_SPLITS, "eval": _EVAL_SPLITS, "test": _TEST_SPLITS}
    return next((kind for kind, names in kinds.items() if word in names), None)


@dataclass(frozen=True)
class Name:
    """The parts of hub:owner/name[:config][:split]; split as `datasets` has it, such as train[:10%]."""

    dataset: str
    config: str | None
    split: str | None

    @classmethod
    def of(cls, data: str) -> Name:
        """One part alone is taken for a split if it begins like one (train, test ...). Raises DataError."""
        parsed = _NAME.fullmatch(data.strip().removeprefix(PREFIX))
        if parsed is None:
            raise DataError(f"{data!r} names no dataset; write hub:owner/name[:config][:split].")
        rest = parsed["rest"] or ""
        config, _, split = ("", "", rest) if side(rest) else rest.partition(":")
        return cls(parsed["name"], config or None, split or None)


@dataclass(frozen=True)
class Offer:
    """What there is to choose from. config: the one that was named, or the only one, or None: then splits is empty.

    splits: name -> bytes to fetch.
    """

    configs: tuple[str, ...]
    config: str | None
    splits: Mapping[str, int]


@dataclass(frozen=True)
class Fetched:
    """Either a folder, to be recognised as any other, or the files of each split."""

    folder: Path | None
    splits: Mapping[str, list[Path]]


def offer(data: str) -> Offer:
    """Raises HubError and DataError as `fetch` does, but not where a configuration or split is still to be chosen."""
    plan = _plan(Name.of(data))
    sizes = plan.repository.sizes
    return Offer(plan.configs, plan.config,
                 {split: sum(sizes.get(path, 0) for path in paths) for split, paths in plan.splits.items()})


def fetch(data: str, told: hub.Told | None = None) -> Fetched:
    """Bring the clips of `data` onto this disk; told: how far that is.

    Raises HubError for a dataset that cannot be had, DataError for what names none, for a configuration that is still
    to be chosen and for a split that is not there.
    """
    name = Name.of(data)
    plan = _plan(name)
    if plan.config is None:
        raise DataError(f"The dataset {name.dataset} has {len(plan.configs)} configurations; choose one of "
                        f"{', '.join(plan.configs)}, as in {PREFIX}{name.dataset}:{plan.configs[0]}.")
    by_file = plan.builder in SHARDS or (plan.builder in LISTS and len(plan.configs) > 1)
    splits = _chosen(plan, name) if by_file else plan.splits
    paths = [path for files in splits.values() for path in files]
    if not paths:
        raise HubError(f"Nothing of {data} was fetched before, and the Hugging Face Hub cannot be reached; check the "
                       "network and try again." if plan.repository.kept else f"{data} holds no files.")
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    needed = paths
    if plan.builder not in SHARDS:
        below = "" if by_file or not common else f"{common}/"
        needed = [path for path in plan.repository.sizes if path.startswith(below)]
    folder = hub.fetch(plan.repository, needed, told)
    if not by_file:
        return Fetched(folder / common, {})
    return Fetched(None, {split: [folder / path for path in files] for split, files in splits.items()})


def cut(split: str, rows: Mapping[str, Sequence[_Row]]) -> list[_Row]:
    """What `split`, such as train[:10%]+test, takes of the rows of each split. Raises DataError if that is nothing."""
    import datasets

    try:
        parts = datasets.ReadInstruction.from_spec(split).to_absolute({name: len(part) for name, part in rows.items()})
    except (ValueError, AssertionError) as error:
        raise DataError(f"The split {split!r} cannot be taken ({first_line(error).rstrip('.')}); there are "
                        f"{', '.join(rows)}, and parts as in train[:10%].") from error
    return [row for part in parts for row in rows[part.splitname][part.from_ : part.to]]


@dataclass(frozen=True)
class _Plan:
    """Which files of which state of a repository make up each split of the configuration; builder: their kind."""

    repository: hub.Repository
    configs: tuple[str, ...]
    config: str | None
    builder: str
    splits: Mapping[str, list[str]]


def _plan(name: Name) -> _Plan:
    """config is None, and splits empty, where one is to be chosen."""
    import datasets

    if Path(name.dataset).exists():  # `datasets` would take it for that
        raise DataError(f"{name.dataset} is on this machine; give it without {PREFIX}")
    repository = hub.look(name.dataset, "dataset")
    place = str(repository.kept or name.dataset)
    try:
        configs = tuple(datasets.get_dataset_config_names(place))
        config = _config(name, configs, datasets.get_dataset_default_config_name(place))
        if config is None:
            return _Plan(repository, configs, None, "", {})
        builder = datasets.load_dataset_builder(place, config)
    except ConnectionError as error:
        raise HubError(f"The dataset {name.dataset} cannot be fetched from the Hugging Face Hub "
                       f"({first_line(error).rstrip('.')}); check the network and try again.") from error
    except (OSError, ValueError, RuntimeError) as error:
        if "scripts are no longer supported" in str(error) or repository.kept:  # of one with a script, that is not kept
            return _converted(name)
        raise DataError(f"The dataset {name.dataset} is in no form that can be read ({first_line(error).rstrip('.')}); "
                        "fetch its files and give their folder.") from error
    splits = {str(split): [_inside(file, repository) for file in files]
              for split, files in builder.config.data_files.items()}
    return _Plan(repository, configs, config, builder.name, splits)


def _converted(name: Name) -> _Plan:
    """From CONFIG/SPLIT/0000.parquet; a split that is big stands there in part, and is called so."""
    try:
        repository = hub.look(name.dataset, "dataset", CONVERTED)
    except HubError as error:
        raise HubError(f"The dataset {name.dataset} is made by a script, which is not run here, and its parquet files "
                       f"cannot be had. {error}") from error
    paths = sorted(path for path in repository.sizes if path.endswith(".parquet") and path.count("/") == 2)
    configs = tuple(sorted({path.split("/")[0] for path in paths}))
    config = _config(name, configs, configs[0] if len(configs) == 1 else None)
    splits: dict[str, list[str]] = {}
    for path in paths:
        if path.split("/")[0] == config:
            splits.setdefault(path.split("/")[1].removeprefix("partial-"), []).append(path)
    return _Plan(repository, configs, config, "parquet", splits)


def _config(name: Name, configs: tuple[str, ...], usual: str | None) -> str | None:
    """The one that was named, else the usual one; None where one is to be chosen. DataError if there is no such one."""
    if name.config is None:
        return usual
    if name.config not in configs:
        raise DataError(f"The dataset {name.dataset} has no configuration {name.config!r}; it has "
                        f"{', '.join(configs) or 'none'}.")
    return name.config


def _inside(file: str, repository: hub.Repository) -> str:
    """The path in the repository of a file as `datasets` names it."""
    prefix = f"{repository.kept}{os.sep}" if repository.kept else f"hf://datasets/{repository.name}@{repository.commit}/"
    if not file.startswith(prefix):
        raise DataError(f"The dataset {repository.name} takes {file} from elsewhere; fetch it and give its folder.")
    return file.removeprefix(prefix)


def _chosen(plan: _Plan, name: Name) -> dict[str, list[str]]:
    """The splits that are asked for; those to train and evaluate on if none is."""
    if name.split:
        wanted = [re.split(r"[\[(]", part)[0] for part in name.split.split("+")]
        unknown = [part for part in wanted if part not in plan.splits]
        if unknown:
            raise DataError(f"The dataset {name.dataset} has no split {unknown[0]!r}; it has {', '.join(plan.splits)}.")
    else:
        wanted = [split for split in plan.splits if side(split)]
        if not wanted:
            raise DataError(f"The dataset {name.dataset} has no split that is named like train, validation or test, "
                            f"only {', '.join(plan.splits) or 'none'}; name the one to use, as in "
                            f"{PREFIX}{name.dataset}:{plan.config}:{next(iter(plan.splits), 'SPLIT')}.")
    return {split: files for split, files in plan.splits.items() if split in wanted}
