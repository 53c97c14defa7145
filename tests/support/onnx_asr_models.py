"""Load a folder exported for onnx-asr with that package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
from onnx_asr import load_model
from onnx_asr.asr import _AsrWithCtcDecoding
from onnx_asr.loader import Manager
from onnx_asr.resolver import Resolver
from onnx_asr.utils import ModelNotSupportedError

MODEL_TYPE = "wav2vec2-ctc"


class Wav2Vec2Ctc(_AsrWithCtcDecoding):
    """What releases up to 0.12 lack: the names of files and tensors. All else is the package's own."""

    window_step = 1 / 16_000  # seconds of the unit of `_subsampling_factor`

    def __init__(self, model_files: Any, preprocessor_factory: Any, onnx_options: Any) -> None:
        super().__init__(model_files, preprocessor_factory, onnx_options)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # more wait for each other where other tests run
        self._session = onnxruntime.InferenceSession(model_files["model"], **{**onnx_options, "sess_options": options})

    @staticmethod
    def _get_model_files(quantization: str | None = None) -> dict[str, str]:
        return {"model": f"model{'?' + quantization if quantization else ''}.onnx", "vocab": "vocab.txt"}

    @property
    def _preprocessor_name(self) -> str:
        return "identity"

    @property
    def _subsampling_factor(self) -> int:
        return self.config["subsampling_factor"]

    def _encode(self, features: Any, features_lens: Any) -> Any:
        (scores,) = self._session.run(["logprobs"], {"input_values": features, "input_lengths": features_lens})
        return scores, (features_lens // self._subsampling_factor + 1).clip(max=scores.shape[1])


def load(folder: Path, quantization: str | None = None) -> Any:
    """Return the model of a folder: by `onnx_asr.load_model` where the release knows the type."""
    try:
        return load_model(MODEL_TYPE, folder, quantization=quantization)
    except ModelNotSupportedError:
        manager, resolver = Manager(), Resolver({MODEL_TYPE: Wav2Vec2Ctc}, local_dir=folder)
        files = resolver.resolve_model(quantization=quantization)
        model = resolver.model_type(files, manager._create_preprocessor, manager.default_onnx_config)
        return manager._create_asr_adapter(model)
