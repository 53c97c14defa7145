"""DATA, in any supported layout -> `Source`: the utterances to train on and, if the data has them, to evaluate on.

DATA is one of these, or several with " + " between them (`dataset_names`):
    a built-in name             callsigns
    hub:owner/name[:config][:split]
    a CSV, TSV, JSON(L), parquet or spreadsheet file with an audio and a text column; paths relative to the file;
                                of a spreadsheet the first sheet, or clips.xlsx#sheet
    an annotation               .eaf, .TextGrid, .srt ... (`annotations`), of a recording beside it
    a list of WeNet             data.list, of recordings or of shards
    a zip or tar archive        of any folder below
    a folder                    written by datasets' save_to_disk, or
                                of a corpus or toolkit that `corpora` knows (Kaldi, LibriSpeech, TIMIT ...), or
                                with metadata.csv, .tsv or .jsonl (Hugging Face's audiofolder), or
                                of annotations with their recordings, or
                                with folders train/, test/ ... that each are one of these, or
                                with tables train.tsv, dev.tsv, test.tsv ... (Common Voice, VoxPopuli, NeMo), or
                                with one table, or
                                of audio files, each with a .txt of the same name, or
                                with nothing but one folder that is one of these, or
                                with archives of these, which may be named like splits
A split named train goes to train, as do clips without a split; validation, valid, val, dev or eval to eval. One named
test is kept apart if there is another split to evaluate on: the best checkpoint is chosen by that one, so that test
stays unseen.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asrkit.data import access, dataset_names, embedded
from asrkit.data.contents import Contents, ReadOptions, merge
from asrkit.data.indexed import IndexedSequence
from asrkit.data.layouts import BUILT_IN, read_folder, read_path
from asrkit.data.manifest import BAD_ROW, JoinedRows, Mark, Utterance
from asrkit.data.readers import hub_datasets, hub_names, parquet, text_files
from asrkit.data.readers.annotations.outline import Outline
from asrkit.data.readers.annotations.tiers import TierSummary
from asrkit.data.readers.columns import ColumnChoice, Columns
from asrkit.data.split_names import Role, names_in_selection, select_rows, split_role
from asrkit.errors import DataError
from asrkit.jobs import ProgressCallback

__all__ = ["BUILT_IN", "Source", "check_access", "load"]


@dataclass(frozen=True)
class Source:
    """A dataset, split.

    eval: None if the data has no split to evaluate on. test: a further split, which no run uses; `evaluate` does.
    description: one line for the page and the log.

    layout: the name of the recognised layout. column_names, columns: the columns of a table and the ones that were
    used; empty and None for a layout without columns. sheet, sheets: of a spreadsheet, the sheet that was read and all
    sheets, as FILE#SHEET. tiers: of annotated recordings, those that were read and the others. notes: what the user
    must know about the dataset as a whole; of single rows see `Utterance.marks`. outline: of the recording that it was
    asked for.
    """

    train: Sequence[Utterance]
    eval: Sequence[Utterance] | None
    description: str
    test: Sequence[Utterance] | None = None
    layout: str = ""
    column_names: tuple[str, ...] = ()
    columns: Columns | None = None
    sheet: str = ""
    sheets: tuple[str, ...] = ()
    notes: tuple[Mark, ...] = ()
    tiers: tuple[TierSummary, ...] = ()
    outline: Outline | None = None

    @property
    def utterances(self) -> Sequence[Utterance]:
        return JoinedRows(self.train, self.eval or [], self.test or [])

    @property
    def unseen(self) -> Sequence[Utterance]:
        """The rows to evaluate a model on: the split that training used least."""
        return self.test or self.eval or self.train


def load(
    data: str,
    *,
    eval_data: str | None = None,
    text_column: str | None = None,
    audio_column: str | None = None,
    speaker_column: str | None = None,
    tiers: str = "",
    outline_of: str = "",
    hub_dir: Path | None = None,
    fetched: Mapping[str, hub_datasets.FetchedDataset] | None = None,
    on_progress: ProgressCallback | None = None,
) -> Source:
    """Read the utterances of `data`. Clips are not decoded: one that is not audio has duration -1.0, for the audit.

    eval_data: replaces the eval split, by its own eval split or, if it has none, by all of it. text_column,
    audio_column, speaker_column: for names other than the usual ones. tiers: those to read of annotated recordings, and
    speakers, as in `TierChoice`. outline_of: the path of an annotated recording, all of whose spans are returned.
    hub_dir: where clips are written that are only bytes in a table; the user's cache by default, where archives are
    unpacked, too. fetched: datasets of the Hub that need not be fetched. on_progress: called with the bytes fetched
    from the Hub.

    Raises DataError, naming file, row and field, for data that is missing, empty or in no known layout, or that may not
    be read here (see `access`); HubError for data that cannot be fetched from the Hub.
    """
    choice = ColumnChoice(text_column, audio_column, speaker_column)
    options = ReadOptions(choice, tiers, outline_of, hub_dir, on_progress, fetched=fetched or {})
    source = _load_all(str(data), options)
    if eval_data is None:
        return source
    other = _load_all(str(eval_data), options)
    return replace(
        source,
        eval=other.eval or other.train,
        test=None,
        notes=tuple(dict.fromkeys([*source.notes, *other.notes])),
        description=f"{source.description}; evaluated on {other.description}",
    )


def check_access(data: str) -> None:
    """Raise DataError unless the path `data` may be read here, whether or not it exists."""
    if data.strip() and "\0" not in data:
        try:
            access.check(Path(data).expanduser().absolute())
        except RuntimeError as error:
            raise DataError(f"There is no data at {data!r:.200} ({error}).") from error


def _load_all(data: str, options: ReadOptions) -> Source:
    """Load the datasets of a setting as one. Those without an evaluation split are only trained on if others have one.

    Columns, sheets and tiers, which differ from one dataset to the next, are described for a single one alone.
    """
    named = [(name, _load(name, options)) for name in dataset_names.separate(data)]
    sources = [source for _, source in named]
    if len(sources) == 1:
        return sources[0]
    train, held_out, unseen = (
        JoinedRows(*(_NamedRows(name, getattr(source, split) or []) for name, source in named))
        for split in ("train", "eval", "test")
    )
    return Source(
        train,
        held_out or None,
        "; ".join(source.description for source in sources),
        unseen or None,
        " + ".join(dict.fromkeys(source.layout for source in sources)),
        notes=tuple(dict.fromkeys(note for source in sources for note in source.notes)),
        outline=next(filter(None, (source.outline for source in sources)), None),
    )


class _NamedRows(IndexedSequence[Utterance]):
    """Rows with the name of their dataset, which they get when they are asked for."""

    def __init__(self, name: str, rows: Sequence[Utterance]) -> None:
        self.name, self.rows = name, rows

    def __len__(self) -> int:
        return len(self.rows)

    def make_item(self, index: int) -> Utterance:
        return replace(self.rows[index], dataset=self.name)


def _load(data: str, options: ReadOptions) -> Source:
    try:
        return _read(data, options)
    except BaseException:
        options.budget.discard()
        raise


def _read(data: str, options: ReadOptions) -> Source:
    try:
        is_on_hub = data.startswith(hub_names.PREFIX)
        contents = _read_hub(data, options) if is_on_hub else read_path(data, options)
    except (OSError, RuntimeError, UnicodeError) as error:  # a name that is too long, ~nobody, a forbidden folder
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"There is no disk space left for {data:.200}; free some and try again.") from error
        raise DataError(
            f"The data at {data!r:.200} cannot be read ({error!r:.200}); check the path and the names of its files."
        ) from error
    source = _split_contents(contents, data)
    rows = source.utterances
    if rows and all(row.fault for row in rows):
        others = f" None of the {len(rows)} rows of {data:.200} can be used." if len(rows) > 1 else ""
        raise DataError(f"{rows[0].row}: {rows[0].fault}{others}")
    policy = access.ReadPolicy([*filter(None, [options.clips_dir]), embedded.cache_dir()])
    policy.check_all(row.audio for row in rows)
    mark = text_files.OtherTexts(policy).mark
    train, held_out, test = (part and list(map(mark, part)) for part in (source.train, source.eval, source.test))
    return replace(source, train=train or [], eval=held_out, test=test)


def _read_hub(data: str, options: ReadOptions) -> Contents:
    """Read a dataset of the Hub: the chosen split, to train on, or all splits with a role."""
    fetched = options.fetched.get(data) or hub_datasets.fetch(data, options.on_progress)
    if fetched.folder:
        contents = read_folder(fetched.folder, options)
        rows = _assign_splits(contents.utterances, fetched)
    else:
        parts = [
            (split, read_path(str(file), options))
            for split, files in fetched.splits.items()
            for file in files
            if file.suffix != parquet.SUFFIX or parquet.count_rows(file)
        ]
        if not parts:
            raise DataError(f"{data} holds no clips; choose another split.")
        rows = [replace(row, split=split) for split, part in parts for row in part.utterances]
        contents = merge([part for _, part in parts], rows)
    if fetched.selection:
        rows = [replace(row, split=None) for row in select_rows(fetched.selection, _group_by_split(rows))]
        if not rows:
            raise DataError(f"{data} holds no clips; choose another split.")
    return replace(contents, utterances=rows, layout=f"Hugging Face dataset{fetched.note}")


def _group_by_split(rows: list[Utterance]) -> dict[str, list[Utterance]]:
    splits: dict[str, list[Utterance]] = {}
    for row in rows:
        splits.setdefault(row.split or "train", []).append(row)
    return splits


def _assign_splits(rows: list[Utterance], fetched: hub_datasets.FetchedDataset) -> list[Utterance]:
    """Give the rows of a folder the splits that the Hub sees in its files, unless the folder's own splits serve."""
    own = _group_by_split(rows)
    selected = names_in_selection(fetched.selection) if fetched.selection else []
    if len(own) > 1 and all(split in own for split in selected):
        return rows
    split_of_file = {str(file): split for split, files in fetched.splits.items() for file in files}
    return [replace(row, split=split_of_file.get(row.audio, row.split)) for row in rows]


def _split_contents(contents: Contents, name: str) -> Source:
    parts: dict[Role, list[Utterance]] = {"train": [], "eval": [], "test": []}
    for utterance in contents.utterances:
        role = split_role(utterance.split) if utterance.split else "train"
        if role is None:
            fault = Mark(BAD_ROW, f"split is {utterance.split!r:.60}; use train, validation or test.")
            role, utterance = "train", replace(utterance, split=None, marks=(*utterance.marks, fault))
        parts[role].append(utterance)
    if not parts["eval"]:
        parts["eval"], parts["test"] = parts["test"], []
    counts = ", ".join(f"{len(part)} {role}" for role, part in parts.items() if part)
    return Source(
        parts["train"],
        parts["eval"] or None,
        f"{name} ({' and '.join(counts.rsplit(', ', 1))} utterances)",
        parts["test"] or None,
        contents.layout,
        contents.column_names,
        contents.columns,
        contents.sheet,
        contents.sheets,
        contents.notes,
        contents.tiers,
        contents.outline,
    )
