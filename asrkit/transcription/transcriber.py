"""A checkpoint that listens: load once, answer many, any length."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCTC, AutoProcessor

from asrkit.errors import ModelError, first_line
from asrkit.runs import models
from asrkit.runs.store import RunStore
from asrkit.speech import layout, lexicon
from asrkit.speech.audio import RATE, Waveform

WINDOW_S, OVERLAP_S = 24.0, 4.0
"""Long recordings are heard in windows; of an overlap, each window answers for its own half."""

FIRST_FRAME = 400
"""Samples behind the first output frame of a wav2vec2-like model; less than that holds no speech."""

KEPT = 2
"""Models held in memory at once."""


@dataclass(frozen=True)
class Word:
    """confidence: the least posterior of the word's letters, 0 to 1."""

    word: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """The text of a waveform with its words in order."""

    text: str
    words: list[Word]
    duration_s: float


class Transcriber:
    """CTC decoding of one checkpoint on the best device there is, in float32: greedy, or with its own word list."""

    def __init__(self, checkpoint: str) -> None:
        try:
            self.processor = AutoProcessor.from_pretrained(checkpoint)
            model = AutoModelForCTC.from_pretrained(checkpoint, dtype=torch.float32)
        except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
            first = first_line(error).rstrip(".")
            raise ModelError(f"The model {checkpoint} cannot be loaded for transcription: {first}.") from error
        if not hasattr(self.processor, "tokenizer"):
            raise ModelError(f"The model {checkpoint} has no tokenizer, so it was never tuned for CTC; "
                             "fine-tune it first.")
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = (model.to(self.device) if self.device.type == "cuda" else layout.straighten(model)).eval()
        self.blank_id = model.config.pad_token_id
        self.loop = _word_loop(Path(checkpoint), self.processor)
        self._lock = threading.Lock()

    def transcribe(self, wave: Waveform) -> Transcript:
        """Text and words of `wave`. What is kept of a long one is 50 rows of posteriors a second."""
        probabilities = np.exp(self.log_probabilities(wave))
        if not len(probabilities):
            return Transcript("", [], wave.duration_s)
        frame_s = wave.duration_s / max(1, len(probabilities))
        if self.loop:
            words = [Word(one.word, one.start * frame_s, one.end * frame_s, one.confidence)
                     for one in self.loop.decode(probabilities)]
        else:
            words = self._words(probabilities.argmax(-1), probabilities.max(-1), frame_s)
        return Transcript(" ".join(word.word for word in words), words, wave.duration_s)

    def log_probabilities(self, wave: Waveform) -> np.ndarray:
        """(frames, tokens) float32 log posteriors, evenly spread over the wave; no frames for one that holds none."""
        with self._lock:
            pieces = [self._log_posteriors(wave.samples, *span) for span in windows(len(wave.samples))]
        return np.concatenate(pieces) if pieces else np.zeros((0, self.model.config.vocab_size), np.float32)

    @torch.inference_mode()
    def _log_posteriors(self, samples: np.ndarray, start: int, stop: int, keep_from: int, keep_to: int):
        """(frames, tokens) log posteriors for samples `keep_from` to `keep_to`, heard from `start` to `stop`."""
        heard = self.processor(samples[start:stop], sampling_rate=RATE, return_tensors="pt")
        scores = self.model(**heard.to(self.device)).logits[0].log_softmax(-1).cpu().numpy()
        per_sample = len(scores) / (stop - start)
        first, last = round((keep_from - start) * per_sample), round((keep_to - start) * per_sample)
        return scores[first:last]

    def _words(self, best: np.ndarray, confidence: np.ndarray, frame_s: float) -> list[Word]:
        """Frames -> words: runs of one token are a letter, the delimiter ends a word."""
        tokenizer = self.processor.tokenizer
        delimiter = tokenizer.word_delimiter_token_id
        words: list[Word] = []
        letters: list[tuple[int, int, int, float]] = []

        def finish() -> None:
            if letters:
                text = tokenizer.decode([letter[0] for letter in letters], group_tokens=False).strip()
                if text:
                    words.append(Word(text, letters[0][1] * frame_s, letters[-1][2] * frame_s,
                                      min(letter[3] for letter in letters)))
                letters.clear()

        edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
        for begin, end in zip(edges, edges[1:], strict=False):
            token = int(best[begin]) if end > begin else self.blank_id
            if token == delimiter:
                finish()
            elif token not in (self.blank_id, tokenizer.unk_token_id):
                letters.append((token, begin, end, float(confidence[begin:end].max())))
        finish()
        return words


def _word_loop(checkpoint: Path, processor: Any) -> lexicon.WordLoop | None:
    """The words that a model was tuned to hear, where it was tuned to hear nothing else."""
    try:
        words = (checkpoint / lexicon.FILE).read_text(encoding="utf-8").split()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return lexicon.for_processor(words, processor)


def windows(samples: int) -> Iterator[tuple[int, int, int, int]]:
    """(start, stop, keep_from, keep_to) in samples, covering 0 to `samples` once; none for what is under one frame."""
    if samples < FIRST_FRAME:
        return
    size, overlap = int(WINDOW_S * RATE), int(OVERLAP_S * RATE)
    start = 0
    while True:
        stop = min(samples, start + size)
        last = stop == samples
        yield start, stop, start + (overlap // 2 if start else 0), stop if last else stop - overlap // 2
        if last:
            return
        start = stop - overlap


_loaded: dict[str, tuple[float, Transcriber]] = {}
_loading = threading.Lock()


def get(model: str, store: RunStore) -> Transcriber:
    """The transcriber of MODEL, shared by everybody who asks; loaded again when the checkpoint was replaced."""
    checkpoint = models.resolve(model, store)
    with _loading:
        stamp = _stamp(checkpoint)
        held = _loaded.pop(checkpoint, None)
        if held is None or held[0] != stamp:
            held = (stamp, Transcriber(checkpoint))
        _loaded[checkpoint] = held
        while len(_loaded) > KEPT:
            del _loaded[next(iter(_loaded))]
        return held[1]


def _stamp(checkpoint: str) -> float:
    config = Path(checkpoint, "config.json")
    return config.stat().st_mtime if config.exists() else 0.0


def describe(transcript: Transcript) -> dict[str, Any]:
    """The transcript as `transcribe --format json` prints it."""
    words = [{"word": w.word, "start_s": round(w.start_s, 3), "end_s": round(w.end_s, 3),
              "confidence": round(w.confidence, 4)} for w in transcript.words]
    return {"text": transcript.text, "words": words, "duration_s": round(transcript.duration_s, 3)}
