"""Inference: clips -> log posteriors, in batches of like lengths."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asrkit.audio import SAMPLING_RATE
from asrkit.data.batch_cuts import fill_batches, max_inference_batch_s, min_inference_fill
from asrkit.errors import ModelError, first_line
from asrkit.models import anatomy, blanks, features, memory_format, processors, weights
from asrkit.transcription.acceleration import choices
from asrkit.transcription.inference_threads import ALONE, BESIDE, PREPARING, Gate, get_pool, iter_ahead
from asrkit.transcription.onnx_graph import OnnxGraph
from asrkit.transcription.precision import best_device, choose_dtype

os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
"""oneDNN, which torch calculates with, keeps the code that it made for the last 1,024 shapes; nearly every batch here
has one of its own. On an hour of speech 64 took 360 MB less and were no slower."""
ALL_THREADS = torch.get_num_threads()
"""Threads that wait for each other in every layer: fastest alone, and much slower than one thread where another
process, such as a run, keeps the cores busy (seen: 11 to 89 x real time with two, 158 to 295 with one)."""

MIN_SHARED_WORK = 3e7
"""Parameters x seconds of a batch from which on several threads share it where it is alone. For 3 s of speech the
starter needs 19 ms in bfloat16 with one thread and 23 with two; for 12 s, 53 and 42."""

LENGTH_GRID = SAMPLING_RATE // 2
"""Samples to whose multiples a clip that is alone is padded in bfloat16 on a processor, where the model masks padding:
oneDNN makes code for each new length, which took a fifth of the time for clips of 1 to 6 s with the starter."""


@dataclass(frozen=True)
class _Batch:
    """Clips of about one length. tensors: the model's inputs by name."""

    indices: list[int]
    clips: list[np.ndarray]
    tensors: Mapping[str, torch.Tensor]


class Engine:
    """Log posteriors of one checkpoint. Threads that use it at the same time wait for each other.

    device, dtype: the best of this machine by default. Raises ModelError for a checkpoint that cannot be loaded, has no
    tokenizer, or whose blank is unknown.
    """

    def __init__(self, checkpoint: str, device: str | None = None, dtype: torch.dtype | None = None) -> None:
        try:
            self.processor = processors.load_processor(checkpoint)
            model, missing = weights.load_model(Path(checkpoint), weights.load_config(Path(checkpoint)))
        except ModelError:
            raise
        except Exception as error:  # transformers and tokenizers raise anything for a damaged checkpoint
            reason = first_line(error).rstrip(".")
            raise ModelError(f"The model {checkpoint} cannot be loaded for transcription: {reason}.") from error
        if not hasattr(self.processor, "tokenizer"):
            raise ModelError(
                f"The model {checkpoint} has no tokenizer, so it was never fine-tuned for CTC; fine-tune it first."
            )
        anatomy.check_head_weights(missing, checkpoint)
        blanks.settle(model, self.processor, checkpoint)
        self.anatomy = anatomy.of(model, self.processor, checkpoint)
        self.model = model.eval()
        memory_format.merge_weight_norm(self.model)
        self.checkpoint, self._chosen_dtype = checkpoint, dtype
        self._gate, self._warm_device = Gate(), ""
        self.graph: OnnxGraph | None = None
        self.num_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.device = torch.device("cpu")
        self._place_model(device or best_device())
        self.blank_id, self.num_tokens = self.anatomy.blank_id, self.anatomy.head.num_rows
        self.num_threads = ALL_THREADS

    def warm_up(self) -> None:
        """Run a second of silence, once on each device, so that the first clip does not pay for the set-up."""
        if self._warm_device != self.device.type:
            self.log_probabilities([np.zeros(SAMPLING_RATE, np.float32)])
            self._warm_device = self.device.type

    def move_to(self, device: str) -> None:
        """Move the model to "cpu" or "cuda", after the batch in progress."""
        with self._gate.alone():
            if self.device.type != device:
                self._place_model(device)

    def use_graph(self, graph: OnnxGraph) -> None:
        """Run a graph of the model from the next batch on, and free the model's weights. For engines on the CPU."""
        with self._gate.alone():
            self.graph = graph
            self.model.to("meta")

    def _place_model(self, device: str) -> None:
        """Move the model to the device in the best precision; to the CPU where it does not fit on the GPU."""
        memory_format.use_best(self.model, device)
        self.device = torch.device(device)
        self.max_batch_s = max_inference_batch_s(self.device.type)
        self.dtype = self._chosen_dtype or self._choose_dtype(device)
        try:
            self.model.to(self.device, self.dtype)
        except torch.OutOfMemoryError:
            if device == "cpu":
                raise
            self._place_model("cpu")

    def _choose_dtype(self, device: str) -> torch.dtype:
        """Return the number format that was measured to be the fastest on this machine, else the expected one."""
        measured = choices.recall_dtype(Path(self.checkpoint)) if device == "cpu" else None
        return getattr(torch, measured) if measured else choose_dtype(device, self.num_parameters)

    def log_probabilities(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return (frames, tokens) float32 log posteriors of each clip of (n,) float32 samples.

        A clip shorter than `anatomy.min_samples` has no frames. The result for a clip does not depend on the others:
        padding is masked, and models whose frames depend on padding get clips of one length together, or one by one.
        Raises ModelError where the weights are broken.
        """
        results: list[np.ndarray] = [np.zeros((0, self.num_tokens), np.float32)] * len(clips)
        for index, scores in self.iter_log_probabilities(clips):
            results[index] = scores
        return results

    def iter_log_probabilities(self, clips: Sequence[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (index of a clip, its log posteriors) as `log_probabilities` returns them, while the next are computed.

        Clips without frames are left out.
        """
        if self.graph is not None and self.graph.num_threads != self.num_threads:
            with self._gate.alone():
                self.graph.open(self.num_threads)
        batches = self._cut(clips)
        for batch, outputs in self._iter_outputs(clips, batches):
            if any(np.isnan(output).any() for output in outputs):
                raise ModelError(
                    f"The model {self.checkpoint} outputs NaN: its weights are broken, as after a "
                    "diverged training; choose another checkpoint."
                )
            yield from zip(batch, outputs, strict=True)

    def _cut(self, clips: Sequence[np.ndarray]) -> list[list[int]]:
        """Return the indices of the clips in each batch."""
        lengths = [len(clip) for clip in clips]
        max_batch = self.max_batch_s * SAMPLING_RATE
        min_fill = min_inference_fill(self.device.type) if self.anatomy.is_batch_invariant else 1.0
        if self.graph is not None and self.graph.layout == "clip":  # without padding
            max_batch = 0.0
        elif self.device.type == "cpu":  # each thread gets some
            max_batch = min(max_batch, sum(lengths) / self.num_threads)
        return fill_batches(lengths, max_batch, min_fill, self.anatomy.min_samples)

    def _iter_outputs(
        self, clips: Sequence[np.ndarray], batches: Sequence[list[int]]
    ) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        """Yield the batches with the log posteriors of their clips, in order.

        On the CPU each thread computes a batch of its own, unless there is only one; on a GPU a batch is prepared and
        the last one is decoded while one is computed.
        """

        def prepare(indices: list[int]) -> _Batch:
            return self._prepare(indices, [clips[index] for index in indices])

        def compute(batch: _Batch) -> tuple[list[int], list[np.ndarray]]:
            with self._gate.alone():
                return batch.indices, self._infer_with_fallback(batch)

        def compute_alone(indices: list[int]) -> tuple[list[int], list[np.ndarray]]:
            return compute(prepare(indices))

        def compute_beside(indices: list[int]) -> tuple[list[int], list[np.ndarray]]:
            batch = prepare(indices)
            with self._gate.shared():
                if self.device.type == "cpu":
                    return indices, self._infer(batch, 1)
            return compute(batch)  # the model has moved to a GPU

        if self.device.type != "cpu":
            prepared = iter_ahead(get_pool(PREPARING), prepare, batches, 1)
            yield from iter_ahead(get_pool(ALONE), compute, prepared, 1)
        elif self.num_threads == 1 or len(batches) == 1:
            yield from iter_ahead(get_pool(ALONE), compute_alone, batches, 0)
        else:
            yield from iter_ahead(get_pool(BESIDE, ALL_THREADS), compute_beside, batches, self.num_threads)

    def _prepare(self, indices: list[int], clips: list[np.ndarray]) -> _Batch:
        """Extract the features of clips and pad them, in the calling thread alone; a graph does so by itself."""
        if self.graph is not None:
            return _Batch(indices, clips, {})
        torch.set_num_threads(1)  # the number is one of each thread
        layout, extractor = self.anatomy.inputs, self.processor.feature_extractor
        is_pinned = self.device.type == "cuda" and torch.cuda.is_initialized()
        extracted = [features.extract(extractor, clip) for clip in clips]
        tensors = features.pad(layout, extracted, self._choose_length(extracted), is_pinned)
        mask = tensors.get(layout.mask_name or "")
        if mask is not None and bool(mask.all()):  # without padding, the same result comes faster without a mask
            del tensors[layout.mask_name or ""]
        return _Batch(indices, clips, tensors)

    def _choose_length(self, extracted: list[np.ndarray]) -> int:
        """Return the least length to pad to."""
        is_wanted = self.device.type == "cpu" and self.dtype == torch.bfloat16 and self.anatomy.is_batch_invariant
        if len(extracted) > 1 or not is_wanted or not self.anatomy.inputs.mask_name or extracted[0].ndim > 1:
            return 0
        return -(-len(extracted[0]) // LENGTH_GRID) * LENGTH_GRID

    def _infer_with_fallback(self, batch: _Batch) -> list[np.ndarray]:
        """Run a batch: in halves where it does not fit on the GPU, on the CPU where not even a clip does.

        Other programs may use the GPU too.
        """
        try:
            return self._infer(batch, self._choose_num_threads(batch))
        except torch.OutOfMemoryError:
            if self.device.type == "cpu":
                raise
        torch.cuda.empty_cache()
        clips = batch.clips
        if len(clips) > 1:
            middle = len(clips) // 2
            self.max_batch_s = min(self.max_batch_s, middle * len(clips[0]) / SAMPLING_RATE)
            halves = (self._prepare([], half) for half in (clips[:middle], clips[middle:]))
            return [scores for half in halves for scores in self._infer_with_fallback(half)]
        self._place_model("cpu")
        torch.cuda.empty_cache()
        return self._infer(batch, self.num_threads)

    def _choose_num_threads(self, batch: _Batch) -> int:
        """Return how many threads share a batch that is alone."""
        audio_s = len(batch.clips) * len(batch.clips[0]) / SAMPLING_RATE
        return self.num_threads if self.num_parameters * audio_s >= MIN_SHARED_WORK else 1

    @torch.inference_mode()
    def _infer(self, batch: _Batch, num_threads: int) -> list[np.ndarray]:
        """Return the log posteriors of the clips of a batch, computed by so many threads."""
        torch.set_num_threads(num_threads)
        if self.graph is not None:
            return self.graph.infer(batch.clips, self.anatomy, self.processor.feature_extractor)
        mask = batch.tensors.get(self.anatomy.inputs.mask_name or "")
        inputs = {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None, non_blocking=True)
            for name, value in batch.tensors.items()
        }
        scores = self.model(**inputs).logits.float().log_softmax(-1).cpu().numpy()
        if mask is None:
            return list(scores)
        num_frames = self.anatomy.count_frames(mask.sum(-1)).tolist()
        return [clip[:count] for clip, count in zip(scores, num_frames, strict=True)]
