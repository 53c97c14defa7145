"""Hugging Face `datasets`, from a save_to_disk directory or the Hub -> utterances.

Audio is never decoded by `datasets`, which would need torchcodec and a matching FFmpeg: columns are cast to
`Audio(decode=False)`, and bytes without a file are written to one (`embedded`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.errors import DataError, first_line
from asrkit.speech import embedded, tables
from asrkit.speech.manifest import Utterance

if TYPE_CHECKING:
    import datasets

PREFIX = "hub:"
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?)(?::(?P<rest>\S+))?")
_EVAL_SPLITS = {"validation", "valid", "val", "dev", "test", "eval", "evaluation"}
_TRAIN_SPLITS = {"train", "training"}


def side(split: str) -> str | None:
    """"train" or "eval" for a split's name, None for others; its first word decides (train.clean.100, test-other)."""
    word = re.split("[^a-z]", split.strip().lower(), maxsplit=1)[0]
    return "train" if word in _TRAIN_SPLITS else "eval" if word in _EVAL_SPLITS else None


def cache_dirs() -> list[Path]:
    """Where `datasets` and the Hub's client keep what they fetched."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return [home, *(Path(os.environ[name]) for name in ("HF_DATASETS_CACHE", "HF_HUB_CACHE") if os.environ.get(name))]


def is_saved(folder: Path) -> bool:
    """Whether `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def load_saved(folder: Path, hub_dir: Path | None, wanted: tables.Wanted) -> tables.Table:
    """Raises DataError for a damaged directory and as `_utterances` does."""
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:  # what its JSON files lack is told by KeyErrors
        raise DataError(f"{folder} cannot be read as a saved dataset ({first_line(error)}); save it to disk again."
                        ) from error
    return _utterances(_by_split(loaded, None, folder.name), folder.name, hub_dir, wanted)


def load_hub(data: str, hub_dir: Path | None, wanted: tables.Wanted) -> tables.Table:
    """`hub:owner/name[:config][:split]`; one part alone is taken for a split if it begins like one (train, test ...).

    Raises DataError for a dataset that is not found or not reachable, and as `_utterances` does.
    """
    parsed = _NAME.fullmatch(data.removeprefix(PREFIX))
    if parsed is None:
        raise DataError(f"{data!r} names no dataset; write hub:owner/name[:config][:split].")
    if Path(parsed["name"]).exists():  # `datasets` would take it for that
        raise DataError(f"{parsed['name']} is on this machine; give it without {PREFIX}")
    rest = parsed["rest"] or ""
    config, _, split = ("", "", rest) if side(rest) else rest.partition(":")
    import datasets

    try:
        loaded = datasets.load_dataset(parsed["name"], config or None, split=split or None)
    except (OSError, ValueError, RuntimeError) as error:
        lines = str(error).strip().split("\n")
        # The second line of this one says which configurations there are.
        reason = " ".join(lines[: 2 if lines[0].startswith("Config name is missing") else 1]).rstrip(".")
        raise DataError(
            f"{data} cannot be loaded from the Hugging Face Hub ({reason}); check the name, configuration and split, "
            "the network, and that you are logged in if it is gated."
        ) from error
    return _utterances(_by_split(loaded, split or None, data), data, hub_dir, wanted)


def _by_split(loaded: datasets.Dataset | datasets.DatasetDict, split: str | None, name: str) -> dict[str | None, Any]:
    """-> split name -> Dataset; "" for a split that was asked for, which is then all there is; None for a lone Dataset,
    whose rows may say their split."""
    if not isinstance(loaded, Mapping):
        return {"" if split else None: loaded}
    known = {part: dataset for part, dataset in loaded.items() if side(part)}
    if not known:
        raise DataError(
            f"{name} has no split that is named like train, validation or test, only {', '.join(loaded) or 'none'}; "
            "name the split to use as hub:owner/name:config:split."
        )
    return known


def _utterances(
    splits: Mapping[str | None, datasets.Dataset], name: str, hub_dir: Path | None, wanted: tables.Wanted
) -> tables.Table:
    """Raises DataError for missing columns, audio that is neither bytes nor a file, or no rows at all."""
    utterances: list[Utterance] = []
    clips = embedded.Clips(hub_dir)
    for split, dataset in splits.items():
        columns, found = _rows(dataset, split, f"{name} {split}" if split else name, clips, wanted)
        utterances += found
    if not utterances:
        raise DataError(f"{name} has no rows; choose another split or dataset.")
    return tables.Table(utterances, tuple(dataset.column_names), columns)


def _rows(
    dataset: datasets.Dataset, split: str | None, where: str, clips: embedded.Clips, wanted: tables.Wanted
) -> tuple[tables.Columns, list[Utterance]]:
    """Rows are numbered as the dataset does, from 0."""
    import datasets

    heard = [column for column, feature in dataset.features.items() if isinstance(feature, datasets.Audio)]
    wanted = replace(wanted, audio=wanted.audio or (heard[0] if heard else None))
    columns = tables.choose_columns(dataset.column_names, where, wanted)
    if columns.audio in heard:
        dataset = dataset.cast_column(columns.audio, datasets.Audio(decode=False))
    found = []
    for number, row in enumerate(dataset.select_columns(columns.used)):
        place = f"{where} row {number}"
        utterance = tables.utterance(row, columns, place, clips.file_of(row[columns.audio], place, columns.audio))
        found.append(utterance if split is None else replace(utterance, split=split or None))
    return columns, found
