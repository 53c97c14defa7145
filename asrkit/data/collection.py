"""A dataset that grows on disk, clip by clip: recorded prompts, corrected transcripts.

    <data root>/<name>/
      metadata.csv        file_name, text, speaker, duration_s: an audiofolder, so any tool can train on it
      clips/*.flac        16 kHz, mono, 16 bit
      prompts.txt         prompts to read, one a line; only for a dataset recorded from prompts
      asrkit-terms.json   the speakers' consent and the licence (`terms`), where they were given; README.md, the
                          dataset's card, has them, too

It is a valid dataset at any moment: audio is written before its row, and `metadata.csv` is replaced atomically. A lock
file serialises processes and threads that write at the same time.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import re
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import soundfile

from asrkit.audio import SAMPLING_RATE, Waveform, check_speech
from asrkit.data import terms
from asrkit.errors import DataError
from asrkit.files import write_atomic

METADATA, PROMPTS, CLIPS, CARD, LOCK = "metadata.csv", "prompts.txt", "clips", "README.md", ".lock"
SELECTIONS = "selections"  # a folder of the data root that is no dataset: `audit.selection` writes there
NAME = re.compile(r"[^\W_](?:[\w -]{0,62}[^\W_])?")
TAKE = re.compile("[0-9a-f]{16}")
MAX_TEXT_CHARS = 2_000  # characters of one transcript


@dataclass(frozen=True)
class RecordedClip:
    """A row of metadata.csv. file_name: relative to the folder of the collection."""

    file_name: str
    text: str
    speaker: str
    duration_s: float


class Collection:
    """A folder with recorded clips. It keeps no state: every call reads the files on the disk."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def name(self) -> str:
        return self.folder.name

    def add(
        self, wave: Waveform, text: str, *, speaker: str = "", replaces: str = "", take_id: str = ""
    ) -> RecordedClip:
        """Add a recording with its transcript. The first one creates the folder.

        replaces: the file_name of a clip to remove, if it exists. take_id: 16 hexadecimal digits that identify this
        recording; if it is added a second time, the kept clip is returned.

        Raises AudioError for a recording that is silent or shorter than a word, and DataError for a transcript that is
        empty or very long, a folder with another dataset, or a disk that cannot be written. Nothing is left behind
        then.
        """
        text, speaker = _check_text(text), _one_line(speaker)
        if take_id and not TAKE.fullmatch(take_id):
            raise DataError(f"{take_id!r:.40} cannot name a recording; record it again.")
        check_speech(wave)
        with _writable(self.folder), self._lock():
            file_name = f"{CLIPS}/{_slug(text)}-{take_id or uuid.uuid4().hex[:8]}.flac"
            clip, before = RecordedClip(file_name, text, speaker, round(wave.duration_s, 3)), self.clips()
            if take_id and (kept := next((row for row in before if row.file_name == file_name), None)):
                return kept
            self._write_audio(clip.file_name, wave)
            try:
                self._write(METADATA, _table([*(row for row in before if row.file_name != replaces), clip]))
            except BaseException:
                (self.folder / clip.file_name).unlink(missing_ok=True)
                raise
            self._remove_audio(replaces)
        return clip

    def correct(self, file_name: str, text: str) -> None:
        """Give a clip another transcript. Raises DataError if there is no such clip, or for what `add` refuses."""
        text = _check_text(text)
        with _writable(self.folder), self._lock():
            clips = self.clips()
            index = clips.index(self.find(file_name))
            clips[index] = replace(clips[index], text=text)
            self._write(METADATA, _table(clips))

    def remove(self, file_name: str) -> None:
        """Remove a clip. Raises DataError if there is none with that name."""
        with _writable(self.folder), self._lock():
            removed = self.find(file_name)
            self._write(METADATA, _table(row for row in self.clips() if row != removed))
            self._remove_audio(file_name)

    def find(self, file_name: str) -> RecordedClip:
        """Return the clip of that name. Raises DataError if there is none."""
        for clip in self.clips():
            if clip.file_name == file_name:
                return clip
        raise DataError(f"{self.name} has no clip {file_name!r}; it may have been removed already.")

    def clips(self) -> list[RecordedClip]:
        """Return the clips in the order they were added. Raises DataError for a metadata.csv of another program."""
        path = self.folder / METADATA
        names = [field.name for field in fields(RecordedClip)]
        try:
            with open(path, encoding="utf-8", newline="") as file:
                table = csv.DictReader(file)
                rows = list(table)
            if table.fieldnames != names:  # more columns would be lost with the next clip
                raise ValueError(f"columns {table.fieldnames}")
            return [
                RecordedClip(row["file_name"], row["text"], row["speaker"], float(row["duration_s"])) for row in rows
            ]
        except FileNotFoundError:
            return []
        except (TypeError, ValueError, csv.Error) as error:
            raise DataError(
                f"{path} was not written by asrkit ({error!r}); record into a dataset of another name."
            ) from error

    @property
    def prompts(self) -> list[str]:
        """The prompts to read, in order."""
        try:
            return (self.folder / PROMPTS).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    @prompts.setter
    def prompts(self, lines: Iterable[str]) -> None:
        kept = list(dict.fromkeys(filter(None, map(_one_line, lines))))
        with _writable(self.folder), self._lock():
            self._write(PROMPTS, "".join(f"{line}\n" for line in kept))

    def set_terms(self, speaker: str, consent: str, licence: str) -> None:
        """Keep a speaker's consent and the licence; an empty one stays as it is. DataError for a long one."""
        speaker, consent, licence = _one_line(speaker), terms.check_text(consent), terms.check_text(licence)
        with _writable(self.folder), self._lock():
            before = terms.read(self.folder)
            consents = {**before.consents, speaker: consent} if consent else before.consents
            after = terms.SpeechTerms(licence or before.licence, consents)
            if after == before:
                return
            self._write(terms.FILE, json.dumps(after.to_dict(), ensure_ascii=False, indent=2) + "\n")
            card = f"# {self.name}\n\nSpeech recorded with asrkit.\n\n## Terms\n\n{terms.render(after.to_dict())}"
            self._write(CARD, card)

    def _write_audio(self, file_name: str, wave: Waveform) -> None:
        (self.folder / CLIPS).mkdir(exist_ok=True)
        encoded = io.BytesIO()
        soundfile.write(encoded, wave.samples, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
        self._write(file_name, encoded.getvalue())

    def _write(self, name: str, content: str | bytes) -> None:
        with write_atomic(self.folder / name) as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)

    def _remove_audio(self, file_name: str) -> None:
        """Remove a file of the clips folder; any other name, which the page might send, is ignored."""
        name = Path(file_name).name
        if name and file_name == f"{CLIPS}/{name}":
            (self.folder / CLIPS / name).unlink(missing_ok=True)

    def _check_writable(self) -> None:
        """Raise DataError for a folder with another dataset, whose metadata.csv would be replaced."""
        names = os.listdir(self.folder) if self.folder.exists() else []
        if names and LOCK not in names:
            raise DataError(
                f"{self.folder} holds a dataset that was not recorded here; choose another name, so that "
                "it stays as it is."
            )
        self.clips()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self._check_writable()
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def open_collection(root: Path, name: str) -> Collection:
    """Return the collection of that name below the data root. Its first clip or prompt creates the folder.

    Raises DataError for a name with other characters than letters, digits, spaces, - and _.
    """
    name = unicodedata.normalize("NFC", name).strip()
    if not NAME.fullmatch(name):
        raise DataError(
            f"{name!r:.80} cannot name a dataset; use up to 64 letters, digits, spaces, - and _, "
            "beginning and ending with a letter or digit."
        )
    if name.casefold() == SELECTIONS:
        raise DataError(f"{name!r} is reserved for lists of selected clips; give the dataset another name.")
    return Collection(root / name)


def list_collections(root: Path) -> list[Collection]:
    """Return every collection below the data root that has a clip or a prompt, sorted by name."""
    folders = {path.parent for name in (METADATA, PROMPTS) for path in root.glob(f"*/{name}")}
    return [
        Collection(folder) for folder in sorted(folders) if (folder / LOCK).exists() and not folder.name.startswith(".")
    ]


def find_collection(root: Path, folder: str) -> Collection | None:
    """Return the collection below the data root that is this folder; None for any other dataset."""
    return next((each for each in list_collections(root) if each.folder == Path(folder).absolute()), None)


def _table(clips: Iterable[RecordedClip]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([field.name for field in fields(RecordedClip)])
    rows.writerows(astuple(clip) for clip in clips)
    return text.getvalue()


def _check_text(text: str) -> str:
    """Return a transcript as one line. Raises DataError for one that is empty or too long."""
    text = _one_line(text)
    if not text:
        raise DataError("The transcript is empty; write what is said in the clip.")
    if len(text) > MAX_TEXT_CHARS:
        raise DataError(f"The transcript has {len(text)} characters; give at most {MAX_TEXT_CHARS}, or cut the clip.")
    return text


def _one_line(text: str) -> str:
    """Collapse white space, and remove control characters and lone surrogates, which a text file cannot contain."""
    kept = (letter for letter in " ".join(text.split()) if unicodedata.category(letter) not in ("Cc", "Cs"))
    return "".join(kept).strip()


def _slug(text: str) -> str:
    """Make a portable file name of the first words: lower-case ASCII letters, digits and dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain)[:40].strip("-") or "clip"


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror or error}); free some space or choose another "
            "data folder with ASRKIT_DATA."
        ) from error
