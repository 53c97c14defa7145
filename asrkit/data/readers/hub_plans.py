"""Which files of a repository on the Hub belong to which configuration and split of a dataset.

`datasets` decides that, and is used for nothing else: it cannot put audio into its own tables without torchcodec, and
would store all of it a second time. It no longer runs loading scripts; a dataset that has one is read from the parquet
files that the Hub converted it to.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asrkit import hub
from asrkit.data import access
from asrkit.data.readers.hub_cards import check_cards
from asrkit.data.readers.hub_names import PREFIX, DatasetName
from asrkit.errors import DataError, HubError, NotOnHubError, first_line
from asrkit.hub import credentials
from asrkit.hub.errors import translate_errors

CONVERTED_BRANCH = "refs/convert/parquet"
"""The branch with the parquet files that the Hub converted a dataset to."""
PARTIAL_PREFIX = "partial-"
"""Begins the name of a split that is too big for the conversion, of which the Hub keeps the first 5 GB."""
SHARD_BUILDERS = ("parquet", "webdataset")
"""Builders of `datasets` whose files contain their audio; the others need all files beside them."""
TABLE_BUILDERS = ("csv", "json")
"""Builders whose files are tables alone, with the audio somewhere beside them."""


@dataclass(frozen=True)
class Plan:
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


def make_plan(name: DatasetName) -> tuple[DatasetName, Plan]:
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


def _plan_from_hub(name: DatasetName, repository: hub.Repository) -> tuple[DatasetName, Plan]:
    import datasets
    import yaml
    from huggingface_hub import errors

    check_cards(repository)
    token, revision = credentials.current_token(), repository.commit  # `datasets` reads what was checked
    access_options = datasets.DownloadConfig(token=token)
    default_config = functools.partial(
        datasets.get_dataset_default_config_name, revision=revision, download_config=access_options
    )
    try:
        configs = tuple(datasets.get_dataset_config_names(name.dataset, revision, download_config=access_options))
        resolved = name.resolve(configs)
        config = _choose_config(resolved, configs, default_config(name.dataset))
        if config is None:
            return resolved, Plan(repository, configs, None, "", {})
        builder = datasets.load_dataset_builder(name.dataset, config, revision=revision, token=token)
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
    return resolved, Plan(repository, configs, config, builder.name, splits)


def _plan_from_conversion(name: DatasetName) -> tuple[DatasetName, Plan]:
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
    return resolved, Plan(repository, configs, config, "parquet", splits, tuple(partial_splits))


def _plan_to_cache(name: DatasetName, plan: Plan) -> dict[str, Any]:
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


def _plan_from_cache(cached: dict[str, Any]) -> tuple[DatasetName, Plan]:
    name, plan = cached["name"], cached["plan"]
    state = plan["repository"]
    return DatasetName(name["dataset"], name["config"], name["split"]), Plan(
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


def _path_in_repository(file: str, repository: hub.Repository) -> str:
    """Return the path in the repository of a file as `datasets` names it."""
    prefix = f"hf://datasets/{repository.name}@"
    if not file.startswith(prefix):
        raise DataError(
            f"The dataset {repository.name} refers to {file}, outside its repository; download it and give its folder."
        )
    return file.removeprefix(prefix).partition("/")[2]
