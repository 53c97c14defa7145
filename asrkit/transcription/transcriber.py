"""A checkpoint with its decoder: clips and recordings of any length -> words."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from asrkit.audio import SAMPLING_RATE, Waveform, vad
from asrkit.audio.segmentation import Segment, Segmenter
from asrkit.decoding.loading import load_decoder
from asrkit.decoding.protocols import Decoder
from asrkit.decoding.segment_merger import SegmentMerger
from asrkit.decoding.transcript import Transcript, Word, extend_word_ends
from asrkit.heap import trim_heap
from asrkit.models import checkpoints
from asrkit.transcription.engine import ALL_THREADS, Engine
from asrkit.transcription.export.graph import Layout
from asrkit.transcription.inference_threads import DETECTING, get_pool, iter_ahead
from asrkit.transcription.onnx_graph import OnnxGraph

MAX_CLIP_S = 24.0
"""Clips up to this length are transcribed whole, as in training; longer ones are segmented at their pauses."""
GROUP_BATCHES = 5
"""Full batches of segments of a recording that are gathered on a processor, then transcribed: two minutes. A GPU gets
one full batch, and meanwhile the next is segmented."""
OVERLAP_S = 4.0
"""Seconds that two neighbouring windows of `log_probabilities` share."""

Group = tuple[int, list[Segment]]
"""Samples of a recording that were read so far, and the segments in those since the last group."""


class Transcriber:
    """CTC transcription with one checkpoint: greedy, or with its own word list. Raises ModelError as `Engine` does."""

    def __init__(self, checkpoint: str, device: str | None = None, dtype: torch.dtype | None = None) -> None:
        self.engine = Engine(checkpoint, device, dtype)
        self.processor, self.blank_id = self.engine.processor, self.engine.blank_id
        settings = checkpoints.read_config(Path(checkpoint))
        self.decoder = load_decoder(checkpoint, self.processor, self.blank_id, settings)

    def with_graph(self, path: Path, layout: Layout = "batch") -> Transcriber:
        """Return such a transcriber that runs the graph at `path` in place of the model."""
        changed = copy.copy(self)
        changed.engine = copy.copy(self.engine)
        changed.engine.graph = OnnxGraph(path, layout, self.engine.num_threads)
        return changed

    def transcribe(self, wave: Waveform, decoder: Decoder | None = None) -> Transcript:
        """Transcribe one clip; decoder: in place of the checkpoint's own."""
        return self.transcribe_batch([wave], decoder)[0]

    def transcribe_batch(self, waves: Sequence[Waveform], decoder: Decoder | None = None) -> list[Transcript]:
        """Transcribe clips, in batches of like lengths; the results are those of `transcribe`."""
        short = [wave if wave.duration_s <= MAX_CLIP_S else Waveform(wave.samples[:0]) for wave in waves]
        words = self._transcribe_clips(short, decoder)
        return [
            Transcript(clip_words, clip.duration_s) if clip is wave else self.transcribe_blocks([wave.samples], decoder)
            for clip, wave, clip_words in zip(short, waves, words, strict=True)
        ]

    def _transcribe_clips(self, clips: Sequence[Waveform], decoder: Decoder | None) -> list[list[Word]]:
        """Return the words of each clip; a batch is decoded while the next is computed."""
        words: list[list[Word]] = [[] for _ in clips]
        for index, scores in self.engine.iter_log_probabilities([clip.samples for clip in clips]):
            words[index] = self._decode(clips[index], scores, decoder)
        return words

    def transcribe_blocks(self, blocks: Iterable[np.ndarray], decoder: Decoder | None = None) -> Transcript:
        """Transcribe a recording of any length, given as blocks of samples, with two minutes of it in memory."""
        words, num_samples = [], 0
        for position, new_words in self.iter_words(blocks, decoder):
            words += new_words
            num_samples = position
        return Transcript(words, num_samples / SAMPLING_RATE)

    def iter_words(
        self, blocks: Iterable[np.ndarray], decoder: Decoder | None = None
    ) -> Iterator[tuple[int, list[Word]]]:
        """Yield (samples consumed, new words) while a recording is transcribed. Words never change afterwards.

        The next of it is read and segmented meanwhile, in a thread of its own, except where there is only one for all.
        """
        merger, num_threads = SegmentMerger(), self.engine.num_threads
        detecting = get_pool(DETECTING, ALL_THREADS) if num_threads > 1 else None
        blocks = join_blocks(blocks, vad.BATCH_SAMPLES * num_threads)
        is_on_cpu = self.engine.device.type == "cpu"
        groups = iter_groups(blocks, self.engine.max_batch_s * (GROUP_BATCHES if is_on_cpu else 1), detecting)
        num_ahead = int(num_threads > 1 or not is_on_cpu)
        with (
            contextlib.closing(groups),
            ThreadPoolExecutor(1, "segmentation") as pool,
            contextlib.closing(iter_ahead(pool, _next_group, itertools.repeat(groups), num_ahead)) as ahead,
        ):
            for group in ahead:
                if group is None:
                    return
                position, segments = group
                yield position, self.transcribe_segments(segments, merger, decoder)
                trim_heap()

    def transcribe_segments(
        self, segments: Sequence[Segment], merger: SegmentMerger, decoder: Decoder | None = None
    ) -> list[Word]:
        """Return the words of consecutive segments, timed within the recording."""
        words: list[Word] = []
        clips = self._transcribe_clips([Waveform(segment.samples) for segment in segments], decoder)
        for segment, decoded in zip(segments, clips, strict=True):
            words += merger.push(
                [word.shift(segment.start / SAMPLING_RATE) for word in decoded],
                segment.keep_to / SAMPLING_RATE if segment.is_forced_cut else None,
            )
        return words

    def _decode(self, wave: Waveform, scores: np.ndarray, decoder: Decoder | None) -> list[Word]:
        frame_s = wave.duration_s / max(1, len(scores))
        torch.set_num_threads(1)  # of this thread; others compute the next batch
        return extend_word_ends((decoder or self.decoder).decode(scores, frame_s), wave.duration_s)

    def log_probabilities(self, wave: Waveform) -> np.ndarray:
        """Return (frames, tokens) float32 log posteriors, evenly spaced over the clip; none where it is too short.

        A long clip is cut into overlapping windows; each gives the frames up to the middle of its overlaps.
        """
        windows = list(split_windows(len(wave.samples), self.engine.anatomy.min_samples))
        scores = self.engine.log_probabilities([wave.samples[start:stop] for start, stop, _, _ in windows])
        parts = [np.zeros((0, self.engine.num_tokens), np.float32)]
        for (start, stop, keep_from, keep_to), window in zip(windows, scores, strict=True):
            per_sample = len(window) / (stop - start)
            parts.append(window[round((keep_from - start) * per_sample) : round((keep_to - start) * per_sample)])
        return np.concatenate(parts)


def join_blocks(blocks: Iterable[np.ndarray], num_samples: int) -> Iterator[np.ndarray]:
    """Yield the same samples in blocks of at least `num_samples`, but for the last."""
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= num_samples:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def iter_groups(
    blocks: Iterable[np.ndarray], group_s: float, pool: Executor | None = None
) -> Generator[Group, None, None]:
    """Yield (samples consumed, consecutive segments of a recording, about `group_s` together); at last what is left.

    pool: threads that find speech.
    """
    segmenter, waiting, num_waiting = Segmenter(pool), list[Segment](), 0
    for block in blocks:
        new = segmenter.push(block)
        waiting += new
        num_waiting += sum(len(segment.samples) for segment in new)
        if num_waiting >= group_s * SAMPLING_RATE:
            yield segmenter.position, waiting
            waiting, num_waiting = [], 0
    waiting += segmenter.finish()
    yield segmenter.position, waiting


def _next_group(groups: Iterator[Group]) -> Group | None:
    return next(groups, None)


def split_windows(num_samples: int, min_samples: int = 1) -> Iterator[tuple[int, int, int, int]]:
    """Yield windows (start, stop, keep_from, keep_to) in samples.

    What they keep covers 0 to `num_samples` once. There is none for less than `min_samples`.
    """
    if num_samples < min_samples:
        return
    size, overlap = int(MAX_CLIP_S * SAMPLING_RATE), int(OVERLAP_S * SAMPLING_RATE)
    start = 0
    while True:
        stop = min(num_samples, start + size)
        is_last = stop == num_samples
        yield start, stop, start + (overlap // 2 if start else 0), stop if is_last else stop - overlap // 2
        if is_last:
            return
        start = stop - overlap
