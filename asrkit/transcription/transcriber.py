"""A checkpoint that listens: load once, answer many, any length."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.audio.segmentation import Segment, Segmenter
from asrkit.decoding.loading import load_decoder
from asrkit.decoding.protocols import Decoder
from asrkit.decoding.segment_merger import SegmentMerger
from asrkit.decoding.transcript import Transcript, Word, extend_word_ends
from asrkit.errors import AsrkitError
from asrkit.jobs import ProgressCallback
from asrkit.models import resolution
from asrkit.runs import lifecycle
from asrkit.runs.store import RunStore
from asrkit.transcription.engine import ALL_THREADS, FIRST_FRAME, Engine, best_device

UTTERANCE_S = 24.0
"""Clips up to this length are heard in one go, as they were in training; longer ones are split at their pauses."""
TOGETHER_S = 120.0
"""So much of a recording is gathered, then heard in batches."""
OVERLAP_S = 4.0
WATCH_S = 2.0
KEPT = 2
"""Models held in memory at once."""


class Transcriber:
    """CTC decoding of one checkpoint: greedy, or with its own word list."""

    def __init__(self, checkpoint: str, device: str | None = None) -> None:
        self.engine = Engine(checkpoint, device)
        self.processor, self.blank_id = self.engine.processor, self.engine.blank_id
        self.decoder = load_decoder(checkpoint, self.processor, self.blank_id)

    def transcribe(self, wave: Waveform, decoder: Decoder | None = None) -> Transcript:
        """The words of one clip."""
        return self.transcribe_all([wave], decoder)[0]

    def transcribe_all(self, waves: Sequence[Waveform], decoder: Decoder | None = None) -> list[Transcript]:
        """The words of each clip; in batches by length, which changes nothing but the time that it takes."""
        short = [wave if wave.duration_s <= UTTERANCE_S else Waveform(wave.samples[:0]) for wave in waves]
        heard = self.engine.log_probabilities([wave.samples for wave in short])
        return [
            Transcript(self._words(wave, scores, decoder), wave.duration_s)
            if wave is whole
            else self.listen([whole.samples], decoder)
            for wave, whole, scores in zip(short, waves, heard, strict=True)
        ]

    def listen(self, blocks: Iterable[np.ndarray], decoder: Decoder | None = None) -> Transcript:
        """A recording of any length, block by block. Memory: two minutes of it, and its words."""
        words, samples = [], 0
        for position, found in self.follow(blocks, decoder):
            words += found
            samples = position
        return Transcript(words, samples / SAMPLING_RATE)

    def follow(self, blocks: Iterable[np.ndarray], decoder: Decoder | None = None) -> Iterator[tuple[int, list[Word]]]:
        """As `listen`, telling on the way: (samples taken in, words that are new). No word ever changes."""
        segmenter, merger, waiting = Segmenter(), SegmentMerger(), []
        for block in blocks:
            waiting += segmenter.push(block)
            if sum(len(piece.samples) for piece in waiting) >= TOGETHER_S * SAMPLING_RATE:
                yield segmenter.position, self.words_of(waiting, merger, decoder)
                waiting = []
                give_back()
        waiting += segmenter.finish()
        yield segmenter.position, self.words_of(waiting, merger, decoder)

    def words_of(self, pieces: Sequence[Segment], merger: SegmentMerger, decoder: Decoder | None = None) -> list[Word]:
        """The words of pieces that follow each other, with their times in the recording."""
        words: list[Word] = []
        for piece, scores in zip(
            pieces, self.engine.log_probabilities([piece.samples for piece in pieces]), strict=True
        ):
            heard = self._words(Waveform(piece.samples), scores, decoder)
            words += merger.push(
                [word.shift(piece.start / SAMPLING_RATE) for word in heard],
                piece.keep_to / SAMPLING_RATE if piece.is_forced_cut else None,
            )
        return words

    def _words(self, wave: Waveform, scores: np.ndarray, decoder: Decoder | None) -> list[Word]:
        frame_s = wave.duration_s / max(1, len(scores))
        torch.set_num_threads(self.engine.threads)  # each thread has a number of its own
        return extend_word_ends((decoder or self.decoder).decode(scores, frame_s), wave.duration_s)

    def log_probabilities(self, wave: Waveform) -> np.ndarray:
        """(frames, tokens) float32 log posteriors, evenly spread over the wave; no frames for one that holds none.

        A long one is heard in overlapping windows, each of which answers for the middle of the overlap.
        """
        spans = list(windows(len(wave.samples)))
        heard = self.engine.log_probabilities([wave.samples[start:stop] for start, stop, _, _ in spans])
        parts = [np.zeros((0, self.engine.tokens), np.float32)]
        for (start, stop, keep_from, keep_to), scores in zip(spans, heard, strict=True):
            per_sample = len(scores) / (stop - start)
            parts.append(scores[round((keep_from - start) * per_sample) : round((keep_to - start) * per_sample)])
        return np.concatenate(parts)


def give_back() -> None:
    """Give the machine back what was freed. Every batch has a length of its own, and between what lives on glibc keeps
    ever more pieces that are too small for the next: 0.4 GB after an hour of speech."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def windows(samples: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, stop, keep_from, keep_to) in samples, covering 0 to `samples` once; none for what is under one frame."""
    if samples < FIRST_FRAME:
        return
    size, overlap = int(UTTERANCE_S * SAMPLING_RATE), int(OVERLAP_S * SAMPLING_RATE)
    start = 0
    while True:
        stop = min(samples, start + size)
        last = stop == samples
        yield start, stop, start + (overlap // 2 if start else 0), stop if last else stop - overlap // 2
        if last:
            return
        start = stop - overlap


_loaded: dict[str, tuple[float, Transcriber]] = {}
_alive: weakref.WeakSet[Transcriber] = weakref.WeakSet()
"""Those that somebody still listens with too, though they were let go of here."""
_loading: dict[str, threading.Lock] = {}
"""A download takes minutes: who wants another model does not wait for it."""
_guard = threading.Lock()


def get(model: str, store: RunStore, on_progress: ProgressCallback | None = None) -> Transcriber:
    """The transcriber of MODEL, shared by everybody who asks; loaded again when the checkpoint was replaced.

    on_progress: how much of one on the Hub is fetched.

    While a run is under way the machine is the run's: its GPU is left to it, and one thread is enough.
    """
    busy = lifecycle.find_active_run(store) is not None
    transcriber = of_checkpoint(
        str(resolution.fetch(model, store, on_progress=on_progress)), "cpu" if busy else best_device()
    )
    transcriber.engine.threads = 1 if busy else ALL_THREADS
    return transcriber


def prepare(model: str, store: RunStore, on_progress: ProgressCallback | None = None) -> Transcriber:
    """As `get`, and a first second is heard, so that what somebody says does not wait for what that sets up."""
    transcriber = get(model, store, on_progress)
    transcriber.engine.warm_up()
    return transcriber


def of_checkpoint(checkpoint: str, device: str) -> Transcriber:
    """The same for a directory or Hub id."""
    with _guard:
        lock = _loading.setdefault(checkpoint, threading.Lock())
    with lock:
        stamp = _stamp(checkpoint)
        with _guard:
            held = _loaded.pop(checkpoint, None)
        if held is None or held[0] != stamp:
            held = None  # the old one is let go before the new one comes
            held = (stamp, Transcriber(checkpoint, device))
        held[1].engine.move(device)
        with _guard:
            _loaded[checkpoint] = held
            _alive.add(held[1])
            while len(_loaded) > KEPT:
                del _loaded[next(iter(_loaded))]
        return held[1]


def give_way(store: RunStore) -> None:
    """Let go of the GPU while a run is under way. Returns only where there is no GPU: it is a thread's work.

    What stays there is CUDA's own context, some hundred megabytes until the app ends.
    """
    while torch.cuda.is_available():
        try:
            if _on_gpu() and lifecycle.find_active_run(store):
                release_gpu()
        except (OSError, RuntimeError, AsrkitError):
            traceback.print_exc()  # for the log; the next look may fare better, and nobody else would look
        time.sleep(WATCH_S)


def release_gpu() -> None:
    """Move every model that is on the GPU to the processor; who is listening goes on there."""
    for transcriber in _on_gpu():
        transcriber.engine.move("cpu")
    gc.collect()
    torch.cuda.empty_cache()


def _on_gpu() -> list[Transcriber]:
    with _guard:
        return [one for one in _alive if one.engine.device.type == "cuda"]


def _stamp(checkpoint: str) -> float:
    config = Path(checkpoint, "config.json")
    return config.stat().st_mtime if config.exists() else 0.0
