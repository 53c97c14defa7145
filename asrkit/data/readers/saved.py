"""Directories written by `Dataset.save_to_disk` or `DatasetDict.save_to_disk` -> utterances.

`datasets` never decodes audio, which would need torchcodec and a matching FFmpeg: columns are cast to
`Audio(decode=False)`, and bytes without a file are written to one (`embedded`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.data import access, embedded, limits
from asrkit.data.manifest import Utterance
from asrkit.data.readers import arrow_stream, tables
from asrkit.data.readers.columns import ColumnChoice, Columns, choose_columns, note_columns
from asrkit.data.readers.rows import extract_audio, make_utterances
from asrkit.data.split_names import split_role
from asrkit.errors import DataError, first_line

if TYPE_CHECKING:
    import datasets

MAX_JSON_BYTES = 16 << 20


def is_saved(folder: Path) -> bool:
    """Return whether `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def load(folder: Path, clips_dir: Path | None, choice: ColumnChoice) -> tables.Table:
    """Read a saved dataset. Raises DataError for a damaged directory, missing columns, and a dataset without rows."""
    import datasets

    check_files(folder)
    try:
        loaded = datasets.load_from_disk(str(folder)).with_format(None)
    except IndexError as error:  # raised by `datasets` for a dataset without rows
        raise DataError(f"{folder} has no rows; save a dataset that has some.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:  # KeyError: a key missing in its JSON files
        raise _damaged_error(folder, first_line(error)) from error
    return _read_splits(_splits_with_roles(loaded, folder.name), folder, clips_dir, choice)


def check_files(folder: Path) -> None:
    """Raise DataError unless all files that a saved dataset names are its own, and together hold no flood of rows.

    Its JSON files name the Arrow files, which `datasets` would open wherever they are. Nothing but a name is looked at
    before it is known to lead into the folder, so that the answer tells nothing about other files.
    """
    policy, num_rows = access.ReadPolicy(), 0
    splits = _read_json(folder / "dataset_dict.json", policy)
    names = [""] if splits is None else splits.get("splits")
    if not isinstance(names, list):
        raise _damaged_error(folder, "dataset_dict.json lists no splits")
    for split in names:
        part = folder if splits is None else _inside(folder, split, policy)
        state = _read_json(part / "state.json", policy)
        _read_json(part / "dataset_info.json", policy)
        files = state.get("_data_files") if state else None
        if not isinstance(files, list):
            raise _damaged_error(folder, "state.json lists no files")
        for entry in files:
            file = _inside(part, entry.get("filename") if isinstance(entry, dict) else None, policy)
            num_rows += arrow_stream.count_rows(file)
    limits.check_rows(num_rows, folder)


def _inside(folder: Path, name: object, policy: access.ReadPolicy) -> Path:
    """Return the path of a file that a dataset names. Raises DataError unless it is in the folder and may be read."""
    if not isinstance(name, str) or name != os.path.basename(name) or name in ("", ".", "..") or "\0" in name:
        raise _damaged_error(folder, f"it names {name!r:.80}, which is not in its folder")
    path = folder / name
    if not policy.allows(path) or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise _damaged_error(folder, f"it names {name!r:.80}, which is not in its folder")
    return path


def _read_json(file: Path, policy: access.ReadPolicy) -> dict[str, Any] | None:
    """Return the object in a JSON file, None where there is no such file."""
    try:
        with open(_inside(file.parent, file.name, policy), "rb") as opened:
            text = opened.read(MAX_JSON_BYTES + 1)
        content = json.loads(text.decode("utf-8")) if len(text) <= MAX_JSON_BYTES else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged_error(file.parent, f"{file.name}: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise _damaged_error(file.parent, f"{file.name} holds no settings")
    return content


def _damaged_error(folder: Path, reason: str) -> DataError:
    return DataError(f"{folder} cannot be read as a saved dataset ({reason}); save it to disk again.")


def _splits_with_roles(
    loaded: datasets.Dataset | datasets.DatasetDict, name: str
) -> Mapping[str | None, datasets.Dataset]:
    """Return split -> Dataset; the split of a lone Dataset, whose rows may name their own, is None."""
    if not isinstance(loaded, Mapping):
        return {None: loaded}
    known = {split: dataset for split, dataset in loaded.items() if split_role(split)}
    if not known:
        raise DataError(
            f"{name} has no split that is named like train, validation or test, only "
            f"{', '.join(loaded) or 'none'}; give the folder of the one to use."
        )
    return known


def _read_splits(
    splits: Mapping[str | None, datasets.Dataset], folder: Path, clips_dir: Path | None, choice: ColumnChoice
) -> tables.Table:
    """Read each split. Raises DataError for missing columns or no rows."""
    utterances: list[Utterance] = []
    clips = embedded.ClipExtractor(clips_dir)
    for split, dataset in splits.items():
        columns, rows = _read_rows(dataset, split, folder, clips, choice)
        utterances += rows
    if not utterances:
        raise DataError(f"{folder.name} has no rows; save one that has some.")
    names = tuple(dataset.column_names)
    return tables.Table(utterances, names, columns, notes=note_columns(names, columns))


def _read_rows(
    dataset: datasets.Dataset, split: str | None, folder: Path, clips: embedded.ClipExtractor, choice: ColumnChoice
) -> tuple[Columns, list[Utterance]]:
    """Read the rows of one split. They are numbered from 0, as in the dataset."""
    import datasets

    where = f"{folder.name} {split}" if split else folder.name
    audio_columns = [column for column, feature in dataset.features.items() if isinstance(feature, datasets.Audio)]
    choice = replace(choice, audio=choice.audio or (audio_columns[0] if audio_columns else None))
    names = dataset.column_names
    plain = [
        name
        for name, feature in dataset.features.items()
        if isinstance(feature, datasets.Value) and "binary" not in feature.dtype
    ]
    columns = choose_columns(
        names, where, choice, lambda name: _read_column(dataset, name, folder) if name in plain else ()
    )
    if columns.audio in audio_columns:
        dataset = dataset.cast_column(columns.audio, datasets.Audio(decode=False))
    rows = []
    budget = limits.CharacterBudget(folder)
    for number, values in enumerate(dataset.select_columns(list({*plain, *columns.names}))):
        budget.count([value for name, value in values.items() if name != columns.audio])
        rows.append(extract_audio(clips, f"{where} row {number}", values, columns, folder))
    utterances = make_utterances(rows, columns, names)
    return columns, utterances if split is None else [replace(row, split=split) for row in utterances]


def _read_column(dataset: datasets.Dataset, name: str, folder: Path) -> list[Any]:
    """Return the values of a column. Raises DataError for more text than a table may have."""
    values: list[Any] = []
    budget = limits.CharacterBudget(folder)
    for row in dataset.select_columns([name]):
        budget.count(row[name])
        values.append(row[name])
    return values
