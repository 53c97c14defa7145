"""hub:owner/name[:config][:split] -> the local files that hold its clips, by split.

`datasets` decides which files belong to which configuration and split, and is used for nothing else: it cannot put
audio into its own tables without torchcodec, and would store all of it a second time. It no longer runs loading
scripts; a dataset that has one is read from the parquet files that the Hub converted it to.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit import hub
from asrkit.data import access
from asrkit.data.split_names import names_in_selection, split_role
from asrkit.errors import DataError, HubError, NotOnHubError, first_line
from asrkit.hub import credentials
from asrkit.hub.errors import translate_errors
from asrkit.jobs import ProgressCallback

PREFIX = "hub:"
CONVERTED_BRANCH = "refs/convert/parquet"
"""The branch with the parquet files that the Hub converted a dataset to."""
PARTIAL_PREFIX = "partial-"
"""Begins the name of a split that is too big for the conversion, of which the Hub keeps the first 5 GB."""
SHARD_BUILDERS = ("parquet", "webdataset")
"""Builders of `datasets` whose files contain their audio; the others need all files beside them."""
TABLE_BUILDERS = ("csv", "json")
"""Builders whose files are tables alone, with the audio somewhere beside them."""
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?)(?::(?P<rest>\S+))?")
_SEPARATOR = re.compile(r":(?![^\[]*\])")
"""Separates configuration and split, but not the bounds in train[10:20]."""


@dataclass(frozen=True)
class DatasetName:
    """The parts of hub:owner/name[:config][:split].

    split: a selection as `datasets` writes it, such as train[:10%]. config_or_split: a single part, which only the
    dataset's configurations decide.
    """

    dataset: str
    config: str | None = None
    split: str | None = None
    config_or_split: str | None = None

    @classmethod
    def parse(cls, data: str) -> DatasetName:
        """Parse a name. Raises DataError for a string that is not one."""
        parsed = _NAME.fullmatch(data.strip().removeprefix(PREFIX))
        parts = _SEPARATOR.split(parsed["rest"]) if parsed and parsed["rest"] else []
        if parsed is None or len(parts) > 2 or not all(parts):
            raise DataError(f"{data!r} is not a dataset name; write hub:owner/name[:config][:split].")
        if len(parts) == 1:
            return cls(parsed["name"], config_or_split=parts[0])
        return cls(parsed["name"], *parts)

    def resolve(self, configs: Sequence[str]) -> DatasetName:
        """Decide what a single part is: a configuration if the dataset has it, else a split if it looks like one."""
        part = self.config_or_split
        if part is None:
            return self
        if part in configs or not (split_role(part) or "[" in part):
            return DatasetName(self.dataset, config=part)
        return DatasetName(self.dataset, split=part)


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
    name, plan = _make_plan(DatasetName.parse(data))
    sizes = plan.repository.sizes
    splits = {
        split: sum(sizes.get(path, 0) for path in _paths_to_fetch(plan, {split: paths}))
        for split, paths in plan.splits.items()
    }
    return DatasetChoices(plan.configs, plan.config, splits, name.split)


def fetch(data: str, on_progress: ProgressCallback | None = None) -> FetchedDataset:
    """Fetch the clips of `data` from the Hub.

    Raises HubError for a dataset that cannot be fetched; DataError for a malformed name, a configuration that is still
    to be chosen, and a split that does not exist.
    """
    name, plan = _make_plan(DatasetName.parse(data))
    if plan.config is None:
        raise DataError(
            f"The dataset {name.dataset} has {len(plan.configs)} configurations; choose one of "
            f"{', '.join(plan.configs)}, as in {PREFIX}{name.dataset}:{plan.configs[0]}."
        )
    splits = _choose_splits(plan, name) if plan.by_file else plan.splits
    paths_to_fetch = _paths_to_fetch(plan, splits)
    if not paths_to_fetch:
        raise DataError(f"{data} holds no files.")
    root = hub.fetch(plan.repository, paths_to_fetch, on_progress)
    partial = ", ".join(split for split in splits if split in plan.partial_splits)
    return FetchedDataset(
        None if plan.by_file else root / _common_folder(splits),
        {split: [root / path for path in paths] for split, paths in splits.items()},
        name.split,
        f"; of {partial} the Hub has only a part" if partial else "",
    )


@dataclass(frozen=True)
class _Plan:
    """The files of each split of a configuration, in one state of a repository.

    config: None, with no splits, if it is still to be chosen. builder: what `datasets` reads the files with.
    """

    repository: hub.Repository
    configs: tuple[str, ...]
    config: str | None
    builder: str
    splits: Mapping[str, list[str]]
    partial_splits: tuple[str, ...] = ()

    @property
    def by_file(self) -> bool:
        """Whether each file is read by itself, and not the folder as a whole."""
        return self.builder in SHARD_BUILDERS + TABLE_BUILDERS


def _make_plan(name: DatasetName) -> tuple[DatasetName, _Plan]:
    """Find the files of a dataset, and cache the answer for when the Hub cannot be reached."""
    path = Path(name.dataset)
    if not access.ReadPolicy().allows(path.absolute()) and path.exists():
        raise NotOnHubError(f"There is no dataset {name.dataset} to be read here.")
    if path.exists():  # `datasets` would read it instead
        raise DataError(f"{name.dataset} is on this machine; give it without {PREFIX}")
    repository = hub.inspect_repository(name.dataset, "dataset")
    cache_key = f"plan {':'.join(filter(None, (name.config, name.split, name.config_or_split)))}".replace("/", "_")
    if repository.offline:
        cached = repository.load_cached(cache_key)
        if cached is None:
            raise HubError(
                f"{PREFIX}{name.dataset} has not been downloaded in this form, and the Hugging Face Hub cannot be "
                "reached; check the network and try again."
            )
        return _plan_from_cache(cached)
    resolved, plan = _plan_from_hub(name, repository)
    repository.save_cached(cache_key, _plan_to_cache(resolved, plan))
    return resolved, plan


def _plan_from_hub(name: DatasetName, repository: hub.Repository) -> tuple[DatasetName, _Plan]:
    import datasets
    import yaml
    from huggingface_hub import errors

    token = credentials.current_token()
    access_options = datasets.DownloadConfig(token=token)
    default_config = functools.partial(datasets.get_dataset_default_config_name, download_config=access_options)
    try:
        configs = tuple(datasets.get_dataset_config_names(name.dataset, download_config=access_options))
        resolved = name.resolve(configs)
        config = _choose_config(resolved, configs, default_config(name.dataset))
        if config is None:
            return resolved, _Plan(repository, configs, None, "", {})
        builder = datasets.load_dataset_builder(name.dataset, config, token=token)
    except (ConnectionError, errors.HTTPError) as error:  # type: ignore[attr-defined]  # of the client's HTTP library
        with translate_errors(name.dataset, "dataset"):
            raise error
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, yaml.YAMLError) as error:
        if "scripts are no longer supported" in str(error):
            return _plan_from_conversion(name)
        raise DataError(
            f"The dataset {name.dataset} cannot be read as a dataset ({first_line(error).rstrip('.')}); "
            "fetch its files and give their folder."
        ) from error
    if builder.config.data_files is None:  # a loading script that an old release of `datasets` cached
        return _plan_from_conversion(name)
    splits = {
        str(split): [_path_in_repository(file, repository) for file in files]
        for split, files in builder.config.data_files.items()
    }
    return resolved, _Plan(repository, configs, config, builder.name, splits)


def check_card(card: str, dataset: str) -> None:
    """Raise DataError if the README.md of a dataset names files outside its repository.

    `datasets` would look for them on this machine, and answer whether they exist.
    """
    import yaml

    header = re.match(r"\s*---\s*\n(.*?)\n---\s*(\n|$)", card, re.DOTALL)
    try:
        content = yaml.safe_load(header[1]) if header else None
    except (yaml.YAMLError, RecursionError):  # `datasets` does not read it either
        return
    configs = content.get("configs") if isinstance(content, dict) else None
    named = [config for config in configs if isinstance(config, dict)] if isinstance(configs, list) else []
    for config in named:
        for path in _texts([config.get("data_files"), config.get("data_dir")]):
            if path.startswith(("/", "~", "\\")) or ":" in path or ".." in path.replace("\\", "/").split("/"):
                raise DataError(
                    f"The dataset {dataset} refers to {path!r:.80}, outside its repository; download it and give its "
                    "folder."
                )


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _plan_from_conversion(name: DatasetName) -> tuple[DatasetName, _Plan]:
    """Make a plan from the parquet files of the Hub's conversion, CONFIG/SPLIT/0000.parquet."""
    try:
        repository = hub.inspect_repository(name.dataset, "dataset", CONVERTED_BRANCH)
    except NotOnHubError as error:
        raise DataError(
            f"The dataset {name.dataset} is defined by a loading script, which asrkit does not run, and the Hub has "
            "no Parquet conversion of it; download its audio from its source, and give the folder."
        ) from error
    paths = sorted(path for path in repository.sizes if path.endswith(".parquet") and path.count("/") == 2)
    configs = tuple(sorted({path.split("/")[0] for path in paths}))
    if not configs:
        raise DataError(
            f"The dataset {name.dataset} is defined by a loading script, which asrkit does not run, and the "
            "Hub's Parquet conversion of it holds no files."
        )
    resolved = name.resolve(configs)
    config = _choose_config(resolved, configs, configs[0] if len(configs) == 1 else None)
    splits: dict[str, list[str]] = {}
    partial_splits = set()
    for path in paths:
        folder, split, _ = path.split("/")
        if folder == config:
            splits.setdefault(split.removeprefix(PARTIAL_PREFIX), []).append(path)
            if split.startswith(PARTIAL_PREFIX):
                partial_splits.add(split.removeprefix(PARTIAL_PREFIX))
    return resolved, _Plan(repository, configs, config, "parquet", splits, tuple(partial_splits))


def _plan_to_cache(name: DatasetName, plan: _Plan) -> dict[str, Any]:
    return {
        "name": {"dataset": name.dataset, "config": name.config, "split": name.split},
        "plan": {
            "repository": {
                "name": plan.repository.name,
                "kind": plan.repository.kind,
                "commit": plan.repository.commit,
                "sizes": dict(plan.repository.sizes),
            },
            "configs": plan.configs,
            "config": plan.config,
            "builder": plan.builder,
            "splits": plan.splits,
            "in_part": plan.partial_splits,
        },
    }


def _plan_from_cache(cached: dict[str, Any]) -> tuple[DatasetName, _Plan]:
    name, plan = cached["name"], cached["plan"]
    state = plan["repository"]
    return DatasetName(name["dataset"], name["config"], name["split"]), _Plan(
        hub.Repository(state["name"], state["kind"], state["commit"], state["sizes"], offline=True),
        tuple(plan["configs"]),
        plan["config"],
        plan["builder"],
        plan["splits"],
        tuple(plan["in_part"]),
    )


def _choose_config(name: DatasetName, configs: tuple[str, ...], default: str | None) -> str | None:
    """Return the named configuration, else the default one. Raises DataError for a name that does not exist."""
    if name.config is None:
        return default
    if name.config not in configs:
        raise DataError(
            f"The dataset {name.dataset} has no configuration {name.config!r}; it has {', '.join(configs) or 'none'}."
        )
    return name.config


def _choose_splits(plan: _Plan, name: DatasetName) -> dict[str, list[str]]:
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


def _path_in_repository(file: str, repository: hub.Repository) -> str:
    """Return the path in the repository of a file as `datasets` names it."""
    prefix = f"hf://datasets/{repository.name}@"
    if not file.startswith(prefix):
        raise DataError(
            f"The dataset {repository.name} refers to {file}, outside its repository; download it and give its folder."
        )
    return file.removeprefix(prefix).partition("/")[2]


def _common_folder(splits: Mapping[str, list[str]]) -> str:
    """Return the folder in the repository that contains all these files; "" for the repository itself."""
    return os.path.commonpath([os.path.dirname(path) for paths in splits.values() for path in paths])


def _paths_to_fetch(plan: _Plan, splits: Mapping[str, list[str]]) -> list[str]:
    """Return the files of these splits and, unless they contain their audio, all files beside them."""
    files = [path for paths in splits.values() for path in paths]
    if plan.builder in SHARD_BUILDERS or not files:
        return files
    common = _common_folder(plan.splits)
    return [path for path in plan.repository.sizes if path.startswith(f"{common}/" if common else "")]
