"""Public collections of speech, recognised by files and names that only they have.

M-AILABS         by_book/<voice>/<speaker>/<book>/metadata.csv, each as of LJSpeech
VoxForge         <speaker>-<date>-<name>/etc/PROMPTS and wav/
Tatoeba          sentences_with_audio.csv, and recordings named by their numbers
Speech Commands  <word>/<speaker>_nohash_<number>.wav, with validation_list.txt and testing_list.txt
AudioMNIST, FSDD <digit>_<speaker>_<number>.wav, of which the text is in the name: an assumption
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from asrkit.data import files
from asrkit.data.audio_finder import AudioFinder, choose_best, fold
from asrkit.data.durations import measure_duration
from asrkit.data.manifest import BAD_ROW, UNREADABLE_S, Mark, Utterance
from asrkit.data.readers import ljspeech

_PROBED = 50  # folders, or files
_PROMPTS = ("PROMPTS", "prompts-original", "txt.done.data")
_COMMAND = re.compile(r"(?P<speaker>[0-9a-f]{6,})_nohash_\d+")
_DIGIT = re.compile(r"(?P<text>\d)_(?P<speaker>[A-Za-z]+|\d{2})_\d{1,3}")
_COMMAND_LISTS = {"validation_list.txt": "validation", "testing_list.txt": "test"}


def is_m_ailabs(folder: Path) -> bool:
    return next(_list_books(folder), None) is not None


def read_m_ailabs(folder: Path) -> list[Utterance]:
    """Read every book; the speaker is the folder above it, except for books of several."""
    rows = []
    for book in _list_books(folder):
        speaker = book.parent.name if book.parent.parent.parent.name == "by_book" else None
        where = book.relative_to(folder).as_posix()
        rows += [replace(row, speaker=speaker, row=f"{where}/{row.row}") for row in ljspeech.read(book)]
    return rows


def _list_books(folder: Path) -> Iterator[Path]:
    """Yield the folders of books below by_book/, which is in the folder or up to two levels deeper."""
    for pattern in ("by_book", "*/by_book", "*/*/by_book"):
        for root in sorted(folder.glob(pattern)):
            for path in sorted([*root.glob("*/*/metadata.csv"), *root.glob("*/*/*/metadata.csv")]):
                if ljspeech.matches(path.parent):
                    yield path.parent


def is_voxforge(folder: Path) -> bool:
    return _find_prompts(folder) is not None or any(map(_find_prompts, islice(_list_folders(folder), _PROBED)))


def read_voxforge(folder: Path) -> list[Utterance]:
    """Read one submission, or a folder of them; anonymous ones are speakers of their own."""
    rows = []
    for submission in [folder] if _find_prompts(folder) else _list_folders(folder):
        prompts = _find_prompts(submission)
        if prompts is None:
            continue
        speaker = submission.name.partition("-")[0]
        lines = [line.split(maxsplit=1) for line in files.read_lines(prompts)]
        names = [parts[0].rpartition("/")[2] if parts else "" for parts in lines]
        audio_dir = next(path for path in (submission / "wav", submission / "flac", submission) if path.is_dir())
        found = AudioFinder(audio_dir).find_all([name or "." for name in names])
        for number, (parts, file) in enumerate(zip(lines, found, strict=True), 1):
            if parts:
                text = parts[1].strip() if len(parts) > 1 else ""
                where = f"{submission.name}/etc/{prompts.name} line {number}"
                name = submission.name if speaker.lower() == "anonymous" else speaker
                duration_s = measure_duration(file.path)
                rows.append(Utterance(str(file.path), text, duration_s, name, row=where, marks=file.marks))
    return rows


def _find_prompts(folder: Path) -> Path | None:
    if not ((folder / "wav").is_dir() or (folder / "flac").is_dir()):
        return None
    return next((path for name in _PROMPTS if (path := folder / "etc" / name).is_file()), None)


def _list_folders(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    return (folder / name for name in names)


def is_tatoeba(folder: Path) -> bool:
    return (folder / "sentences_with_audio.csv").is_file()


def read_tatoeba(folder: Path) -> list[Utterance]:
    """Read the list of recordings, with the sentences in it, in sentences.csv or in LANGUAGE_sentences.tsv."""
    path = folder / "sentences_with_audio.csv"
    rows = [(number, line.rstrip("\n").split("\t")) for number, line in enumerate(files.read_lines(path), 1)]
    header = [name.strip().lower() for name in rows[0][1]] if rows else []
    text_at = header.index("text") if "text" in header else None
    rows = [(number, fields) for number, fields in rows if fields[0].strip().isdecimal()]
    texts = _read_sentences(folder) if text_at is None else {}
    recordings: dict[str, list[Path]] = defaultdict(list)
    for audio in filter(files.is_audio, files.list_files(folder)):
        recordings[fold(audio.stem)].append(audio)
    utterances = []
    for number, fields in rows:
        # The export has the number of the sentence, then that of the recording, or the speaker.
        audio_id = fields[1].strip() if len(fields) > 1 and fields[1].strip().isdecimal() else ""
        speaker = next((field.strip() for field in fields[1:] if field.strip() and not field.strip().isdecimal()), None)
        text = fields[text_at].strip() if text_at is not None and text_at < len(fields) else texts.get(fields[0], "")
        found = recordings.get(audio_id) or recordings.get(fields[0].strip()) or []
        if not found:  # the list is of all languages, the recordings are of some
            continue
        clip, where = choose_best(found), f"{path.name} line {number}"
        marks = () if text else (Mark(BAD_ROW, f"sentence {fields[0]} is in no list of sentences; add sentences.csv."),)
        duration_s = measure_duration(clip) if text else UNREADABLE_S
        utterances.append(Utterance(str(clip), text, duration_s, speaker, row=where, marks=marks))
    return utterances


def _read_sentences(folder: Path) -> dict[str, str]:
    texts = {}
    for path in sorted([*folder.glob("sentences.csv"), *folder.glob("*_sentences.tsv")]):
        for line in files.read_lines(path):
            fields = line.rstrip("\n").split("\t")
            if len(fields) >= 3:
                texts[fields[0]] = fields[2].strip()
    return texts


def is_speech_commands(folder: Path) -> bool:
    if all((folder / name).is_file() for name in _COMMAND_LISTS):
        return True
    probed = list(islice(_list_recordings(folder), _PROBED))
    return bool(probed) and all(_COMMAND.fullmatch(path.stem) and path.parent.parent == folder for path in probed)


def read_speech_commands(folder: Path) -> list[Utterance]:
    """Read every word's folder; the lists name the validation and the test split."""
    splits: dict[str, str] = {}
    for name, role in _COMMAND_LISTS.items():
        if (folder / name).is_file():
            splits.update({line.strip(): role for line in files.read_lines(folder / name)})
    rows = []
    for path in filter(files.is_audio, files.list_files(folder)):
        where = path.relative_to(folder).as_posix()
        if path.parent.name.startswith("_") or path.parent == folder:  # _background_noise_
            continue
        match = _COMMAND.fullmatch(path.stem)
        speaker = match["speaker"] if match else None
        split = splits.get(where) or ("train" if splits else None)
        duration_s = measure_duration(path)
        rows.append(Utterance(str(path), path.parent.name.replace("_", " "), duration_s, speaker, split, row=where))
    return rows


def names_digits(folder: Path) -> bool:
    """Return whether recordings without transcripts are named as of AudioMNIST and FSDD."""
    probed = list(islice(_list_recordings(folder), _PROBED))
    if not probed or any(path.with_suffix(".txt").exists() for path in probed):
        return False
    return all(_DIGIT.fullmatch(path.stem) for path in probed)


def read_digits(folder: Path) -> list[Utterance]:
    """Read recordings whose names begin with the digit that is spoken; each is marked as an assumption."""
    rows = []
    for path in filter(files.is_audio, files.list_files(folder)):
        match, where = _DIGIT.fullmatch(path.stem), path.relative_to(folder).as_posix()
        if match:
            mark = Mark("text-from-name", f"{path.name} is {match['text']!r} by {match['speaker']}")
            duration_s = measure_duration(path)
            rows.append(Utterance(str(path), match["text"], duration_s, match["speaker"], row=where, marks=(mark,)))
    return rows


def _list_recordings(folder: Path) -> Iterator[Path]:
    """Yield recordings below a folder while they are looked for, those of folders with _ left out."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        yield from (Path(parent, name) for name in sorted(names) if files.is_audio(Path(name)))
