"""DATA, in every layout people have -> `Source`: utterances to train on and, where there are any, to evaluate on.

DATA is one of
    a built-in name             callsigns
    hub:owner/name[:config][:split]
    a CSV, TSV or JSONL file    with an audio and a text column; paths relative to the file
    a folder                    written by datasets' save_to_disk, or
                                with metadata.csv, .tsv or .jsonl (Hugging Face's audiofolder), or
                                with folders train/, test/ ... that each are one of these, or
                                with tables train.tsv, dev.tsv, test.tsv ..., or
                                of audio files, each with a .txt of the same name
A split named train goes to train; validation, valid, val, dev, test or eval to eval; none at all to train.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from asrkit.errors import DataError
from asrkit.speech import hub, tables
from asrkit.speech.manifest import Utterance

BUILT_IN = {"callsigns": Path(__file__).parents[2] / "assets" / "demo" / "callsigns"}
AUDIO_SUFFIXES = frozenset(
    [".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm", ".wma", ".aif", ".aiff", ".au"]
)
_TABLES = ", ".join(tables.SUFFIXES)


@dataclass(frozen=True)
class Source:
    """eval: None where the data has no split to evaluate on. description: one line for the page and the log."""

    train: list[Utterance]
    eval: list[Utterance] | None
    description: str

    @property
    def utterances(self) -> list[Utterance]:
        return self.train + (self.eval or [])


@dataclass(frozen=True)
class _Options:
    text_column: str | None
    audio_column: str | None
    hub_dir: Path | None

    @property
    def columns(self) -> dict[str, str | None]:
        return {"text_column": self.text_column, "audio_column": self.audio_column}


def load(
    data: str,
    *,
    eval_data: str | None = None,
    text_column: str | None = None,
    audio_column: str | None = None,
    hub_dir: Path | None = None,
) -> Source:
    """Find the utterances of `data`. Clips are not decoded: one that is not audio has duration -1.0, for the audit.

    eval_data: takes the place of the eval split: its eval split, or all of it where it has none.
    text_column, audio_column: for names other than the usual ones. hub_dir: where clips are written that are only bytes
    in a `datasets` dataset; the user's cache by default.

    Raises DataError, naming file, row and field, for data that is missing, empty or in no known layout.
    """
    options = _Options(text_column, audio_column, hub_dir)
    source = _load(str(data), options)
    if eval_data is None:
        return source
    other = _load(str(eval_data), options)
    return Source(source.train, other.eval or other.train, f"{source.description}; evaluated on {other.description}")


def _load(data: str, options: _Options) -> Source:
    if data.startswith(hub.PREFIX):
        found = hub.load_hub(data, options.hub_dir, **options.columns)
        return _source(found, data)
    # Absolute, for the worker that reads the manifest may be started in another folder.
    path = (BUILT_IN.get(data) or Path(data).expanduser()).absolute()
    if not data.strip() or not path.exists():
        raise DataError(
            f"There is no data at {data!r}; give a folder, a table ({_TABLES}), hub:owner/name, or one of the built-in "
            f"names: {', '.join(BUILT_IN)}."
        )
    if path.is_dir():
        return _source(_read_folder(path, options), data)
    if path.suffix.lower() not in tables.SUFFIXES:
        raise DataError(f"{path} is not a table of recordings; give a folder or a {_TABLES} file.")
    return _source(tables.read(path, **options.columns), data)


def _source(found: list[Utterance], name: str) -> Source:
    sides: dict[str, list[Utterance]] = {"train": [], "eval": []}
    for utterance in found:
        side = hub.side(utterance.split) if utterance.split else "train"
        if side is None:
            raise DataError(f"{utterance.row}: split is {utterance.split!r}; use train, validation or test.")
        sides[side].append(utterance)
    counts = " and ".join(f"{len(part)} {side}" for side, part in sides.items() if part)
    return Source(sides["train"], sides["eval"] or None, f"{name} ({counts} utterances)")


def _read_folder(folder: Path, options: _Options) -> list[Utterance]:
    names = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    if not names:
        raise DataError(f"{folder} is empty; put recordings and a metadata.csv, or a .txt beside each, into it.")
    if hub.is_saved(folder):
        return hub.load_saved(folder, options.hub_dir, **options.columns)
    for suffix in tables.SUFFIXES:
        if (folder / f"metadata{suffix}").is_file():
            return tables.read(folder / f"metadata{suffix}", **options.columns)
    parts = list(_read_splits(names, options))
    found = parts or _read_pairs(folder)
    if not found:
        raise DataError(
            f"{folder} is in no known layout; it needs one of: a metadata.csv or metadata.jsonl with file_name and "
            "text, folders train/ and test/, tables train.tsv and test.tsv, a .txt beside each recording, or what "
            "datasets' save_to_disk writes."
        )
    return found


def _read_splits(names: list[Path], options: _Options) -> Iterator[Utterance]:
    """From folders or else tables that are named like splits; rows say which, as "train/metadata.csv row 7"."""
    split_names = [entry for entry in names if hub.side(entry.stem)]
    folders = [entry for entry in split_names if entry.is_dir()]
    for entry in folders:
        for utterance in _read_folder(entry, options):
            yield replace(utterance, split=entry.name, row=f"{entry.name}/{utterance.row}")
    if folders:
        return
    for entry in split_names:
        if entry.suffix.lower() in tables.SUFFIXES:
            for utterance in tables.read(entry, **options.columns):
                yield replace(utterance, split=entry.stem)


def _read_pairs(folder: Path) -> list[Utterance]:
    """Audio files below `folder` with a .txt beside them; where some have one, the others get an empty text."""
    clips = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
    ]
    if clips and not any(path.with_suffix(".txt").is_file() for path in clips):
        raise DataError(
            f"{folder} holds {len(clips)} recordings but no transcripts; add a metadata.csv with file_name and text, "
            f"or a .txt beside each (such as {clips[0].with_suffix('.txt').name})."
        )
    return [
        Utterance(str(path), _transcript(path), tables.measure(str(path)), row=str(path.relative_to(folder)))
        for path in clips
    ]


def _transcript(path: Path) -> str:
    beside = path.with_suffix(".txt")
    return " ".join(tables.read_text(beside).split()) if beside.is_file() else ""
