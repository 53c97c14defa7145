"""hub:owner/name[:config][:split] -> the files on this disk that hold its clips, by split.

`datasets` knows which files belong to which configuration and split, and nothing more is asked of it: it cannot put
audio into its own tables without torchcodec, and would keep all of it a second time. A dataset with a loading script,
which it does not run any more, is taken from the parquet files that the Hub made of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from asrkit import hub
from asrkit.data import access
from asrkit.errors import DataError, HubError, NotOnHubError, first_line
from asrkit.hub.errors import translate_errors
from asrkit.jobs import ProgressCallback

PREFIX = "hub:"
CONVERTED = "refs/convert/parquet"
"""The branch on which the Hub keeps what it made of a dataset."""
IN_PART = "partial-"
"""Begins the name of a split that is too big for that, of which it keeps the first 5 GB."""
SHARDS = ("parquet", "webdataset")
"""What `datasets` calls files that hold their audio themselves; of others, all that lies beside them is needed."""
LISTS = ("csv", "json")
"""What it calls tables alone, the audio of which lies somewhere beside them."""
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?)(?::(?P<rest>\S+))?")
_PARTS = re.compile(r":(?![^\[]*\])")
"""What parts configuration and split, and not the ends of train[10:20]."""
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
    """The parts of hub:owner/name[:config][:split]; split as `datasets` has it, such as train[:10%]. either: one part
    alone, of which only the dataset tells what it is."""

    dataset: str
    config: str | None = None
    split: str | None = None
    either: str | None = None

    @classmethod
    def of(cls, data: str) -> Name:
        """Raises DataError for what is no such name."""
        parsed = _NAME.fullmatch(data.strip().removeprefix(PREFIX))
        parts = _PARTS.split(parsed["rest"]) if parsed and parsed["rest"] else []
        if parsed is None or len(parts) > 2 or not all(parts):
            raise DataError(f"{data!r} names no dataset; write hub:owner/name[:config][:split].")
        if len(parts) == 1:
            return cls(parsed["name"], either=parts[0])
        return cls(parsed["name"], *parts)

    def settled(self, configs: Sequence[str]) -> Name:
        """The same for a dataset that has these configurations: one part alone is a configuration if there is one of
        that name, else a split if it looks like one."""
        if self.either is None:
            return self
        if self.either in configs or not (side(self.either) or "[" in self.either):
            return Name(self.dataset, config=self.either)
        return Name(self.dataset, split=self.either)


@dataclass(frozen=True)
class Offer:
    """What there is to choose from. config: the one that was named, or the usual one, or None: then splits is empty.

    splits: name -> bytes to fetch. split: what was named.
    """

    configs: tuple[str, ...]
    config: str | None
    splits: Mapping[str, int]
    split: str | None


@dataclass(frozen=True)
class Fetched:
    """folder: to be recognised as any other, or None: then each file is to be read. splits: the files of each split.

    wanted: the split that was asked for. in_part: what the Hub has only a part of, in words.
    """

    folder: Path | None
    splits: Mapping[str, list[Path]]
    wanted: str | None = None
    in_part: str = ""


def offer(data: str) -> Offer:
    """Raises HubError and DataError as `fetch` does, but not where a configuration or split is still to be chosen."""
    name, plan = _plan(Name.of(data))
    sizes = plan.repository.sizes
    return Offer(
        plan.configs,
        plan.config,
        {
            split: sum(sizes.get(path, 0) for path in _needed(plan, {split: paths}))
            for split, paths in plan.splits.items()
        },
        name.split,
    )


def fetch(data: str, on_progress: ProgressCallback | None = None) -> Fetched:
    """Bring the clips of `data` onto this disk; on_progress: how far that is.

    Raises HubError for a dataset that cannot be had, DataError for what names none, for a configuration that is still
    to be chosen and for a split that is not there.
    """
    name, plan = _plan(Name.of(data))
    if plan.config is None:
        raise DataError(
            f"The dataset {name.dataset} has {len(plan.configs)} configurations; choose one of "
            f"{', '.join(plan.configs)}, as in {PREFIX}{name.dataset}:{plan.configs[0]}."
        )
    splits = _chosen(plan, name) if plan.by_file else plan.splits
    needed = _needed(plan, splits)
    if not needed:
        raise DataError(f"{data} holds no files.")
    folder = hub.fetch(plan.repository, needed, on_progress)
    files = {split: [folder / path for path in paths] for split, paths in splits.items()}
    in_part = ", ".join(split for split in splits if split in plan.in_part)
    return Fetched(
        None if plan.by_file else folder / _common(splits),
        files,
        name.split,
        f"; of {in_part} the Hub has only a part" if in_part else "",
    )


def names_of(split: str) -> list[str]:
    """The splits of which `split`, such as train[:10%]+test, takes something."""
    return [re.split(r"[\[(]", part)[0] for part in split.split("+")]


def cut(split: str, rows: Mapping[str, Sequence[_Row]]) -> list[_Row]:
    """What `split`, such as train[:10%]+test, takes of the rows of each split. Raises DataError if that is nothing."""
    import datasets

    try:
        parts = datasets.ReadInstruction.from_spec(split).to_absolute({name: len(part) for name, part in rows.items()})
    except (ValueError, AssertionError) as error:
        raise DataError(
            f"The split {split!r} cannot be taken ({first_line(error).rstrip('.')}); there are "
            f"{', '.join(rows)}, and parts as in train[:10%]."
        ) from error
    return [row for part in parts for row in rows[part.splitname][part.from_ : part.to]]


@dataclass(frozen=True)
class _Plan:
    """Which files of which state of a repository make up each split of the configuration; builder: their kind."""

    repository: hub.Repository
    configs: tuple[str, ...]
    config: str | None
    builder: str
    splits: Mapping[str, list[str]]
    in_part: tuple[str, ...] = ()

    @property
    def by_file(self) -> bool:
        """Whether each file is read for itself, and not the folder as a whole."""
        return self.builder in SHARDS + LISTS


def _plan(name: Name) -> tuple[Name, _Plan]:
    """config is None, and splits empty, where one is to be chosen. What was found out is remembered for when the Hub
    cannot be reached."""
    path = Path(name.dataset)
    if not access.Gate().opens(path.absolute()) and path.exists():
        raise NotOnHubError(f"There is no dataset {name.dataset} to be read here.")
    if path.exists():  # `datasets` would take it for that
        raise DataError(f"{name.dataset} is on this machine; give it without {PREFIX}")
    repository = hub.inspect_repository(name.dataset, "dataset")
    about = f"plan {':'.join(filter(None, (name.config, name.split, name.either)))}".replace("/", "_")
    if repository.remembered:
        kept = repository.recall(about)
        if kept is None:
            raise HubError(
                f"{PREFIX}{name.dataset} was never fetched so, and the Hugging Face Hub cannot be reached; "
                "check the network and try again."
            )
        state = hub.Repository(**kept["plan"].pop("repository") | {"remembered": True})
        return Name(**kept["name"]), _Plan(state, **kept["plan"])
    settled, plan = _found(name, repository)
    repository.remember(about, {"name": asdict(settled), "plan": asdict(plan)})
    return settled, plan


def _found(name: Name, repository: hub.Repository) -> tuple[Name, _Plan]:
    import datasets
    import yaml
    from huggingface_hub import errors

    try:
        configs = tuple(datasets.get_dataset_config_names(name.dataset))
        settled = name.settled(configs)
        config = _config(settled, configs, datasets.get_dataset_default_config_name(name.dataset))
        if config is None:
            return settled, _Plan(repository, configs, None, "", {})
        builder = datasets.load_dataset_builder(name.dataset, config)
    except (ConnectionError, errors.HTTPError) as error:
        with translate_errors(name.dataset, "dataset"):
            raise error
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, yaml.YAMLError) as error:
        if "scripts are no longer supported" in str(error):
            return _converted(name)
        raise DataError(
            f"The dataset {name.dataset} is in no form that can be read ({first_line(error).rstrip('.')}); "
            "fetch its files and give their folder."
        ) from error
    if builder.config.data_files is None:  # the code of a script that an old release of `datasets` kept
        return _converted(name)
    splits = {
        str(split): [_inside(file, repository) for file in files] for split, files in builder.config.data_files.items()
    }
    return settled, _Plan(repository, configs, config, builder.name, splits)


def _converted(name: Name) -> tuple[Name, _Plan]:
    """From CONFIG/SPLIT/0000.parquet."""
    try:
        repository = hub.inspect_repository(name.dataset, "dataset", CONVERTED)
    except NotOnHubError as error:
        raise DataError(
            f"The dataset {name.dataset} is made by a script, which is not run here, and the Hub has made "
            "no parquet files of it; fetch its audio from where it comes from, and give the folder."
        ) from error
    paths = sorted(path for path in repository.sizes if path.endswith(".parquet") and path.count("/") == 2)
    configs = tuple(sorted({path.split("/")[0] for path in paths}))
    if not configs:
        raise DataError(
            f"The dataset {name.dataset} is made by a script, which is not run here, and what the Hub made "
            "of it holds no parquet files."
        )
    settled = name.settled(configs)
    config = _config(settled, configs, configs[0] if len(configs) == 1 else None)
    splits: dict[str, list[str]] = {}
    in_part = set()
    for path in paths:
        folder, split, _ = path.split("/")
        if folder == config:
            splits.setdefault(split.removeprefix(IN_PART), []).append(path)
            if split.startswith(IN_PART):
                in_part.add(split.removeprefix(IN_PART))
    return settled, _Plan(repository, configs, config, "parquet", splits, tuple(in_part))


def _config(name: Name, configs: tuple[str, ...], usual: str | None) -> str | None:
    """The one that was named, else the usual one; None where one is to be chosen. DataError if there is no such one."""
    if name.config is None:
        return usual
    if name.config not in configs:
        raise DataError(
            f"The dataset {name.dataset} has no configuration {name.config!r}; it has {', '.join(configs) or 'none'}."
        )
    return name.config


def _inside(file: str, repository: hub.Repository) -> str:
    """The path in the repository of a file as `datasets` names it."""
    prefix = f"hf://datasets/{repository.name}@"
    if not file.startswith(prefix):
        raise DataError(f"The dataset {repository.name} takes {file} from elsewhere; fetch it and give its folder.")
    return file.removeprefix(prefix).partition("/")[2]


def _common(splits: Mapping[str, list[str]]) -> str:
    """The folder in the repository that holds all of these files; "" for the repository itself."""
    return os.path.commonpath([os.path.dirname(path) for paths in splits.values() for path in paths])


def _needed(plan: _Plan, splits: Mapping[str, list[str]]) -> list[str]:
    """The files to fetch for these splits: of a list or a folder, all that lies beside it."""
    files = [path for paths in splits.values() for path in paths]
    if plan.builder in SHARDS or not files:
        return files
    common = _common(plan.splits)
    return [path for path in plan.repository.sizes if path.startswith(f"{common}/" if common else "")]


def _chosen(plan: _Plan, name: Name) -> dict[str, list[str]]:
    """The splits that are asked for; those to train, evaluate and test on if none is."""
    if name.split:
        wanted = names_of(name.split)
        unknown = [part for part in wanted if part not in plan.splits]
        if unknown:
            raise DataError(f"The dataset {name.dataset} has no split {unknown[0]!r}; it has {', '.join(plan.splits)}.")
    else:
        wanted = [split for split in plan.splits if side(split)]
        if not wanted:
            raise DataError(
                f"The dataset {name.dataset} has no split that is named like train, validation or test, "
                f"only {', '.join(plan.splits) or 'none'}; name the one to use, as in "
                f"{PREFIX}{name.dataset}:{plan.config}:{next(iter(plan.splits), 'SPLIT')}."
            )
    return {split: files for split, files in plan.splits.items() if split in wanted}
