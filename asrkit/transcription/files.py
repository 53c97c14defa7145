"""Transcription of audio files of any length, in constant memory, with progress. Loads no torch by itself."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asrkit.audio import SAMPLING_RATE, OnNote, Waveform, check_speech, ignore_note
from asrkit.audio.confined import AudioReader, split_channels_confined
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import AudioError

if TYPE_CHECKING:  # which imports torch
    from asrkit.transcription.transcriber import Transcriber

MIN_CONFIDENCE = 0.15
"""Mean confidence under which the words are hardly what was said."""
MAX_UNLISTED_SHARE = 0.2
"""Share of words outside a model's word list up to which nothing is said: it may be wrong about single words."""


@dataclass(frozen=True)
class FileUpdate:
    """processed_s: seconds transcribed. duration_s: all seconds, within a frame of the format.

    words: the new ones.
    """

    processed_s: float
    duration_s: float
    words: list[Word]


def transcribe_file(
    path: str | Path,
    load_transcriber: Callable[[], Transcriber],
    *,
    hints: DecodingHints = NO_HINTS,
    on_update: Callable[[FileUpdate], None] = lambda update: None,
    on_note: OnNote = ignore_note,
) -> Transcript:
    """Transcribe one file. Raises AudioError where it cannot be read, is silent or shorter than a word.

    load_transcriber: called once the file has turned out to be audio, as loading a model takes seconds.
    on_update: called with the new words; it may raise to stop the work. on_note: called with what was read otherwise
    than the file plainly says.
    """
    with AudioReader([path]) as reader:
        duration_s = header_duration_s(path, reader)
        return transcribe_blocks(reader.stream(path, on_note), duration_s, load_transcriber, on_update, hints)


def transcribe_channels(
    path: str | Path,
    load_transcriber: Callable[[], Transcriber],
    *,
    hints: DecodingHints = NO_HINTS,
    on_update: Callable[[FileUpdate], None] = lambda update: None,
    on_note: OnNote = ignore_note,
) -> Transcript:
    """Transcribe each channel of a file by itself, as `transcribe_file` does; words have the number of theirs.

    A channel without speech has no words. Raises AudioError where none has any, and as `split_channels` does.
    """
    words, durations_s, errors, common_words = [], [], [], ""
    with tempfile.TemporaryDirectory(prefix="asrkit-channels-") as folder:
        for number, channel in enumerate(split_channels_confined(path, Path(folder)), 1):
            try:
                transcript = transcribe_file(
                    channel, load_transcriber, hints=hints, on_update=on_update, on_note=on_note
                )
            except AudioError as error:
                errors.append(AudioError(str(error).replace(str(channel), f"Channel {number} of {path}")))
                continue
            words += [replace(word, channel=number) for word in transcript.words]
            durations_s.append(transcript.duration_s)
            common_words = transcript.common_words
    if not durations_s:
        raise errors[0]
    return Transcript(words, max(durations_s), common_words=common_words)


def transcribe_blocks(
    blocks: Iterable[np.ndarray],
    duration_s: float,
    load_transcriber: Callable[[], Transcriber],
    on_update: Callable[[FileUpdate], None],
    hints: DecodingHints = NO_HINTS,
) -> Transcript:
    """Transcribe blocks of samples at 16 kHz as `transcribe_file` does; duration_s: their expected length."""
    checked = check_blocks(blocks)
    first = list(islice(checked, 1))  # raises for what is no speech, before a model is loaded
    transcriber = load_transcriber()
    words, position = [], 0
    for position, new_words in transcriber.iter_words(chain(first, checked), hints.build_decoder(transcriber)):
        words += new_words
        processed_s = position / SAMPLING_RATE
        on_update(FileUpdate(processed_s, max(duration_s, processed_s), new_words))
    return Transcript(words, position / SAMPLING_RATE, common_words=hints.find_common_words(transcriber))


def header_duration_s(path: str | Path, reader: AudioReader) -> float:
    """Return the seconds of audio without decoding it; 0 where it cannot be read: decoding the file raises then."""
    try:
        return reader.read_duration_s(path)
    except AudioError:
        return 0.0


def check_blocks(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the same blocks, two behind, so that a short recording without speech raises before the first is yielded.

    Raises AudioError as `check_speech` does, for all blocks together.
    """
    held: deque[np.ndarray] = deque()
    silence: AudioError | None = None
    num_samples, has_speech = 0, False
    for block in blocks:
        num_samples += len(block)
        if len(block) and not has_speech:
            try:
                check_speech(Waveform(block), min_duration_s=0.0)
                has_speech = True
            except AudioError as error:
                silence = error
        held.append(block)
        if len(held) > 2 and num_samples >= SAMPLING_RATE:
            yield held.popleft()
    if num_samples < SAMPLING_RATE:
        check_speech(Waveform(np.concatenate(held)))
    elif silence and not has_speech:
        raise silence
    yield from held


def quality_warning(transcript: Transcript) -> str:
    """Return one sentence where the words are probably not what was said, else an empty string."""
    if not transcript.words:
        return (
            "No speech was heard: this may be noise or music, or speech of another kind than the model was trained on."
        )
    num_unlisted = sum(word.not_in_word_list for word in transcript.words)
    if num_unlisted > MAX_UNLISTED_SHARE * len(transcript.words):
        return (
            f"{num_unlisted} of {len(transcript.words)} words are not in the word list: the model knows the words of "
            "its list alone, and wrote the most similar ones. Choose another model for other speech, or give the "
            "words to expect."
        )
    if transcript.confidence < MIN_CONFIDENCE:
        return (
            "The model is unsure of most words: this may be noise or music, another language, or speech of another "
            "kind than it was trained on."
        )
    return ""


def unique_stems(names: list[str]) -> list[str]:
    """Return file names without folder and suffix, with a number added to those that occurred before."""
    stems: list[str] = []
    for name in names:
        stem = unique = Path(name).stem
        for number in count(2):
            if unique not in stems:
                break
            unique = f"{stem}-{number}"
        stems.append(unique)
    return stems
