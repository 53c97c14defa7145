"""The configurations and splits of a Hub dataset, for the lists of the Data tab."""

from __future__ import annotations

from asrkit.data.readers import hub_datasets
from asrkit.data.readers.hub_names import PREFIX, DatasetName
from asrkit.data.split_names import split_role
from asrkit.ui import strings
from asrkit.ui.common.component import Reply
from asrkit.units import format_size


def list_choices(data: str) -> Reply:
    """List the configurations and splits of a Hub dataset as (name to load, label), and which of them to select.

    No split is selected while a configuration is still to be chosen. Raises HubError or DataError if the dataset
    cannot be listed.
    """
    name, choices = DatasetName.parse(data), hub_datasets.list_choices(data)
    dataset = f"{PREFIX}{name.dataset}"
    config = dataset if len(choices.configs) == 1 else f"{dataset}:{choices.config}"
    splits: list[tuple[str, str]] = []
    if usual := [split for split in choices.splits if split_role(split)]:
        splits.append((config, _label_split(_join(usual), sum(choices.splits[split] for split in usual))))
    splits += [
        (f"{dataset}:{choices.config}:{split}", _label_split(split, size_bytes))
        for split, size_bytes in choices.splits.items()
    ]
    selected = f"{dataset}:{choices.config}:{choices.split}" if choices.split else splits[0][0] if splits else ""
    if choices.split and selected not in dict(splits):
        splits.append((selected, choices.split))
    return {
        "name": name.dataset,
        "configs": [(f"{dataset}:{config}", config) for config in choices.configs],
        "config": f"{dataset}:{choices.config}" if choices.config else "",
        "splits": splits,
        "split": selected,
    }


def _join(names: list[str]) -> str:
    *first, last = names
    return strings.text("data.names_joined", first=", ".join(first), last=last) if first else last


def _label_split(name: str, size_bytes: int) -> str:
    return strings.text("data.split_with_size", name=name, size=format_size(size_bytes))
