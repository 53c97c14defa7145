"""Notes on a recording: what was read otherwise than its file plainly says; and the errors of files that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from asrkit.errors import AudioError

NoteCode = Literal[
    "wrong-length",
    "joined-files",
    "assumed-audio",
    "cut-short",
    "undecodable-parts",
    "late-start",
    "time-gaps",
    "opposite-phase",
    "silent-channel",
]

_WARNINGS: dict[NoteCode, str] = {
    "wrong-length": "The file's header does not give its length ({detail}); all of its audio was read.",
    "joined-files": "The file holds {detail} one after another; all of them were read.",
    "assumed-audio": "The file's header is wrong, and what follows the declared audio was read as audio too "
    "({detail}); listen to the end of the recording.",
    "cut-short": "The end of the recording is missing ({detail}); copy or download the file again.",
    "undecodable-parts": "Parts of the file are damaged and were left out ({detail}); copy or download it again.",
    "late-start": "The audio begins {detail} after the start of the file; all times count from the start of the file.",
    "time-gaps": "The recording was interrupted ({detail}); silence was put in, so that times are those of the file.",
    "opposite-phase": "Channels are in opposite phase ({detail}): one was inverted, as they would have cancelled out.",
    "silent-channel": "Only one channel was recorded ({detail} silent); it was used at its full level.",
}


@dataclass(frozen=True)
class AudioNote:
    """detail: a few words with the figures of this recording, such as "2.5 s in 1 gap"."""

    code: NoteCode
    detail: str

    @property
    def warning(self) -> str:
        """One sentence for whoever transcribes the recording."""
        return _WARNINGS[self.code].format(detail=self.detail)


OnNote = Callable[[AudioNote], None]


def ignore_note(note: AudioNote) -> None:
    """Drop a note."""


def length_note(code: NoteCode, claimed_s: float, found_s: float) -> AudioNote:
    return AudioNote(code, f"{claimed_s:.1f} s by the header, {found_s:.1f} s in the file")


def cut_off_error(name: str, fraction: float) -> AudioError:
    return AudioError(f"{name} is cut off: only {fraction:.0%} of the audio is there; copy or download it again.")
