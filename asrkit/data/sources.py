"""DATA, in every layout people have -> `Source`: utterances to train on and, where there are any, to evaluate on.

DATA is one of
    a built-in name             callsigns
    hub:owner/name[:config][:split]
    a CSV, TSV, JSON(L), parquet or spreadsheet file with an audio and a text column; paths relative to the file;
                                of a spreadsheet the first sheet, or clips.xlsx#sheet
    a zip or tar archive        of any folder below
    a folder                    written by datasets' save_to_disk, or
                                of a corpus or toolkit that `corpora` knows (Kaldi, LibriSpeech, TIMIT ...), or
                                with metadata.csv, .tsv or .jsonl (Hugging Face's audiofolder), or
                                with folders train/, test/ ... that each are one of these, or
                                with tables train.tsv, dev.tsv, test.tsv ... (Common Voice, VoxPopuli, NeMo), or
                                with one table, or
                                of audio files, each with a .txt of the same name, or
                                with nothing but one folder that is one of these, or
                                with archives of these, which may be named like splits
A split named train goes to train, as do clips of none; validation, valid, val, dev or eval to eval. One named test is
kept apart where there is another to evaluate on: the best checkpoint is chosen by that one, so that test stays unseen.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field, replace
from pathlib import Path

from asrkit.data import access, archives, embedded
from asrkit.data.manifest import Utterance
from asrkit.data.readers import corpora, hub, parquet, saved, spreadsheets, tables
from asrkit.errors import DataError
from asrkit.jobs import ProgressCallback

BUILT_IN = {"callsigns": access.ASSETS / "demo" / "callsigns"}
_HIDDEN = (".", "~$", "__MACOSX")  # what a system, an open spreadsheet or a Mac leaves behind
MOST_DEPTH = 6  # of folders that hold nothing but a folder
_TABLES = ", ".join((*tables.SUFFIXES, parquet.SUFFIX))


@dataclass(frozen=True)
class Source:
    """eval: None where the data has no split to evaluate on. test: what it has besides, seen by no run; `evaluate`
    takes it. description: one line for the page and the log.

    layout: what the data was recognised as. found, columns: the names of a table's columns and which was taken for
    what; empty and None for a layout without columns. sheet, sheets: of a spreadsheet, the one
    that was read and all, as FILE#SHEET.
    """

    train: list[Utterance]
    eval: list[Utterance] | None
    description: str
    test: list[Utterance] | None = None
    layout: str = ""
    found: tuple[str, ...] = ()
    columns: tables.Columns | None = None
    sheet: str = ""
    sheets: tuple[str, ...] = ()

    @property
    def utterances(self) -> list[Utterance]:
        return [*self.train, *(self.eval or []), *(self.test or [])]

    @property
    def unseen(self) -> list[Utterance]:
        """What a model is to be judged by: of the splits that there are the one that training saw least of."""
        return self.test or self.eval or self.train


@dataclass(frozen=True)
class _Found:
    """Utterances and how they were found."""

    utterances: list[Utterance]
    layout: str
    found: tuple[str, ...] = ()
    columns: tables.Columns | None = None
    sheet: str = ""
    sheets: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Options:
    wanted: tables.Wanted
    hub_dir: Path | None
    on_progress: ProgressCallback | None = None
    depth: int = field(default=0)


def load(
    data: str,
    *,
    eval_data: str | None = None,
    text_column: str | None = None,
    audio_column: str | None = None,
    speaker_column: str | None = None,
    hub_dir: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> Source:
    """Find the utterances of `data`. Clips are not decoded: one that is not audio has duration -1.0, for the audit.

    eval_data: takes the place of the eval split: its eval split, or all of it where it has none.
    text_column, audio_column, speaker_column: for names other than the usual ones. hub_dir: where clips are written
    that are only bytes in a table; the user's cache by default, where archives are unpacked, too. on_progress: gets
    how much of what comes from the Hub is there.

    Raises DataError, naming file, row and field, for data that is missing, empty or in no known layout, or that may not
    be read here (see `access`); HubError for what cannot be had from the Hub.
    """
    options = _Options(tables.Wanted(text_column, audio_column, speaker_column), hub_dir, on_progress)
    source = _load(str(data), options)
    if eval_data is None:
        return source
    other = _load(str(eval_data), options)
    return replace(
        source,
        eval=other.eval or other.train,
        test=None,
        description=f"{source.description}; evaluated on {other.description}",
    )


def check_reach(data: str) -> None:
    """Raise DataError unless what lies at the path `data` may be read here, whether or not there is anything."""
    if data.strip() and "\0" not in data:
        try:
            access.check(Path(data).expanduser().absolute())
        except RuntimeError as error:
            raise DataError(f"There is no data at {data!r:.200} ({error}).") from error


def _load(data: str, options: _Options) -> Source:
    try:
        source = _source(_read_hub(data, options) if data.startswith(hub.PREFIX) else _read_path(data, options), data)
    except (OSError, RuntimeError, UnicodeError) as error:  # a name that is too long, ~nobody, a forbidden folder
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"The disk has no room for {data:.200}; free some and try again.") from error
        raise DataError(
            f"The data at {data!r:.200} cannot be read ({error!r:.200}); check the path and the names of its files."
        ) from error
    also = [*filter(None, [options.hub_dir]), embedded.cache_dir()]
    access.check_all((Path(row.audio) for row in source.utterances), also)
    return source


def _read_hub(data: str, options: _Options) -> _Found:
    """What was asked for, and nothing else, is there to train on; else the splits that say what they are for."""
    fetched = hub.fetch(data, options.on_progress)
    if fetched.folder:
        found = _read_folder(fetched.folder, options)
        rows = _labelled(found.utterances, fetched)
    else:
        parts = [
            (split, _read_path(str(file), options))
            for split, files in fetched.splits.items()
            for file in files
            if file.suffix != parquet.SUFFIX or parquet.count(file)
        ]
        if not parts:
            raise DataError(f"{data} holds no clips; choose another split.")
        found = parts[0][1]
        rows = [replace(row, split=split) for split, part in parts for row in part.utterances]
    if fetched.wanted:
        rows = [replace(row, split=None) for row in hub.cut(fetched.wanted, _by_split(rows))]
        if not rows:
            raise DataError(f"{data} holds no clips; choose another split.")
    return replace(found, utterances=rows, layout=f"Hugging Face dataset{fetched.in_part}")


def _by_split(rows: list[Utterance]) -> dict[str, list[Utterance]]:
    sides: dict[str, list[Utterance]] = {}
    for row in rows:
        sides.setdefault(row.split or "train", []).append(row)
    return sides


def _labelled(rows: list[Utterance], fetched: hub.Fetched) -> list[Utterance]:
    """The rows of a folder by its own splits; by those that the Hub makes of its files, where those are asked for or
    it has none."""
    own = _by_split(rows)
    asked = hub.names_of(fetched.wanted) if fetched.wanted else []
    if len(own) > 1 and all(split in own for split in asked):
        return rows
    made = {str(file): split for split, files in fetched.splits.items() for file in files}
    return [replace(row, split=made.get(row.audio, row.split)) for row in rows]


def _read_path(data: str, options: _Options) -> _Found:
    # Absolute, for the worker that reads the manifest may be started in another folder.
    path = (BUILT_IN.get(data) or Path(data).expanduser()).absolute()
    if data.strip() and "\0" not in data:
        access.check(path)
        path, sheet = spreadsheets.parted(path)
        access.check(path)  # without the sheet's name it may be a link
        options = replace(options, wanted=replace(options.wanted, sheet=sheet))
    if not data.strip() or "\0" in data or not path.exists():
        raise DataError(
            f"There is no data at {data!r}; give a folder, a table ({_TABLES}), hub:owner/name, or one of the built-in "
            f"names: {', '.join(BUILT_IN)}."
        )
    if path.is_file() and archives.is_archive(path):
        path = archives.unpacked(path, embedded.cache_dir() / "unpacked")
    if path.is_dir():
        return _read_folder(path, options)
    suffix = path.suffix.lower()
    if suffix == ".numbers":
        raise DataError(f"{path} is a spreadsheet of Numbers; export it as Excel or CSV and give that.")
    if suffix == parquet.SUFFIX or suffix in tables.SUFFIXES:
        return _read_table(path, options)
    raise DataError(f"{path} is not a table of recordings; give a folder, an archive or a {_TABLES} file.")


def _source(found: _Found, name: str) -> Source:
    sides: dict[str, list[Utterance]] = {"train": [], "eval": [], "test": []}
    for utterance in found.utterances:
        side = hub.side(utterance.split) if utterance.split else "train"
        if side is None:
            raise DataError(f"{utterance.row}: split is {utterance.split!r}; use train, validation or test.")
        sides[side].append(utterance)
    if not sides["eval"]:
        sides["eval"], sides["test"] = sides["test"], []
    counts = ", ".join(f"{len(part)} {side}" for side, part in sides.items() if part)
    told = " and ".join(counts.rsplit(", ", 1))
    return Source(
        sides["train"],
        sides["eval"] or None,
        f"{name} ({told} utterances)",
        sides["test"] or None,
        found.layout,
        found.found,
        found.columns,
        found.sheet,
        found.sheets,
    )


def _of_table(table: tables.Table, layout: str) -> _Found:
    return _Found(table.utterances, layout, table.found, table.columns, table.sheet, table.sheets)


def _read_table(path: Path, options: _Options) -> _Found:
    suffix = path.suffix.lower()
    if suffix == parquet.SUFFIX:
        return _of_table(parquet.read(path, options.hub_dir, options.wanted), "parquet")
    table = tables.read(path, options.wanted)
    return _of_table(table, _kind(table, suffix))


def _kind(table: tables.Table, suffix: str) -> str:
    """What wrote a table, by its columns."""
    if {"client_id", "path", "sentence"} <= set(table.found):
        return "Common Voice"
    if {"audio_filepath", "text"} <= set(table.found):
        return "NeMo manifest"
    if {"raw_text", "normalized_text"} <= set(table.found):
        return "VoxPopuli"
    return "spreadsheet" if table.sheet else f"{suffix.lstrip('.').upper()} table"


def _read_folder(folder: Path, options: _Options) -> _Found:
    names = sorted(entry for entry in folder.iterdir() if not entry.name.startswith(_HIDDEN))
    if not names:
        raise DataError(f"{folder} is empty; put recordings and a metadata.csv, or a .txt beside each, into it.")
    if saved.is_saved(folder):
        return _of_table(saved.load(folder, options.hub_dir, options.wanted), "saved by datasets")
    if layout := corpora.recognise(folder):
        return _Found(layout.read(folder), layout.title)
    is_table = {
        entry for entry in names if entry.suffix.lower() in (*tables.SUFFIXES, parquet.SUFFIX) and entry.is_file()
    }
    if metadata := next((entry for entry in names if entry in is_table and entry.stem.lower() == "metadata"), None):
        found = _read_table(metadata, options)
        plain = found.layout.endswith((" table", "spreadsheet"))
        return replace(found, layout="folder with a metadata table") if plain else found
    found = _read_splits(names, is_table, options) or _read_one(folder, is_table, options)
    inner = [entry for entry in names if entry.is_dir()]
    here = is_table or any(entry.suffix.lower() in tables.AUDIO_SUFFIXES for entry in names)
    if found is None and len(inner) == 1 and not here and options.depth < MOST_DEPTH:
        return _read_folder(inner[0], replace(options, depth=options.depth + 1))
    found = found or _read_pairs(folder) or _read_archives(names, options)
    if found is None:
        raise DataError(
            f"{folder} is in no known layout; it needs one of: a metadata.csv or metadata.jsonl with file_name and "
            "text, folders train/ and test/, tables train.tsv and test.tsv, a .txt beside each recording, or what "
            "datasets' save_to_disk writes."
        )
    return found


def _read_splits(names: list[Path], is_table: set[Path], options: _Options) -> _Found | None:
    """From folders or else tables that are named like splits; rows say which, as "train/metadata.csv row 7". Folders of
    recordings alone are no datasets: a table beside them tells what is said in them."""
    named = [entry for entry in names if hub.side(entry.stem)]
    parts: list[_Found] = []
    for entry in (entry for entry in named if entry.is_dir() and not (is_table and _only_audio(entry))):
        part = _read_folder(entry, options)
        parts.append(
            replace(
                part,
                utterances=[replace(row, split=entry.name, row=f"{entry.name}/{row.row}") for row in part.utterances],
            )
        )
    for entry in () if parts else (entry for entry in named if entry in is_table):
        part = _read_table(entry, options)
        parts.append(replace(part, utterances=[replace(row, split=entry.stem) for row in part.utterances]))
    if not parts:
        return None
    # Of several files none can be taken for another sheet.
    return replace(parts[0], utterances=[row for part in parts for row in part.utterances], sheet="", sheets=())


def _only_audio(folder: Path) -> bool:
    return all(path.suffix.lower() in tables.AUDIO_SUFFIXES for path in tables.walk(folder))


def _read_one(folder: Path, is_table: set[Path], options: _Options) -> _Found | None:
    """From the only table there is; Common Voice has several, of which validated.tsv is the one to read."""
    validated = folder / "validated.tsv"
    chosen = validated if validated in is_table else next(iter(is_table)) if len(is_table) == 1 else None
    return _read_table(chosen, options) if chosen else None


def _read_pairs(folder: Path) -> _Found | None:
    """Audio files below `folder` with a transcript beside them; where some have one, the others get an empty text."""
    files = tables.walk(folder)
    clips = [path for path in files if path.suffix.lower() in tables.AUDIO_SUFFIXES]
    if not clips:
        return None
    title, told = corpora.recognise_transcripts(files)
    if title:
        rows = [
            Utterance(
                str(path),
                text,
                tables.measure(str(path)),
                speaker or None,
                _split_of(path, folder),
                row=str(path.relative_to(folder)),
            )
            for path, (text, speaker) in told.items()
        ]
        return _Found(rows, title)
    texts = {path.with_suffix("") for path in files if path.suffix == ".txt"}
    if not any(path.with_suffix("") in texts for path in clips):
        raise DataError(
            f"{folder} holds {len(clips)} recordings but no transcripts; add a metadata.csv with file_name and text, "
            f"or a .txt beside each (such as {clips[0].with_suffix('.txt').name})."
        )
    rows = [
        Utterance(
            str(path),
            _transcript(path) if path.with_suffix("") in texts else "",
            tables.measure(str(path)),
            row=str(path.relative_to(folder)),
        )
        for path in clips
    ]
    return _Found(rows, "recordings with a .txt beside each")


def _read_archives(names: list[Path], options: _Options) -> _Found | None:
    parts = [
        (entry, _read_path(str(entry), replace(options, depth=options.depth + 1)))
        for entry in names
        if entry.is_file() and archives.is_archive(entry) and options.depth < MOST_DEPTH
    ]
    if not parts:
        return None
    rows = [
        replace(row, split=entry.stem) if hub.side(entry.stem) else row
        for entry, part in parts
        for row in part.utterances
    ]
    return replace(parts[0][1], utterances=rows)


def _split_of(path: Path, folder: Path) -> str | None:
    """Of a corpus whose folders say it, such as LibriSpeech/dev-clean/84/121123."""
    return next((part for part in path.relative_to(folder).parts[:-1] if hub.side(part)), None)


def _transcript(path: Path) -> str:
    return " ".join(tables.read_text(path.with_suffix(".txt")).split())
