"""Transcripts as text files.

A writer is a function that takes a transcript and returns the text of its file. To add a format, write one in a module
of its family (or a new module) and list it in WRITERS: the command line and the page offer what is listed there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from asrkit.decoding.transcript import Transcript
from asrkit.errors import ConfigError
from asrkit.files import write_atomic
from asrkit.transcription.writers.subtitles import to_srt, to_vtt
from asrkit.transcription.writers.words import to_json, to_tsv, to_txt

Writer = Callable[[Transcript], str]

WRITERS: dict[str, Writer] = {"txt": to_txt, "json": to_json, "srt": to_srt, "vtt": to_vtt, "tsv": to_tsv}
"""Name of a format, which is also its file suffix -> its writer."""


def write_text(path: Path, text: str) -> None:
    """Write a file atomically, with its folders. Raises ConfigError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomic(path) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error
