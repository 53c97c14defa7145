"""Inference with an exported graph, in place of the model that it was made of."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asrkit.models import features
from asrkit.transcription.engine import Engine
from asrkit.transcription.export.graph import RAW_AUDIO, Layout
from asrkit.transcription.transcriber import Transcriber


class OnnxEngine(Engine):
    """An engine on the CPU whose log posteriors come from a graph; all else is of `engine`."""

    def __init__(self, engine: Engine, path: Path, layout: Layout = "batch") -> None:
        vars(self).update(vars(engine))
        self.session, self.layout = open_session(path, engine.num_threads), layout

    def _infer(self, clips: list[np.ndarray]) -> list[np.ndarray]:
        inputs, extractor = self.anatomy.inputs, self.processor.feature_extractor
        if self.layout == "raw":
            batch = features.pad(RAW_AUDIO, clips)
            return self._run({**batch, "input_lengths": torch.tensor([len(clip) for clip in clips])}, clips)
        extracted = [features.extract(extractor, clip) for clip in clips]
        if self.layout == "batch":
            return self._run(features.pad(inputs, extracted), clips)
        return [
            scores
            for clip, one in zip(clips, extracted, strict=True)
            for scores in self._run({inputs.input_name: torch.from_numpy(one)[None]}, [clip])
        ]

    def _run(self, batch: dict[str, torch.Tensor], clips: list[np.ndarray]) -> list[np.ndarray]:
        (outputs,) = self.session.run(None, {name: value.numpy() for name, value in batch.items()})
        scores = outputs if self.layout == "raw" else torch.from_numpy(outputs).log_softmax(-1).numpy()
        return [clip[: self.anatomy.num_frames(len(one))] for clip, one in zip(scores, clips, strict=True)]


def with_graph(transcriber: Transcriber, path: Path, layout: Layout = "batch") -> Transcriber:
    """Return a transcriber like the given one that runs the graph at `path`."""
    changed = copy.copy(transcriber)
    changed.engine = OnnxEngine(transcriber.engine, path, layout)
    return changed


def open_session(path: Path, num_threads: int) -> Any:
    """Return an onnxruntime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = 3  # errors; it warns of operators that run as they are meant to
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
