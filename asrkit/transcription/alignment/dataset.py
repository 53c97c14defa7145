"""A long recording and its text -> a dataset of clips."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import soundfile

from asrkit.audio import SAMPLING_RATE
from asrkit.audio.confined import AudioReader
from asrkit.decoding.tokens import Speller
from asrkit.errors import DataError
from asrkit.files import replace_directory, write_json
from asrkit.heap import trim_heap
from asrkit.jobs import ProgressCallback
from asrkit.transcription.alignment.band import find_band
from asrkit.transcription.alignment.clips import AlignedClip, Passage, cut_clips
from asrkit.transcription.alignment.placement import place_words
from asrkit.transcription.alignment.posteriors import PosteriorFile
from asrkit.transcription.alignment.recording import ScoredRecording
from asrkit.transcription.alignment.script import ScriptWord, SpelledScript, spell_script
from asrkit.transcription.alignment.viterbi import find_path
from asrkit.transcription.files import check_blocks, header_duration_s

if TYPE_CHECKING:  # which imports torch
    from asrkit.transcription.transcriber import Transcriber

COLUMNS = ("file_name", "start_s", "end_s", "text", "score")
RECORDING, TABLE, REPORT = "recording.flac", "metadata.csv", "alignment.json"
MIN_FOUND_SHARE = 0.5
"""Of half an hour of speech and the text of another, a weak model found a quarter of the words."""


@dataclass(frozen=True)
class AlignmentResult:
    """The clips of a recording, and the passages where it and its text differ, each in order of time.

    num_words, num_words_in_clips: of the text, without punctuation. replaced, replaced_share: letters that the model
    does not know, with what they were read as, and their share of all.
    """

    clips: list[AlignedClip]
    passages: list[Passage]
    duration_s: float
    num_words: int
    num_words_in_clips: int
    replaced: dict[str, str]
    replaced_share: float

    @property
    def clips_s(self) -> float:
        return sum(clip.end_s - clip.start_s for clip in self.clips)

    @property
    def is_doubtful(self) -> bool:
        """Whether so little of the text was found that it may be that of another recording."""
        return self.num_words_in_clips < MIN_FOUND_SHARE * self.num_words


def align_recording(
    audio: Path,
    words: Sequence[ScriptWord],
    transcriber: Transcriber,
    out: Path,
    *,
    rules: str,
    on_progress: ProgressCallback = lambda message, done, total: None,
) -> AlignmentResult:
    """Write the dataset `out`: the recording, a table of its clips, and what was found.

    rules: of the normalisation of texts that the model was trained on. Raises DataError where nothing can be aligned;
    nothing is written then. AudioError for a recording that cannot be read or is silent, ModelError where the model
    cannot spell the text.
    """
    with replace_directory(out) as draft:
        draft.mkdir(parents=True)
        result = _align(audio, words, transcriber, draft / RECORDING, rules, on_progress)
        if not result.clips:
            raise DataError(
                f"No part of {audio} fits the text: it is the text of another recording, or the model does not "
                "recognise the speech well enough; choose another model, or correct the text."
            )
        _write_table(draft / TABLE, result.clips)
        write_json(draft / REPORT, describe(result))
    return result


def _align(
    audio: Path,
    words: Sequence[ScriptWord],
    transcriber: Transcriber,
    copy: Path,
    rules: str,
    on_progress: ProgressCallback,
) -> AlignmentResult:
    speller = Speller.from_tokenizer(transcriber.processor.tokenizer)
    script = spell_script(words, speller, rules)
    # A tokenizer may have tokens that the model has no output for.
    vocabulary = sorted({token for token in script.token_ids if token < transcriber.engine.num_tokens})
    spoken = frozenset(script.words.tolist()) | script.unspelled
    with PosteriorFile(vocabulary, transcriber.blank_id, speller.delimiter_id) as posteriors:
        recording = ScoredRecording(posteriors, transcriber.blank_id, speller.delimiter_id)
        with AudioReader([audio]) as reader:
            expected_s = header_duration_s(audio, reader)
            blocks = _copy_blocks(check_blocks(reader.stream(audio)), copy)
            for seconds in recording.score(blocks, transcriber.engine):
                on_progress("Recognising the speech", round(seconds), round(max(expected_s, seconds)))
                trim_heap()
        if not recording.segments:
            raise DataError(f"No speech was heard in {audio}.")
        centres_s = recording.centres_s
        captions = _place_captions(words, script, centres_s)
        on_progress("Aligning the text", 0, 0)
        band = find_band(recording.recognised, recording.recognised_frames, script.token_ids, len(centres_s), captions)
        path = find_path(posteriors, script.to_sequence(vocabulary), band)
    placement = place_words(path, script, len(words), recording.recognised_frames)
    clips, passages = cut_clips(words, spoken, placement, recording.segments, centres_s)
    return AlignmentResult(
        clips,
        passages,
        recording.duration_s,
        len(spoken),
        sum(clip.num_words for clip in clips),
        script.replaced,
        script.num_replaced / max(1, script.num_letters),
    )


def _copy_blocks(blocks: Iterable[npt.NDArray[np.float32]], copy: Path) -> Iterator[npt.NDArray[np.float32]]:
    with soundfile.SoundFile(copy, "w", SAMPLING_RATE, 1, "PCM_16") as file:
        for block in blocks:
            file.write(block)
            yield block


def _place_captions(
    words: Sequence[ScriptWord], script: SpelledScript, centres_s: npt.NDArray[np.float32]
) -> list[tuple[int, int]]:
    """Return the (frame, token) of each caption; nothing for plain text."""
    placed: dict[float, int] = {}
    for token, word in enumerate(script.words.tolist()):
        caption_s = words[word].caption_s
        if caption_s is not None:
            placed.setdefault(caption_s, token)
    frames = np.searchsorted(centres_s, list(placed)).clip(0, len(centres_s) - 1)
    return list(zip(frames.tolist(), placed.values(), strict=True))


def _write_table(path: Path, clips: Sequence[AlignedClip]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(
            (RECORDING, f"{clip.start_s:.3f}", f"{clip.end_s:.3f}", clip.text, f"{clip.score:.4f}") for clip in clips
        )


def describe(result: AlignmentResult) -> dict[str, Any]:
    """Return what `alignment.json` holds: how much was found, and the passages in no clip."""
    return {
        "duration_s": round(result.duration_s, 3),
        "clips": len(result.clips),
        "clips_s": round(result.clips_s, 3),
        "words": result.num_words,
        "words_in_clips": result.num_words_in_clips,
        "replaced": result.replaced,
        "replaced_share": round(result.replaced_share, 4),
        "passages": [
            {
                "kind": passage.kind,
                "start_s": round(passage.start_s, 3),
                "end_s": round(passage.end_s, 3),
                "text": passage.text,
            }
            for passage in result.passages
        ],
    }
