"""Transcripts as text files.

A writer is a function that takes a transcript and returns the text of its file. To add a format, write one in a module
of its family (or a new module) and list it in WRITERS: the command line and the page offer what is listed there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from asrkit.decoding.transcript import Transcript
from asrkit.errors import ConfigError, DataError
from asrkit.files import write_atomic
from asrkit.transcription.writers.annotations import to_audacity, to_ctm, to_eaf, to_elan_text, to_textgrid
from asrkit.transcription.writers.subtitles import to_srt, to_vtt
from asrkit.transcription.writers.words import to_json, to_tsv, to_txt

Writer = Callable[[Transcript], str]

WRITERS: dict[str, Writer] = {
    "txt": to_txt,
    "json": to_json,
    "srt": to_srt,
    "vtt": to_vtt,
    "tsv": to_tsv,
    "eaf": to_eaf,
    "textgrid": to_textgrid,
    "elan": to_elan_text,
    "audacity": to_audacity,
    "ctm": to_ctm,
}
"""Name of a format, which is also its file suffix unless SUFFIXES has another -> its writer."""
SUFFIXES = {"textgrid": "TextGrid", "elan": "elan.txt", "audacity": "labels.txt"}
WITH_CHANNELS = ("eaf", "textgrid", "elan", "ctm", "json")
"""Formats that tell the words of several channels apart."""


def find(name: str) -> Writer:
    """Return the writer of a format. Raises DataError for a format that there is not."""
    if name not in WRITERS:
        raise DataError(f"There is no format {name!r:.60}; choose one of {', '.join(WRITERS)}.")
    return WRITERS[name]


def file_name(stem: str, name: str) -> str:
    """Return the name of the file of a transcript in the format `name`."""
    return f"{stem}.{SUFFIXES.get(name, name)}"


def write_text(path: Path, text: str | bytes) -> None:
    """Write a file atomically, with its folders. Raises ConfigError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomic(path) as file:
            file.write(text.encode("utf-8") if isinstance(text, str) else text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error
