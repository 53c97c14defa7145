"""A path on this machine, in any layout -> its utterances, with the splits that the layout names.

A folder is recognised in this order: written by datasets' save_to_disk; a corpus or toolkit that `corpora` knows; a
metadata table; annotated recordings; folders or else tables named like splits; a single table; a single folder;
annotations in folders, subtitles and lists of labels; recordings with transcripts beside them; archives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from asrkit.data import access, archives, embedded, files
from asrkit.data.contents import Contents, ReadOptions, merge
from asrkit.data.durations import measure_duration
from asrkit.data.manifest import BAD_ROW, UNREADABLE_S, Mark, Utterance
from asrkit.data.readers import (
    collections,
    corpora,
    parquet,
    saved,
    spreadsheets,
    tables,
    text_files,
    toolkits,
)
from asrkit.data.readers.annotations import dataset as annotated
from asrkit.data.readers.annotations import formats
from asrkit.data.readers.annotations.tiers import TierChoice
from asrkit.data.split_names import split_of_path, split_role
from asrkit.errors import DataError

BUILT_IN = {"callsigns": access.ASSETS / "demo" / "callsigns"}
MAX_DEPTH = 6
"""Of folders that contain nothing but a folder or an archive."""
_HIDDEN = (".", "~$", "__MACOSX")  # files of the system, of an open spreadsheet, of macOS
TABLE_SUFFIXES = (*tables.SUFFIXES, parquet.SUFFIX)
_CAPTIONS = (".srt", ".vtt", ".textgrid")
"""Suffixes of annotations that also lie beside the clips of a table; others are a dataset by themselves."""
_PROBED_LABEL_FILES = 20


def read_path(data: str, options: ReadOptions) -> Contents:
    """Read a file, a folder or a built-in dataset.

    Raises DataError for a path that does not exist, may not be read, or is in no known layout.
    """
    # Absolute, because the worker that reads the manifest may be started in another folder.
    path = (BUILT_IN.get(data) or Path(data).expanduser()).absolute()
    if data.strip() and "\0" not in data:
        access.check(path)
        path, sheet = spreadsheets.split_sheet_name(path)
        access.check(path)  # again: without the sheet's name it may be a link
        options = replace(options, choice=replace(options.choice, sheet=sheet))
    if not data.strip() or "\0" in data or not path.exists():
        raise DataError(
            f"There is no data at {data!r}; give a folder, a table ({', '.join(TABLE_SUFFIXES)}), hub:owner/name, or "
            f"one of the built-in names: {', '.join(BUILT_IN)}."
        )
    if path.is_file() and archives.is_archive(path):
        path = archives.unpack_cached(path, embedded.cache_dir() / "unpacked", options.budget)
    if path.is_dir():
        return read_folder(path, options)
    suffix = path.suffix.lower()
    if suffix == ".list":
        return _read_wenet_list(path, options)
    if formats.recognise(path):
        return _read_annotations([path], path.parent, options)
    if suffix == ".numbers":
        raise DataError(f"{path} is an Apple Numbers spreadsheet; export it as Excel or CSV.")
    if suffix in TABLE_SUFFIXES:
        return read_table(path, options)
    raise DataError(
        f"{path} is not a table of recordings; give a folder, an archive or a {', '.join(TABLE_SUFFIXES)} file, or an "
        f"annotation ({', '.join(formats.SUFFIXES)})."
    )


def read_table(path: Path, options: ReadOptions) -> Contents:
    """Read a table in any format. Raises DataError as `tables.read` and `parquet.read` do."""
    if path.suffix.lower() == parquet.SUFFIX:
        return Contents.from_table(parquet.read(path, options.clips_dir, options.choice), "parquet")
    table = tables.read(path, options.choice)
    return Contents.from_table(table, _name_table_layout(table, path.suffix.lower()))


def read_folder(folder: Path, options: ReadOptions) -> Contents:
    """Read a folder. Raises DataError for one that is empty or in no known layout."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith(_HIDDEN))
    if not entries:
        raise DataError(f"{folder} is empty; put recordings and a metadata.csv, or a .txt beside each, into it.")
    if saved.is_saved(folder):
        return Contents.from_table(saved.load(folder, options.clips_dir, options.choice), "saved by datasets")
    if (listed := folder / toolkits.WENET_LIST).is_file():
        return _read_wenet_list(listed, options)
    if layout := corpora.recognise(folder):
        return Contents(layout.read(folder), layout.title)
    recordings = {entry.stem for entry in entries if files.is_audio(entry)}
    table_files = [
        entry
        for entry in entries
        # A JSON file beside a recording of its name describes that recording.
        if entry.is_file() and _is_table(entry) and not (entry.suffix == ".json" and entry.stem in recordings)
    ]
    if metadata := next((entry for entry in table_files if entry.stem.lower() == "metadata"), None):
        table = read_table(metadata, options)
        is_plain = table.layout.endswith((" table", "spreadsheet"))
        return replace(table, layout="folder with a metadata table") if is_plain else table
    own_suffixes = {entry.suffix.lower() for entry in entries if entry.is_file()} & {*formats.SUFFIXES}
    if own_suffixes - {*_CAPTIONS} or (own_suffixes and not table_files):
        return _read_annotations(annotated.find_files(folder), folder, options)
    contents = (
        _read_splits(entries, table_files, options)
        or _read_single_table(folder, table_files, options)
        or _read_single_folder(entries, table_files, options)
        or _read_annotated_folder(folder, options)
        or _read_named_files(folder)
        or _read_transcribed_files(folder)
        or _read_archives(entries, options)
    )
    if contents is None:
        raise DataError(
            f"{folder} is in no known layout; it needs one of: a metadata.csv or metadata.jsonl with file_name and "
            "text, folders train/ and test/, tables train.tsv and test.tsv, a .txt or an annotation such as .eaf or "
            ".TextGrid beside each recording, or what datasets' save_to_disk writes."
        )
    return contents


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in TABLE_SUFFIXES and not formats.recognise(path)


def _name_table_layout(table: tables.Table, suffix: str) -> str:
    """Name the program that wrote a table, by its columns."""
    if {"client_id", "path", "sentence"} <= set(table.column_names):
        return "Common Voice"
    if {"audio_id", "audio_file", "prompt", "transcription"} <= set(table.column_names):
        return "Common Voice Spontaneous Speech"
    if {"audio_filepath", "text"} <= set(table.column_names):
        return "NeMo manifest"
    if {"raw_text", "normalized_text"} <= set(table.column_names):
        return "VoxPopuli"
    return "spreadsheet" if table.sheet else f"{suffix.lstrip('.').upper()} table"


def _read_splits(entries: list[Path], table_files: list[Path], options: ReadOptions) -> Contents | None:
    """Read folders, or else tables, that are named like splits.

    Rows of a folder name it, as "train/metadata.csv row 7". Beside a table, a folder of recordings alone is no dataset:
    the table contains its transcripts.
    """
    named = [entry for entry in entries if split_role(entry.stem)]
    folders = [entry for entry in named if entry.is_dir() and not (table_files and _has_only_audio(entry))]
    parts = [(entry.name, read_folder(entry, options), f"{entry.name}/") for entry in folders]
    if not parts:
        parts = [(entry.stem, read_table(entry, options), "") for entry in named if entry in table_files]
    if not parts:
        return None
    rows = [replace(row, split=split, row=prefix + row.row) for split, part, prefix in parts for row in part.utterances]
    # Of several files, no other sheet can be chosen.
    return replace(merge([part for _, part, _ in parts], rows), sheet="", sheets=())


def _has_only_audio(folder: Path) -> bool:
    return all(map(files.is_audio, files.list_files(folder)))


def _read_single_table(folder: Path, table_files: list[Path], options: ReadOptions) -> Contents | None:
    """Read the only table, or the one to read of the several tables of Common Voice and of its spontaneous speech."""
    validated = folder / "validated.tsv"
    if validated in table_files:
        return read_table(validated, options)
    spontaneous = [path for path in table_files if path.name.startswith("ss-corpus-")]
    if len(spontaneous) == 1:
        return read_table(spontaneous[0], options)
    return read_table(table_files[0], options) if len(table_files) == 1 else None


def _read_single_folder(entries: list[Path], table_files: list[Path], options: ReadOptions) -> Contents | None:
    """Read the only folder, if there are neither tables nor recordings beside it."""
    folders = [entry for entry in entries if entry.is_dir()]
    if len(folders) != 1 or table_files or any(map(files.is_audio, entries)) or options.depth >= MAX_DEPTH:
        return None
    return read_folder(folders[0], options.nested())


def _read_annotated_folder(folder: Path, options: ReadOptions) -> Contents | None:
    """Read annotations below a folder, or else lists of labels."""
    paths = annotated.find_files(folder)
    if not paths:
        candidates = annotated.find_files(folder, (*formats.LABEL_SUFFIXES, ".json"))
        probed = candidates[:_PROBED_LABEL_FILES]
        if 2 * sum(formats.recognise(path) is not None for path in probed) > len(probed):
            paths = [path for path in candidates if formats.recognise(path)]
    return _read_annotations(paths, folder, options) if paths else None


def _read_annotations(paths: list[Path], folder: Path, options: ReadOptions) -> Contents:
    data = annotated.read(paths, folder, TierChoice.parse(options.tiers), options.outline_of)
    return Contents(data.utterances, data.title, notes=data.notes, tiers=data.tiers, outline=data.outline)


def _read_named_files(folder: Path) -> Contents | None:
    """Read recordings whose text is in their names."""
    if not collections.names_digits(folder):
        return None
    return Contents(collections.read_digits(folder), "recordings named by the digit that is spoken")


def _read_transcribed_files(folder: Path) -> Contents | None:
    """Read audio files with transcripts beside them."""
    paths = files.list_files(folder)
    if not any(map(files.is_audio, paths)):
        return None
    title, transcripts = corpora.recognise_transcripts(paths)
    if title:
        return Contents([_make_corpus_row(transcript, folder) for transcript in transcripts], title)
    rows, notes = text_files.read(folder, paths)
    return Contents(rows, "recordings with a .txt beside each", notes=notes)


def _read_wenet_list(path: Path, options: ReadOptions) -> Contents:
    """Read a list of WeNet, of recordings or of shards; a shard that is not there is a bad row."""
    if not toolkits.lists_shards(path):
        return Contents(toolkits.read_wenet(path), "WeNet data.list")
    shards = toolkits.find_shards(path)
    parts = [read_path(str(archive), options.nested()) for _, archive in shards if archive]
    missing = [
        Utterance(
            str(path), "", UNREADABLE_S, row=path.name, marks=(Mark(BAD_ROW, f"{name:.200} is missing; copy it."),)
        )
        for name, archive in shards
        if archive is None
    ]
    if not parts:
        raise DataError(f"{path}: the shard {shards[0][0]:.200} is missing, as are all others; copy them beside it.")
    merged = merge(parts, [row for part in parts for row in part.utterances] + missing)
    return replace(merged, layout="WeNet shards")


def _read_archives(entries: list[Path], options: ReadOptions) -> Contents | None:
    """Read every archive; those named like splits are splits."""
    if options.depth >= MAX_DEPTH:
        return None
    parts = [
        (entry, read_path(str(entry), options.nested()))
        for entry in entries
        if entry.is_file() and archives.is_archive(entry)
    ]
    if not parts:
        return None
    return merge([part for _, part in parts], list(_name_splits(parts)))


def _name_splits(parts: list[tuple[Path, Contents]]) -> Iterator[Utterance]:
    for entry, part in parts:
        for row in part.utterances:
            yield replace(row, split=entry.stem) if split_role(entry.stem) else row


def _make_corpus_row(transcript: corpora.CorpusClip, folder: Path) -> Utterance:
    path, text, speaker, marks, where = transcript
    split, row = split_of_path(path, folder), where or str(path.relative_to(folder))
    return Utterance(str(path), text, measure_duration(path), speaker or None, split, row=row, marks=marks)
