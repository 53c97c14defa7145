"""What `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote -> utterances.

Audio is never decoded by `datasets`, which would need torchcodec and a matching FFmpeg: columns are cast to
`Audio(decode=False)`, and bytes without a file are written to one (`embedded`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrkit.data import embedded
from asrkit.data.manifest import Utterance
from asrkit.data.readers import tables
from asrkit.data.readers.hub import side
from asrkit.errors import DataError, first_line

if TYPE_CHECKING:
    import datasets


def is_saved(folder: Path) -> bool:
    """Whether `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def load(folder: Path, hub_dir: Path | None, wanted: tables.Wanted) -> tables.Table:
    """Raises DataError for a damaged directory and as `_utterances` does."""
    import datasets

    try:
        loaded = datasets.load_from_disk(str(folder))
    except IndexError as error:  # how `datasets` says that there is nothing
        raise DataError(f"{folder} has no rows; save a dataset that has some.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:  # what its JSON files lack is told by KeyErrors
        raise DataError(
            f"{folder} cannot be read as a saved dataset ({first_line(error)}); save it to disk again."
        ) from error
    return _utterances(_by_split(loaded, folder.name), folder.name, hub_dir, wanted)


def _by_split(loaded: datasets.Dataset | datasets.DatasetDict, name: str) -> dict[str | None, Any]:
    """-> split name -> Dataset; None for a lone Dataset, whose rows may say their split."""
    if not isinstance(loaded, Mapping):
        return {None: loaded}
    known = {part: dataset for part, dataset in loaded.items() if side(part)}
    if not known:
        raise DataError(
            f"{name} has no split that is named like train, validation or test, only "
            f"{', '.join(loaded) or 'none'}; give the folder of the one to use."
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
        raise DataError(f"{name} has no rows; save one that has some.")
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
        found.append(utterance if split is None else replace(utterance, split=split))
    return columns, found
