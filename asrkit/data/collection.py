"""A dataset that grows on disk, clip by clip: recorded prompts, corrected transcripts.

    <data root>/<name>/
      metadata.csv        file_name, text, speaker, duration_s: an audiofolder, so any tool can train on it
      clips/*.flac        16 kHz, mono, 16 bit
      prompts.txt         what is still to be read, one a line; only where somebody records from prompts

It can be trained on at any moment: audio is there before the row that names it, and `metadata.csv` is replaced whole.
Processes and threads that add at the same time wait for each other.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import os
import re
import tempfile
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import soundfile

from asrkit.audio import SAMPLING_RATE, Waveform, check_speech
from asrkit.errors import DataError

METADATA, PROMPTS, CLIPS, LOCK = "metadata.csv", "prompts.txt", "clips", ".lock"
SELECTIONS = "selections"  # the folder of the data root that is no dataset: `runs.selection` writes there
NAME = re.compile(r"[^\W_](?:[\w -]{0,62}[^\W_])?")
TAKE = re.compile("[0-9a-f]{16}")
MAX_TEXT_CHARS = 2_000  # characters of one transcript


@dataclass(frozen=True)
class RecordedClip:
    """One row of metadata.csv. file_name: relative to the collection's folder."""

    file_name: str
    text: str
    speaker: str
    duration_s: float


class Collection:
    """One such folder. Holds a path and nothing else: every call reads what is on disk now."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def name(self) -> str:
        return self.folder.name

    def add(
        self, wave: Waveform, text: str, *, speaker: str = "", replaces: str = "", take_id: str = ""
    ) -> RecordedClip:
        """Keep a recording with its transcript; the folder is made by the first one.

        replaces: the file_name of a clip that this one takes the place of (a redo), if it is still there. take: a
        name of this very recording, of 16 hexadecimal digits: sent a second time, it is not kept twice.

        Raises AudioError for a recording that is silent or shorter than a word, and DataError for a transcript that is
        empty or very long, a folder with a dataset that was not made here, or a disk that cannot be written. Nothing
        is left behind then.
        """
        text, speaker = _one_line(text), _one_line(speaker)
        if not text:
            raise DataError("The transcript is empty; write what is said in the clip.")
        if len(text) > MAX_TEXT_CHARS:
            raise DataError(
                f"The transcript has {len(text)} characters; give at most {MAX_TEXT_CHARS}, or cut the clip."
            )
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
            self._forget_audio(replaces)
        return clip

    def remove(self, file_name: str) -> None:
        """Take a clip out again. Raises DataError if there is none of that name."""
        with _writable(self.folder), self._lock():
            before = self.clips()
            after = [row for row in before if row.file_name != file_name]
            if len(after) == len(before):
                raise DataError(f"{self.name} has no clip {file_name!r}; it may have been removed already.")
            self._write(METADATA, _table(after))
            self._forget_audio(file_name)

    def clips(self) -> list[RecordedClip]:
        """What has been kept, in that order. Raises DataError for a metadata.csv that is not one of ours."""
        path = self.folder / METADATA
        names = [field.name for field in fields(RecordedClip)]
        try:
            with open(path, encoding="utf-8", newline="") as file:
                table = csv.DictReader(file)
                rows = list(table)
            if table.fieldnames != names:  # more columns would be lost with the next clip
                raise ValueError(f"columns {table.fieldnames}")
            return [
                RecordedClip(**{name: row[name] for name in names} | {"duration_s": float(row["duration_s"])})
                for row in rows
            ]
        except FileNotFoundError:
            return []
        except (TypeError, ValueError, csv.Error) as error:
            raise DataError(
                f"{path} was not written by asrkit ({error!r}); record into a dataset of another name."
            ) from error

    @property
    def prompts(self) -> list[str]:
        """What is to be read, in order; empty where nobody said."""
        try:
            return (self.folder / PROMPTS).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    @prompts.setter
    def prompts(self, lines: Iterable[str]) -> None:
        kept = list(dict.fromkeys(filter(None, map(_one_line, lines))))
        with _writable(self.folder), self._lock():
            self._write(PROMPTS, "".join(f"{line}\n" for line in kept))

    def _write_audio(self, file_name: str, wave: Waveform) -> None:
        (self.folder / CLIPS).mkdir(exist_ok=True)
        encoded = io.BytesIO()
        soundfile.write(encoded, wave.samples, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
        self._write(file_name, encoded.getvalue())

    def _write(self, name: str, content: str | bytes) -> None:
        """Put a file of this folder in place, whole or not at all."""
        handle, draft = tempfile.mkstemp(prefix=".draft-", dir=self.folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(draft, 0o644)  # mkstemp's files are private
            os.replace(draft, self.folder / name)
        except BaseException:
            os.unlink(draft)
            raise

    def _forget_audio(self, file_name: str) -> None:
        """Only a file in our own clips folder: the name comes from a page."""
        name = Path(file_name).name
        if name and file_name == f"{CLIPS}/{name}":
            (self.folder / CLIPS / name).unlink(missing_ok=True)

    def _check_ours(self) -> None:
        """DataError for a folder with somebody's own dataset: a metadata.csv of ours would take its place."""
        there = os.listdir(self.folder) if self.folder.exists() else []
        if there and LOCK not in there:
            raise DataError(
                f"{self.folder} holds a dataset that was not recorded here; choose another name, so that "
                "it stays as it is."
            )
        self.clips()

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self._check_ours()
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def open_collection(root: Path, name: str) -> Collection:
    """The collection of that name below the data root; made by the first clip or prompt.

    Raises DataError for a name that could mean another place: only letters, digits, spaces, - and _ are taken.
    """
    name = unicodedata.normalize("NFC", name).strip()
    if not NAME.fullmatch(name):
        raise DataError(
            f"{name!r:.80} cannot name a dataset; use up to 64 letters, digits, spaces, - and _, "
            "beginning and ending with a letter or digit."
        )
    if name.casefold() == SELECTIONS:
        raise DataError(f"{name!r} is where chosen clips are listed; give the dataset another name.")
    return Collection(root / name)


def list_collections(root: Path) -> list[Collection]:
    """Every collection below the data root that has a clip or a prompt, by name."""
    found = {path.parent for name in (METADATA, PROMPTS) for path in root.glob(f"*/{name}")}
    return [
        Collection(folder) for folder in sorted(found) if (folder / LOCK).exists() and not folder.name.startswith(".")
    ]


def _table(clips: Iterable[RecordedClip]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([field.name for field in fields(RecordedClip)])
    rows.writerows(astuple(clip) for clip in clips)
    return text.getvalue()


def _one_line(text: str) -> str:
    """White space collapsed; what no text file can hold (control characters, half surrogate pairs) left out."""
    kept = (letter for letter in " ".join(text.split()) if unicodedata.category(letter) not in ("Cc", "Cs"))
    return "".join(kept).strip()


def _slug(text: str) -> str:
    """The first words as a file name that every system takes: lower-case ASCII letters, digits and dashes."""
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
