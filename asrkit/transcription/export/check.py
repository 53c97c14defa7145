"""Comparison of an exported graph with the model in PyTorch, on real clips, before anybody gets it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asrkit.audio import Waveform
from asrkit.audio.confined import AudioReader
from asrkit.data import manifest, sources
from asrkit.data.manifest import Utterance
from asrkit.decoding.protocols import Decoder
from asrkit.errors import AudioError, ModelError
from asrkit.jobs import ProgressCallback
from asrkit.runs.run import Run
from asrkit.transcription import evaluation
from asrkit.transcription.report import EvaluationReport
from asrkit.transcription.transcriber import MAX_CLIP_S, Transcriber

DEMO_CLIPS = Path(__file__).resolve().parents[3] / "assets" / "demo" / "callsigns"
MAX_CLIPS, MAX_AUDIO_S = 200, 600.0
"""Of the clips that are transcribed with each variant of a model."""
NUM_COMPARED = 8
"""Clips whose log posteriors are compared frame by frame."""
MAX_DIFFERENCE = 1e-3
"""Between the log posteriors of PyTorch and of a float32 graph. Seen: 3e-5."""
MAX_CHANGED = 0.01
"""Share of clips whose text may differ nevertheless: where two tokens are equally likely, a rounding error decides."""


@dataclass(frozen=True)
class ClipSet:
    """Clips with texts, and the rules that both texts go through before they are compared. source: run or demo."""

    clips: Sequence[Utterance]
    normaliser: str
    source: str


@dataclass(frozen=True)
class Variant:
    """A model as it is exported: its transcriber, and its report on the clips."""

    name: str
    report: EvaluationReport

    def num_changed(self, reference: Variant) -> int:
        """Return the number of clips whose text differs."""
        return sum(
            _text(one) != _text(other) for one, other in zip(self.report.clips, reference.report.clips, strict=True)
        )

    def summary(self) -> dict[str, float]:
        metrics = self.report.summary()
        return {key: metrics[key] for key in ("wer", "cer", "rtfx")}


def find_clips(checkpoint: Path) -> ClipSet:
    """Return the evaluation clips of the run that a checkpoint belongs to; those of the demo for any other model."""
    if run := Run.of_checkpoint(checkpoint):
        path = run.manifest_path("eval")
        if path.exists() and (readable := _select_readable(_thin_out(manifest.read(path)))):
            return ClipSet(readable, run.config().text_rules, "run")
    return ClipSet(_thin_out(sources.load(str(DEMO_CLIPS)).unseen), "basic", "demo")


def evaluate(
    name: str, transcriber: Transcriber, clips: ClipSet, decoder: Decoder | None, on_progress: ProgressCallback
) -> Variant:
    """Transcribe the clips with one variant. Raises AudioError where none can be read, or what `on_progress` raises."""
    report = evaluation.evaluate(
        transcriber,
        clips.clips,
        clips.normaliser,
        decoder=decoder,
        on_progress=lambda message, done, total: on_progress(f"Transcribing with {name}", done, total),
    )
    return Variant(name, report)


def measure_difference(reference: Transcriber, exported: Transcriber, clips: ClipSet) -> float:
    """Return the largest difference of two models' log posteriors on some clips; infinite for other shapes.

    The clips are given together, so that lengths are mixed in batches where the architecture allows it.
    """
    compared = clips.clips[:: max(1, len(clips.clips) // NUM_COMPARED)][:NUM_COMPARED]
    with AudioReader(clip.audio for clip in compared) as reader:
        waves = [_load(reader, clip).samples for clip in compared]
    pairs = zip(*(model.engine.log_probabilities(waves) for model in (reference, exported)), strict=True)
    return max(
        float(np.abs(wanted - found).max(initial=0)) if wanted.shape == found.shape else float("inf")
        for wanted, found in pairs
    )


def is_text_same(reference: Transcriber, other: Transcriber, clips: ClipSet) -> bool:
    """Whether two transcribers write the same text for every clip; the first difference ends the comparison."""
    with AudioReader(clip.audio for clip in clips.clips) as reader:
        for start in range(0, len(clips.clips), NUM_COMPARED):
            waves = [_load(reader, clip) for clip in clips.clips[start : start + NUM_COMPARED]]
            texts, others = (
                [transcript.text for transcript in model.transcribe_batch(waves)] for model in (reference, other)
            )
            if texts != others:
                return False
    return True


def load_sample(clips: ClipSet, max_audio_s: float) -> list[Waveform]:
    """Return clips from all over the list, with about that many seconds of audio; at least one."""
    with AudioReader(clip.audio for clip in clips.clips) as reader:
        waves: list[Waveform] = []
        for clip in clips.clips[:: max(1, len(clips.clips) // NUM_COMPARED)]:
            waves.append(_load(reader, clip))
            if sum(wave.duration_s for wave in waves) >= max_audio_s:
                break
    return waves


def require_same(name: str, difference: float, num_changed: int, num_clips: int) -> None:
    """Raise ModelError if a float32 graph is not the model that it was made of."""
    if not difference <= MAX_DIFFERENCE or num_changed > MAX_CHANGED * num_clips:
        raise ModelError(
            f"The exported graph of the model {name} is not the same as the model (log posteriors differ by up to "
            f"{difference:.2g}, the text of {num_changed} clips); nothing was written."
        )


def _thin_out(clips: Sequence[Utterance]) -> list[Utterance]:
    """Return clips evenly spread over the list, as many as are transcribed in a few minutes."""
    whole = [clip for clip in clips if not clip.fault and clip.duration_s <= MAX_CLIP_S] or list(clips)
    total_s = sum(max(clip.duration_s, 0.0) for clip in whole)
    count = min(MAX_CLIPS, len(whole), max(1, int(len(whole) * MAX_AUDIO_S / max(total_s, MAX_AUDIO_S))))
    return [whole[index * len(whole) // count] for index in range(count)]


def _select_readable(clips: Sequence[Utterance]) -> list[Utterance]:
    """Return the clips whose audio is still there."""
    readable = []
    with AudioReader(clip.audio for clip in clips) as reader:
        for clip in clips:
            with contextlib.suppress(AudioError):
                _load(reader, clip)
                readable.append(clip)
    return readable


def _load(reader: AudioReader, clip: Utterance) -> Waveform:
    return reader.load(clip.audio, start_s=clip.start_s, end_s=clip.end_s)


def _text(clip: Any) -> list[str]:
    return [word.word for word in clip.words]
