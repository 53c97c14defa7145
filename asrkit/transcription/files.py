"""Audio files of any length -> transcripts, in flat memory, telling how far it is. Torch comes with the listener."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asrkit.audio import SAMPLING_RATE, Waveform, check_speech, read_duration_s, stream_blocks
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import AudioError, ConfigError

if TYPE_CHECKING:
    from asrkit.transcription.transcriber import Transcriber

UNSURE = 0.15
"""A mean confidence under which the words are hardly what was said."""


@dataclass(frozen=True)
class Progress:
    """duration_s: by the file's header, which may be wrong."""

    heard_s: float
    duration_s: float
    words: list[Word]


def transcribe_file(
    path: str | Path,
    listener: Callable[[], Transcriber],
    *,
    expect: DecodingHints = NO_HINTS,
    progress: Callable[[Progress], None] = lambda told: None,
) -> Transcript:
    """The words of one file. Raises AudioError where it cannot be read, is silent or shorter than a word.

    listener: called once the file has turned out to be audio, for loading a model takes seconds.
    expect: what is likely to be said.
    progress: called with the words that are new; to give up, let it raise.
    """
    return transcribe_blocks(stream_blocks(path), expected_s(path), listener, progress, expect)


def transcribe_blocks(
    sound: Iterable[np.ndarray],
    duration_s: float,
    listener: Callable[[], Transcriber],
    progress: Callable[[Progress], None],
    expect: DecodingHints = NO_HINTS,
) -> Transcript:
    """The same for blocks at 16 kHz; duration_s is what is expected of them."""
    late = checked(sound)
    first = next(late, None)
    words, position = [], 0
    ready = listener()
    for position, found in ready.follow(_chain(first, late), expect.build_decoder(ready)):
        words += found
        progress(Progress(position / SAMPLING_RATE, max(duration_s, position / SAMPLING_RATE), found))
    return Transcript(words, position / SAMPLING_RATE)


def expected_s(path: str | Path) -> float:
    """Seconds of audio by the file's header; 0 where it cannot be read, which is said when it is decoded."""
    try:
        return read_duration_s(path)
    except AudioError:
        return 0.0


def checked(sound: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same blocks, two late, so that a short recording without speech is found before any is given out.

    Raises AudioError as `check_speech` does, of all blocks together.
    """
    late: deque[np.ndarray] = deque()
    silence: AudioError | None = None
    samples, heard = 0, False
    for block in sound:
        samples += len(block)
        if len(block) and not heard:
            try:
                check_speech(Waveform(block), min_duration_s=0.0)
                heard = True
            except AudioError as error:
                silence = error
        late.append(block)
        if len(late) > 2:
            yield late.popleft()
    if samples < SAMPLING_RATE:
        check_speech(Waveform(np.concatenate(late)))
    elif silence and not heard:
        raise silence
    yield from late


def _chain(first: np.ndarray | None, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    if first is not None:
        yield first
    yield from rest


def doubt(transcript: Transcript) -> str:
    """One sentence where the words are likely not what was said; nothing where they may be."""
    if not transcript.words:
        return "No speech was heard: this may be noise or music, or speech of another kind than the model was taught."
    if transcript.confidence < UNSURE:
        return (
            "The model is unsure of most words: this may be noise or music, another language, or speech of another "
            "kind than it was taught."
        )
    return ""


def write_text(path: Path, text: str) -> None:
    """A whole file or none. ConfigError where it cannot be written."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise ConfigError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error


def stems(names: list[str]) -> list[str]:
    """File names without their folders and endings; a number behind those that are taken already."""
    unique: list[str] = []
    for name in names:
        stem = free = Path(name).stem
        for number in count(2):
            if free not in unique:
                break
            free = f"{stem}-{number}"
        unique.append(free)
    return unique
