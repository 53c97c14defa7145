"""Evaluation of a model on a dataset."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from asrkit.audio import Waveform
from asrkit.cores import count_cores
from asrkit.data.manifest import Utterance
from asrkit.data.streams.clips import ClipReader
from asrkit.errors import AudioError, DataError
from asrkit.jobs import ProgressCallback
from asrkit.text.normalisers import normalise
from asrkit.transcription.inference_threads import iter_ahead
from asrkit.transcription.report import EvaluatedClip, EvaluationReport

if TYPE_CHECKING:  # which imports torch
    from asrkit.decoding.protocols import Decoder
    from asrkit.transcription.transcriber import Transcriber

MAX_GROUP_CLIPS, MAX_GROUP_S = 64, 600.0
"""Clips, and seconds of audio, that are transcribed together; as many are decoded meanwhile, and as many wait."""
UNKNOWN_DURATION_S = 30.0
"""Duration that a clip of unknown length is counted with."""


def evaluate(
    transcriber: Transcriber,
    utterances: Sequence[Utterance],
    normaliser: str,
    *,
    decoder: Decoder | None = None,
    on_progress: ProgressCallback = lambda message, done, total: None,
) -> EvaluationReport:
    """Transcribe every utterance and score it; reference and hypothesis go through the same normaliser.

    on_progress: called with clips done and all clips; it may raise to stop the work. A clip that cannot be read is left
    out and listed in the report. Streamed clips are fetched. Raises DataError without utterances, ConfigError for an
    unknown normaliser, HubError for a clip that cannot be fetched, and AudioError where no clip can be read.
    """
    if not utterances:
        raise DataError("There is no clip to evaluate on; choose a dataset that has some.")
    normalise("", normaliser)  # raises for a wrong name before hours of work
    started = time.monotonic()
    clips: dict[int, EvaluatedClip] = {}
    errors: list[AudioError] = []
    groups = _group_by_length([utterance.duration_s for utterance in utterances])
    with (
        ClipReader(utterance.audio for utterance in utterances if not utterance.fault) as reader,
        ThreadPoolExecutor(1, "clips") as pool,
        contextlib.closing(iter_ahead(pool, lambda group: _load_waves(utterances, group, reader), groups, 1)) as loaded,
    ):
        for waves, unreadable in loaded:
            on_progress("Transcribing the clips", len(clips) + len(errors), len(utterances))
            errors += unreadable
            if not waves:
                continue
            transcripts = transcriber.transcribe_batch(list(waves.values()), decoder)
            for index, transcript in zip(waves, transcripts, strict=True):
                clips[index] = EvaluatedClip(
                    utterances[index],
                    normalise(utterances[index].text, normaliser),
                    normalise(transcript.text, normaliser),
                    transcript.words,
                    transcript.duration_s,
                )
    on_progress("Transcribing the clips", len(utterances), len(utterances))
    if not clips:
        raise errors[0]
    elapsed_s = time.monotonic() - started
    return EvaluationReport([clips[index] for index in sorted(clips)], elapsed_s, [str(error) for error in errors])


def _load_waves(
    utterances: Sequence[Utterance], group: list[int], reader: ClipReader
) -> tuple[dict[int, Waveform], list[AudioError]]:
    """Decode the clips of a group on all cores, while the last group is transcribed; return the errors of others."""

    def load(index: int) -> Waveform | AudioError:
        utterance = utterances[index]
        if utterance.fault:
            return AudioError(f"{utterance.row}: {utterance.fault}")
        try:
            return reader.load(utterance.audio, start_s=utterance.start_s, end_s=utterance.end_s)
        except AudioError as error:
            return error

    waves, errors = dict[int, Waveform](), list[AudioError]()
    with ThreadPoolExecutor(count_cores()) as threads:
        for index, loaded in zip(group, threads.map(load, group), strict=True):
            if isinstance(loaded, AudioError):
                errors.append(loaded)
            else:
                waves[index] = loaded
    return waves, errors


def _group_by_length(durations_s: Sequence[float]) -> Iterator[list[int]]:
    """Yield indices of clips that are in memory together: of similar length, so that batches need little padding."""
    durations_s = [duration_s if duration_s > 0 else UNKNOWN_DURATION_S for duration_s in durations_s]
    group: list[int] = []
    group_s = 0.0
    for index in sorted(range(len(durations_s)), key=durations_s.__getitem__):
        if group and (len(group) == MAX_GROUP_CLIPS or group_s + durations_s[index] > MAX_GROUP_S):
            yield group
            group, group_s = [], 0.0
        group.append(index)
        group_s += durations_s[index]
    yield group
