"""A checkpoint that turns clips into posteriors, as fast as the machine can.

Precision: bfloat16 on a GPU and on processors that calculate in it (AVX-512 BF16, AMX), else float32. On one such core
it was 2.2 times as fast in batches with the starter and 2.8 times with a model of 94 M parameters, and changed 9 of 98
real clips, for the better (WER 53.1 % instead of 53.5 %). Dynamic int8 was measured too: 1.7 and 2.4 times, faster with
the starter clip by clip alone (1.5 against 1.3), and on its way out of torch.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCTC

from asrkit.audio import SAMPLING_RATE
from asrkit.errors import ModelError, first_line
from asrkit.models import memory_format, processors

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
"""oneDNN, which torch calculates with, keeps the code that it made for the last 1,024 shapes; nearly every batch here
has one of its own. On an hour of speech 64 took 360 MB less and were no slower."""
FIRST_FRAME = 400
"""Samples behind the first output frame of a wav2vec2-like model; less than that holds no speech."""
BATCH_S = {"cpu": 24.0, "cuda": 240.0}
"""Seconds of padded audio in a batch: what keeps the caches, or the GPU, busy."""
LEAST_FILL = 0.8
"""Clips share a batch if the shortest is at least this part of the longest: the rest would be spent on padding."""
ALL_THREADS = torch.get_num_threads()
"""Threads that wait for each other in every layer: fastest alone, and much slower than one thread where another
process, such as a run, keeps the cores busy (seen: 11 to 89 x real time with two, 158 to 295 with one)."""
SMALL = 1_000_000
"""Parameters below which half precision gains nothing."""


class Engine:
    """Posteriors of one checkpoint. Threads that use it at the same time wait for each other."""

    def __init__(self, checkpoint: str, device: str | None = None) -> None:
        try:
            self.processor = processors.load_processor(checkpoint)
            model = AutoModelForCTC.from_pretrained(checkpoint, dtype=torch.float32)
        except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as error:
            first = first_line(error).rstrip(".")
            raise ModelError(f"The model {checkpoint} cannot be loaded for transcription: {first}.") from error
        if not hasattr(self.processor, "tokenizer"):
            raise ModelError(
                f"The model {checkpoint} has no tokenizer, so it was never tuned for CTC; fine-tune it first."
            )
        self.model = model.eval()
        self.checkpoint = checkpoint
        self._lock, self._warm = threading.Lock(), ""
        self.device = torch.device("cpu")
        self._settle(device or best_device())
        self.blank_id = model.config.pad_token_id
        self.tokens = model.config.vocab_size
        self._masked = bool(self.processor.feature_extractor.return_attention_mask)
        self.threads = ALL_THREADS

    def warm_up(self) -> None:
        """Hear a second of nothing, once on each device."""
        if self._warm != self.device.type:
            self.log_probabilities([np.zeros(SAMPLING_RATE, np.float32)])
            self._warm = self.device.type

    def move(self, device: str) -> None:
        """Go on listening on that device, "cpu" or "cuda", once what is being heard has been."""
        with self._lock:
            if self.device.type != device:
                self._settle(device)

    def _settle(self, device: str) -> None:
        if device == "cpu":
            memory_format.straighten(self.model)
        self.device = torch.device(device)
        self.precision = precision(device, sum(part.numel() for part in self.model.parameters()))
        try:
            self.model.to(self.device, self.precision)
        except torch.OutOfMemoryError:
            if device == "cpu":
                raise
            self._settle("cpu")

    def log_probabilities(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """(n,) float32 samples each -> (frames, tokens) float32 log posteriors each; no frames for one under 25 ms.

        A clip's answer does not depend on the others: what pads a batch is masked, and models that were trained without
        a mask are given clips of one length together, or one by one. Raises ModelError where the weights are broken.
        """
        answers: list[np.ndarray] = [np.zeros((0, self.tokens), np.float32)] * len(clips)
        longest_s = BATCH_S[self.device.type]
        for chosen in batches([len(clip) for clip in clips], longest_s, LEAST_FILL if self._masked else 1.0):
            with self._lock:
                heard = in_one_thread(self._hear_anyhow, [clips[place] for place in chosen])
            if any(np.isnan(answer).any() for answer in heard):
                raise ModelError(
                    f"The model {self.checkpoint} answers with what is no number (NaN): its weights are "
                    "broken, as after a training that went wrong; choose another checkpoint."
                )
            for place, answer in zip(chosen, heard, strict=True):
                answers[place] = answer
        return answers

    def _hear_anyhow(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        """On the processor where the GPU has no room left: it may be shared with other programs."""
        try:
            return self._hear(clips)
        except torch.OutOfMemoryError:
            if self.device.type == "cpu":
                raise
        self._settle("cpu")
        torch.cuda.empty_cache()
        return self._hear(clips)

    @torch.inference_mode()
    def _hear(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        torch.set_num_threads(self.threads)
        features = self.processor.feature_extractor(
            clips, sampling_rate=SAMPLING_RATE, padding=True, return_tensors="pt", return_attention_mask=self._masked
        )
        inputs = {name: value.to(self.device) for name, value in features.items()}
        mask = inputs.get("attention_mask")
        if mask is not None and bool(mask.all()):  # nothing is padded: without a mask the same answer comes sooner
            del inputs["attention_mask"]
            mask = None
        # Of a clip of one frame w2v-BERT's features, which it divides by their spread, are no numbers.
        inputs = {
            name: value.nan_to_num().to(self.precision) if value.is_floating_point() else value
            for name, value in inputs.items()
        }
        scores = self.model(**inputs).logits.float().log_softmax(-1).cpu().numpy()
        if mask is None:
            return list(scores)
        frames = self.model._get_feat_extract_output_lengths(mask.sum(-1)).tolist()
        return [one[:count] for one, count in zip(scores, frames, strict=True)]


_line: queue.SimpleQueue[tuple[Future, Callable[..., Any], tuple[Any, ...]]] = queue.SimpleQueue()
_starting = threading.Lock()
_calculating: list[threading.Thread] = []


def in_one_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work` returns or raises, done by the one thread of this process that hears, or by the main thread itself.

    oneDNN and OpenMP keep memory and helpers for each thread that calculates, as long as it lives: with the starter
    0.25 GB for each that heard an hour. A page answers from dozens.
    """
    if threading.current_thread() is threading.main_thread():
        return work(*arguments)
    with _starting:
        if not _calculating:
            _calculating.append(threading.Thread(target=_calculate, daemon=True, name="hear"))
            _calculating[0].start()
    answer: Future = Future()
    _line.put((answer, work, arguments))
    return answer.result()


def _calculate() -> None:
    while True:
        answer, work, arguments = _line.get()
        try:
            answer.set_result(work(*arguments))
        except BaseException as error:
            answer.set_exception(error)
        del answer, work, arguments  # or the model would be held until the next comes


def best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def precision(device: str, parameters: int) -> torch.dtype:
    """The number format that a model of that size is fastest in on this machine."""
    if parameters < SMALL:
        return torch.float32
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32


def batches(lengths: Sequence[int], longest_s: float, least_fill: float) -> list[list[int]]:
    """Places of clips, grouped by length, longest first; those too short for a frame are in none."""
    groups: list[list[int]] = []
    room = longest_s * SAMPLING_RATE
    for place in sorted(
        (place for place, length in enumerate(lengths) if length >= FIRST_FRAME), key=lambda place: -lengths[place]
    ):
        longest = lengths[groups[-1][0]] if groups else 0
        if groups and (len(groups[-1]) + 1) * longest <= room and lengths[place] >= least_fill * longest:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups
