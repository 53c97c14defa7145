"""The README.md and .huggingface.yaml of a dataset on the Hub, in which `datasets` finds the files of its splits.

`datasets` looks for an absolute path on this machine, and its answer shows whether the file exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asrkit import hub
from asrkit.errors import DataError
from asrkit.units import format_binary_size

README, YAML_FILE = "README.md", ".huggingface.yaml"
MAX_CARD_BYTES = 4 << 20


def check_cards(repository: hub.Repository) -> None:
    """Raise DataError if a card is too large or names files outside its repository, HubError if it cannot be read."""
    import yaml
    from huggingface_hub import DatasetCard

    for path in (README, YAML_FILE):
        size = repository.sizes.get(path)
        if size is None:
            continue
        if size > MAX_CARD_BYTES:
            raise DataError(
                f"The dataset {repository.name} has a {path} of {format_binary_size(size)}; download its audio and "
                "transcripts, and give their folder."
            )
        text = hub.read_text(repository, path)
        try:
            content = DatasetCard(text).data.to_dict() if path == README else yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            raise DataError(
                f"The dataset {repository.name} cannot be read, because the settings in its {path} are not valid YAML; "
                "download its files and give their folder."
            ) from error
        check_configs(content, repository.name)


def check_configs(content: Any, dataset: str) -> None:
    """Raise DataError if a configuration of a dataset's card, which may be anything, names files outside it."""
    configs = content.get("configs") if isinstance(content, dict) else None
    for config in configs if isinstance(configs, list) else []:
        if not isinstance(config, dict):
            continue
        for path in _iter_texts([config.get("data_files"), config.get("data_dir")], set()):
            if path.startswith(("/", "~", "\\")) or ":" in path or ".." in path.replace("\\", "/").split("/"):
                raise DataError(
                    f"The dataset {dataset} refers to {path!r:.80}, outside its repository; download it and give its "
                    "folder."
                )


def _iter_texts(value: Any, visited: set[int]) -> Iterator[str]:
    """Yield all texts in lists and mappings, each of which is visited once: YAML may repeat one a billion times."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict) and id(value) not in visited:
        visited.add(id(value))
        for one in value.values() if isinstance(value, dict) else value:
            yield from _iter_texts(one, visited)
