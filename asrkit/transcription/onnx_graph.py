"""A model as an ONNX graph in onnxruntime on the CPU, in place of the model in PyTorch that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asrkit.models import features
from asrkit.models.anatomy import Anatomy
from asrkit.transcription.export.graph import RAW_AUDIO, Layout, pad_for_graph


class OnnxGraph:
    """A graph in one of the layouts of `export.graph`.

    In the layout "clip" each clip is run alone. That needs no padding, and a clip's result cannot depend on others:
    int8 scales its inputs by the largest value of a batch. Several threads may call it at the same time.
    """

    def __init__(self, path: Path, layout: Layout, num_threads: int) -> None:
        self.path, self.layout = path, layout
        self.open(num_threads)

    def open(self, num_threads: int) -> None:
        """Open the session; onnxruntime cannot change the number of its threads later."""
        self.num_threads = num_threads
        self._session = open_session(self.path, num_threads)

    def infer(self, clips: Sequence[np.ndarray], anatomy: Anatomy, extractor: Any) -> list[np.ndarray]:
        """Return (frames, tokens) float32 log posteriors of each clip of (n,) float32 samples."""
        torch.set_num_threads(1)  # of this thread, in which torch extracts features and normalises scores
        if self.layout == "raw":
            batch = features.pad(RAW_AUDIO, clips) | {"input_lengths": torch.tensor([len(clip) for clip in clips])}
            return self._run(batch, clips, anatomy)
        if self.layout == "batch":
            extracted = [features.extract(extractor, clip) for clip in clips]
            return self._run(pad_for_graph(anatomy.inputs, extracted), clips, anatomy)
        scores = []
        for clip in clips:
            values = torch.from_numpy(features.extract(extractor, clip))[None]
            scores += self._run({anatomy.inputs.input_name: values}, [clip], anatomy)
        return scores

    def _run(self, batch: dict[str, torch.Tensor], clips: Sequence[np.ndarray], anatomy: Anatomy) -> list[np.ndarray]:
        (outputs,) = self._session.run(None, {name: value.numpy() for name, value in batch.items()})
        scores = outputs if self.layout == "raw" else torch.from_numpy(outputs).log_softmax(-1).numpy()
        return [clip[: anatomy.num_frames(len(one))] for clip, one in zip(scores, clips, strict=True)]


def open_session(path: Path, num_threads: int) -> Any:
    """Return an onnxruntime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 3  # errors; it warns of operators that run as they are meant to
    options.enable_mem_pattern = False  # a plan of memory for each length of a clip, which are all different
    # Threads that wait for work would keep the cores from runs, decoding, and other calls of the session.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
