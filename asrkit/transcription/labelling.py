"""Pseudo-labels: recordings without transcripts -> a dataset that one's own model has transcribed, to train on.

Each recording is cut at its pauses, and each segment is transcribed. A segment is kept where the model is probably
right: the mean confidence of its words is mapped to the share of right words that it stands for, as measured on data
that the model was not trained on. Where speech had to be cut without a pause, the segment is left out: a word may be
cut, too.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.audio.confined import AudioReader
from asrkit.audio.segmentation import Segment, Segmenter
from asrkit.data.files import is_audio
from asrkit.data.manifest import Utterance
from asrkit.decoding.protocols import Decoder
from asrkit.decoding.transcript import Transcript
from asrkit.errors import AudioError, DataError
from asrkit.files import disarm_formula, replace_directory
from asrkit.jobs import ProgressCallback
from asrkit.text.scripts import tokenize_mixed
from asrkit.transcription.report import EvaluatedClip

if TYPE_CHECKING:  # which imports torch
    from asrkit.transcription.transcriber import Transcriber

COLUMNS = ("file_name", "text", "split", "speaker", "duration_s", "origin", "confidence", "recording")
TRANSCRIBED = "transcribed"
"""Origin of clips that came with their texts; that of the others names the model that wrote them."""
MIN_EVALUATED_CLIPS, MIN_POOL_WORDS = 10, 30
"""Clips that a calibration needs, and words that one of its steps is made of."""
MIN_SEGMENT_S = 0.3
GROUP_SEGMENTS = 32
Pool = tuple[float, float, float]
"""Words, their mean confidence, the share of them that is right."""


@dataclass(frozen=True)
class Calibration:
    """How many words are right at which confidence: a rising line through (confidence, accuracy)."""

    confidences: Sequence[float]
    accuracies: Sequence[float]

    def __call__(self, confidence: float) -> float:
        """Return the share of right words that is expected at a clip's mean confidence."""
        return float(np.interp(confidence, self.confidences, self.accuracies))


def calibrate(clips: Iterable[EvaluatedClip]) -> Calibration:
    """Fit the accuracy of words to the mean confidence of their clip, by isotonic regression weighted by words.

    Pool-adjacent-violators (Ayer et al., 1955) on steps of at least MIN_POOL_WORDS. The accuracy of a clip is
    1 - errors / words, so words that are missing count, too. Raises DataError for too few clips with words.
    """
    scored = sorted(
        (Transcript(list(clip.words), clip.duration_s).confidence, index, clip)
        for index, clip in enumerate(clip for clip in clips if clip.words and clip.reference)
    )
    if len(scored) < MIN_EVALUATED_CLIPS:
        raise DataError(
            f"The model heard words in {len(scored)} clips of the evaluation data, too few to calibrate "
            f"its confidence; give {MIN_EVALUATED_CLIPS} or more (--eval DATA)."
        )
    pools: list[Pool] = []
    for confidence, _, clip in scored:
        num_words = len(tokenize_mixed(clip.reference))
        pool = (float(num_words), confidence, max(0.0, 1 - clip.errors / num_words))
        if pools and pools[-1][0] < MIN_POOL_WORDS:
            pool = _merge(pools.pop(), pool)
        pools.append(pool)
    rising: list[Pool] = []
    for pool in pools:
        while rising and rising[-1][2] >= pool[2]:
            pool = _merge(rising.pop(), pool)
        rising.append(pool)
    return Calibration([confidence for _, confidence, _ in rising], [accuracy for _, _, accuracy in rising])


def _merge(left: Pool, right: Pool) -> Pool:
    total = left[0] + right[0]
    confidence, accuracy = (
        (left[0] * before + right[0] * after) / total for before, after in zip(left[1:], right[1:], strict=True)
    )
    return total, confidence, accuracy


@dataclass
class LabelCounts:
    """What became of the recordings. best: the highest accuracy that was expected of a segment."""

    num_recordings: int = 0
    num_kept: int = 0
    num_left_out: int = 0
    kept_s: float = 0.0
    best: float = 0.0
    unreadable: list[str] = field(default_factory=list)


def find_recordings(folder: Path) -> list[Path]:
    """Return the audio files in a folder and the folders in it, sorted. Raises DataError where there are none."""
    recordings = sorted(path for path in folder.rglob("*") if path.is_file() and is_audio(path))
    if not recordings:
        raise DataError(f"{folder} holds no recordings; give a folder of audio files.")
    return recordings


def label_recordings(
    recordings: Sequence[Path],
    folder: Path,
    transcriber: Transcriber,
    calibration: Calibration,
    out: Path,
    *,
    model: str,
    keep: float,
    decoder: Decoder | None = None,
    transcribed: Sequence[tuple[str, Utterance]] = (),
    on_progress: ProgressCallback = lambda message, done, total: None,
) -> LabelCounts:
    """Write the dataset `out`: the segments of which a share of `keep` of the words is expected to be right.

    folder: that the recordings are in. model: its name, for the column `origin`. decoder: that of the calibration;
    default: the model's own. transcribed: (split, clip) of data with texts, which is copied into the dataset. Raises
    DataError where no segment is kept; nothing is written then.
    """
    counts = LabelCounts()
    with replace_directory(out) as draft:
        (draft / "clips").mkdir(parents=True)
        with open(draft / "metadata.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            table.writerows(_copy_transcribed(transcribed, draft, on_progress))
            for number, recording in enumerate(recordings):
                on_progress("Labelling the recordings", number, len(recordings))
                source = str(recording.relative_to(folder))
                try:
                    for position_s, wave, transcript in _transcribe_segments(recording, transcriber, decoder):
                        expected = calibration(transcript.confidence) if transcript.words else 0.0
                        counts.best = max(counts.best, expected)
                        if expected < keep:
                            counts.num_left_out += 1
                            continue
                        name = _write_clip(draft, f"{number:05d}-{round(100 * position_s):07d}", wave)
                        where = disarm_formula(f"{source} at {position_s:.2f} s")
                        origin = f"pseudo-label of {model}"
                        text, duration_s = disarm_formula(transcript.text), round(wave.duration_s, 3)
                        table.writerow([name, text, "train", "", duration_s, origin, round(expected, 4), where])
                        counts.num_kept, counts.kept_s = counts.num_kept + 1, counts.kept_s + wave.duration_s
                    counts.num_recordings += 1
                except AudioError as error:
                    counts.unreadable.append(str(error))
        if not counts.num_kept:
            raise DataError(
                f"No segment of the {len(recordings)} recordings reaches {keep:g}: the most that is expected is "
                f"{counts.best:.2f} of the words. Lower --keep, or train the model further first."
            )
    return counts


def _copy_transcribed(
    transcribed: Sequence[tuple[str, Utterance]], draft: Path, on_progress: ProgressCallback
) -> Iterator[tuple[str | float, ...]]:
    """Copy clips with texts, and yield their rows of COLUMNS."""
    with AudioReader(row.audio for _, row in transcribed) as reader:
        for number, (split, row) in enumerate(transcribed):
            on_progress("Copying clips with texts", number, len(transcribed))
            wave = reader.load(row.audio, start_s=row.start_s, end_s=row.end_s)
            name = _write_clip(draft, f"transcribed-{number:05d}", wave)
            text, speaker = disarm_formula(row.text), disarm_formula(row.speaker or "")
            yield name, text, split, speaker, round(wave.duration_s, 3), TRANSCRIBED, "", ""


def _transcribe_segments(
    recording: Path, transcriber: Transcriber, decoder: Decoder | None
) -> Iterator[tuple[float, Waveform, Transcript]]:
    """Yield (seconds into the recording, audio, transcript) of the segments between pauses."""
    segments = _cut_at_pauses(recording)
    while group := list(islice(segments, GROUP_SEGMENTS)):
        waves = [wave for _, wave in group]
        for (position_s, wave), transcript in zip(group, transcriber.transcribe_batch(waves, decoder), strict=True):
            yield position_s, wave, transcript


def _cut_at_pauses(recording: Path) -> Iterator[tuple[float, Waveform]]:
    segmenter, is_after_cut = Segmenter(), False
    for segment in _segments(recording, segmenter):
        was_after_cut, is_after_cut = is_after_cut, segment.is_forced_cut
        start = max(segment.keep_from, segment.start)
        samples = segment.samples[start - segment.start : segment.keep_to - segment.start]
        if not (was_after_cut or segment.is_forced_cut) and len(samples) >= MIN_SEGMENT_S * SAMPLING_RATE:
            yield start / SAMPLING_RATE, Waveform(samples)


def _segments(recording: Path, segmenter: Segmenter) -> Iterator[Segment]:
    with AudioReader([recording]) as reader:
        for block in reader.stream(recording):
            yield from segmenter.push(block)
    yield from segmenter.finish()


def _write_clip(folder: Path, name: str, wave: Waveform) -> str:
    path = f"clips/{name}.flac"
    soundfile.write(folder / path, wave.samples, SAMPLING_RATE, subtype="PCM_16")
    return path
