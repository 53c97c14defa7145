"""Hugging Face `datasets`, from a save_to_disk directory or the Hub -> utterances.

Audio is never decoded by `datasets`, which would need torchcodec and a matching FFmpeg: columns are cast to
`Audio(decode=False)`, and bytes without a file are written to one.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.errors import DataError
from asrkit.speech import tables
from asrkit.speech.manifest import Utterance

if TYPE_CHECKING:
    import datasets

PREFIX = "hub:"
_NAME = re.compile(r"(?P<name>[^:\s]+)(?::(?P<rest>\S+))?")
_EVAL_SPLITS = {"validation", "valid", "val", "dev", "test", "eval", "evaluation"}
_TRAIN_SPLITS = {"train", "training"}
_MAGIC = ((b"RIFF", ".wav"), (b"fLaC", ".flac"), (b"OggS", ".ogg"), (b"ID3", ".mp3"), (b"\xff", ".mp3"))


def side(split: str) -> str | None:
    """"train" or "eval" for a split's name, None for others; its first word decides (train.clean.100, test-other)."""
    word = re.split("[^a-z]", split.strip().lower(), maxsplit=1)[0]
    return "train" if word in _TRAIN_SPLITS else "eval" if word in _EVAL_SPLITS else None


def is_saved(folder: Path) -> bool:
    """Whether `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def load_saved(folder: Path, hub_dir: Path | None, **columns: str | None) -> list[Utterance]:
    """Raises DataError for a damaged directory and as `_utterances` does."""
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be read as a saved dataset ({error}); save it to disk again.") from error
    return _utterances(_by_split(loaded, None, folder.name), folder.name, hub_dir, **columns)


def load_hub(data: str, hub_dir: Path | None, **columns: str | None) -> list[Utterance]:
    """`hub:owner/name[:config][:split]`; one part alone is taken for a split if it begins like one (train, test ...).

    Raises DataError for a dataset that is not found or not reachable, and as `_utterances` does.
    """
    parsed = _NAME.fullmatch(data.removeprefix(PREFIX))
    if parsed is None:
        raise DataError(f"{data!r} names no dataset; write hub:owner/name[:config][:split].")
    rest = parsed["rest"] or ""
    config, _, split = ("", "", rest) if side(rest) else rest.partition(":")
    import datasets

    try:
        loaded = datasets.load_dataset(parsed["name"], config or None, split=split or None)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise DataError(
            f"{data} cannot be loaded from the Hugging Face Hub ({reason}); check the name, configuration and split, "
            "the network, and that you are logged in if it is gated."
        ) from error
    return _utterances(_by_split(loaded, split or None, data), data, hub_dir, **columns)


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
    splits: Mapping[str | None, datasets.Dataset], name: str, hub_dir: Path | None, **chosen: str | None
) -> list[Utterance]:
    """Raises DataError for missing columns, audio that is neither bytes nor a file, or no rows at all."""
    found: list[Utterance] = []
    for split, dataset in splits.items():
        where = f"{name} {split}" if split else name
        found += _rows(dataset, split, where, (hub_dir or _default_dir()).absolute(), **chosen)
    if not found:
        raise DataError(f"{name} has no rows; choose another split or dataset.")
    return found


def _rows(
    dataset: datasets.Dataset, split: str | None, where: str, hub_dir: Path, **chosen: str | None
) -> list[Utterance]:
    """Rows are numbered as the dataset does, from 0."""
    import datasets

    clips = [column for column, feature in dataset.features.items() if isinstance(feature, datasets.Audio)]
    chosen = {**chosen, "audio_column": chosen.get("audio_column") or (clips[0] if clips else None)}
    columns = tables.choose_columns(dataset.column_names, where, **chosen)
    if columns.audio in clips:
        dataset = dataset.cast_column(columns.audio, datasets.Audio(decode=False))
    found = []
    for number, row in enumerate(dataset.select_columns(columns.used)):
        place = f"{where} row {number}"
        file = _file_of(row[columns.audio], place, columns.audio, hub_dir)
        utterance = tables.utterance(row, columns, place, file)
        found.append(utterance if split is None else replace(utterance, split=split or None))
    return found


def _file_of(value: Any, where: str, column: str, hub_dir: Path) -> str:
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, Mapping) else (None, value)
    if content:
        return str(_write_once(content, Path(path or "").suffix, hub_dir))
    if isinstance(path, str) and Path(path).is_file():
        return str(Path(path).absolute())
    raise DataError(
        f"{where}: {column} holds neither the bytes of a recording nor the path of a file that exists "
        f"({str(path)[:60]!r}); choose the audio column with audio_column, or save the dataset with its audio."
    )


def _write_once(content: bytes, suffix: str, folder: Path) -> Path:
    """Named by its content, so that a second call finds it, and written whole or not at all."""
    suffix = suffix or next((ending for magic, ending in _MAGIC if content.startswith(magic)), ".audio")
    path = folder / f"{hashlib.sha1(content, usedforsecurity=False).hexdigest()[:20]}{suffix}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_bytes(content)
        os.replace(partial, path)
    return path


def _default_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asrkit" / "clips"
