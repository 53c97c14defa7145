"""A CTC model as an ONNX graph.

torch's older exporter, which traces a forward pass, is used: it takes a second where the newer one takes 10 to 20,
needs no further package, and exports all architectures with the operator below. What a trace could get wrong, such as a
size that became a constant, is found afterwards: every graph is compared with PyTorch on clips of several lengths
(`check`).
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from asrkit.audio import SAMPLING_RATE
from asrkit.errors import ModelError, first_line
from asrkit.models import anatomy, features, memory_format
from asrkit.models.anatomy import Anatomy
from asrkit.models.features import InputFormat

OPSET = 18
Layout = Literal["batch", "clip", "raw"]
"""What a graph takes and gives. batch: a padded batch as `pad_for_graph` makes it, with its mask -> `logits`. clip: the
same without a mask, for clips of one length; a waveform is (clips, samples) -> `logits`. raw: `input_values`, waveforms
that are not normalised, and `input_lengths`, (clips,) -> log posteriors as `logprobs`."""
RAW_AUDIO = InputFormat("input_values", None, SAMPLING_RATE, 0.0, False)
"""The waveforms of the layout "raw"."""
EXAMPLE_LENGTHS = (32_000, 24_000)
"""Samples of the clips that are traced. The longer one has an odd number of frames (99), so that what SEW pads after it
has pooled pairs of them is in the trace."""
MAX_FILE_BYTES = 2_000_000_000
"""Of a graph with its weights, by its format; the weights of larger ones are in a file beside it."""
NORMALISATION_EPSILON = {"Wav2Vec2FeatureExtractor": 1e-7, "OmniASRFeatureExtractor": 1e-5}
"""Class of a feature extractor -> what it adds to the variance of the waveform."""
IMPOSSIBLE = -1e9
"""Log posterior of all other tokens where a frame is blank for certain."""

_export_lock = threading.Lock()
"""Operators are registered, and warnings silenced, for the whole process."""


def export_onnx(model: Any, processor: Any, path: Path, layout: Layout = "batch", name: str = "") -> None:
    """Write a CTC model to `path` as an ONNX graph that takes any number of clips of any length.

    model: on the CPU in float32; it is left as it was. name: what error messages call it. Weights of more than 2 GB are
    in `path` with ".data" added. Raises ModelError for a model that cannot be exported in this layout.
    """
    name = name or str(getattr(model, "name_or_path", "") or type(model).__name__)
    inputs = InputFormat.of(processor.feature_extractor)
    graph = _make_graph(model, processor, inputs, layout, name)
    with _export_lock, _ready_to_trace(model), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder, path.name)
        try:
            torch.onnx.export(
                graph.module.eval(),
                graph.examples,
                str(draft),
                input_names=list(graph.input_names),
                output_names=[graph.output_name],
                dynamic_axes=graph.axes,
                opset_version=OPSET,
                dynamo=False,
            )
        except Exception as error:  # exporter and model raise whatever they like
            raise ModelError(
                f"The model {name} ({model.config.model_type}) cannot be exported to ONNX: "
                f"{first_line(error)[:300].rstrip('.')}."
            ) from error
        _move_graph(draft, path)


@dataclass(frozen=True)
class _Graph:
    module: nn.Module
    examples: tuple[torch.Tensor, ...]
    input_names: tuple[str, ...]
    output_name: str
    axes: dict[str, dict[int, str]]


class _PlainModel(nn.Module):
    """The model with its inputs by position; add_channel: for one that takes (clips, 1, samples)."""

    def __init__(self, model: Any, names: tuple[str, ...], add_channel: bool = False) -> None:
        super().__init__()
        self.model, self.names, self.add_channel = model, names, add_channel

    def forward(self, values: torch.Tensor, *masks: torch.Tensor) -> torch.Tensor:
        values = values[:, None] if self.add_channel else values
        logits: torch.Tensor = self.model(**dict(zip(self.names, (values, *masks), strict=True))).logits
        return logits


class _RawModel(nn.Module):
    """The model behind the normalisation of its waveforms, each over its own length.

    Frames behind the end of a clip are blank, because some programs count one or two too many.
    """

    blank: torch.Tensor

    def __init__(self, model: Any, parts: Anatomy, epsilon: float | None) -> None:
        super().__init__()
        self.model, self.parts, self.inputs, self.epsilon = model, parts, parts.inputs, epsilon
        blank = torch.full((parts.head.num_rows,), IMPOSSIBLE)
        blank[parts.blank_id] = 0.0
        self.register_buffer("blank", blank)

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        mask = torch.arange(values.shape[1])[None, :] < lengths[:, None]
        if self.epsilon is not None:
            count = lengths[:, None].to(values.dtype)
            centred = (values - (values * mask).sum(1, keepdim=True) / count) * mask
            values = centred / torch.sqrt((centred**2).sum(1, keepdim=True) / count + self.epsilon)
        values = torch.where(mask, values, self.inputs.padding_value)
        batch = {self.inputs.input_name: values[:, None] if self.inputs.has_channels else values}
        if self.inputs.mask_name:
            batch[self.inputs.mask_name] = mask.to(torch.long)
        scores: torch.Tensor = self.model(**batch).logits.log_softmax(-1)
        inside = torch.arange(scores.shape[1])[None, :] < self.parts.count_frames(lengths)[:, None]
        return torch.where(inside[..., None], scores, self.blank)


def _make_graph(model: Any, processor: Any, inputs: InputFormat, layout: Layout, name: str) -> _Graph:
    extractor = processor.feature_extractor
    if layout == "raw":
        require_waveform(model, processor, name)
    rng = np.random.default_rng(0)
    clips = [0.1 * rng.standard_normal(length).astype(np.float32) for length in EXAMPLE_LENGTHS]
    if layout == "raw":
        padded = features.pad(RAW_AUDIO, clips)["input_values"]
        epsilon = NORMALISATION_EPSILON[type(extractor).__name__] if extractor.do_normalize else None
        return _Graph(
            _RawModel(model, anatomy.of(model, processor, name), epsilon),
            (padded, torch.tensor(EXAMPLE_LENGTHS)),
            ("input_values", "input_lengths"),
            "logprobs",
            {"input_values": {0: "clips", 1: "samples"}, "input_lengths": {0: "clips"}, "logprobs": _OUTPUT_AXES},
        )
    if layout == "clip":
        values = features.pad(inputs, [features.extract(extractor, clips[0])] * 2)[inputs.input_name]
        batch = {inputs.input_name: values[:, 0] if inputs.has_channels else values}
    else:
        batch = pad_for_graph(inputs, [features.extract(extractor, clip) for clip in clips])
    time_axis = 2 if inputs.has_channels and layout == "batch" else 1
    axes = {key: {0: "clips", (time_axis if key == inputs.input_name else 1): "time"} for key in batch}
    module = _PlainModel(model, tuple(batch), inputs.has_channels and layout == "clip")
    return _Graph(module, tuple(batch.values()), tuple(batch), "logits", axes | {"logits": _OUTPUT_AXES})


def pad_for_graph(inputs: InputFormat, extracted: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
    """Pad features to a batch as a graph of the layout "batch" takes it: its mask has integers, 1 on true values."""
    batch = features.pad(inputs, extracted)
    return {name: value.long() if value.dtype == torch.bool else value for name, value in batch.items()}


def require_waveform(model: Any, processor: Any, name: str) -> None:
    """Raise ModelError for a model whose input is not audio at 16 kHz, which is what other programs give it."""
    inputs = InputFormat.of(processor.feature_extractor)
    if inputs.input_name != "input_values":
        reason = "takes mel features, which its graph does not calculate"
    elif inputs.sampling_rate != SAMPLING_RATE:
        reason = f"takes audio at {inputs.sampling_rate} Hz, not at 16,000"
    else:
        return
    raise ModelError(
        f"The model {name} ({model.config.model_type}) cannot be exported in this format: it {reason}; use --format "
        "onnx, and prepare its input with its processor."
    )


_OUTPUT_AXES = {0: "clips", 1: "frames"}


@contextlib.contextmanager
def _ready_to_trace(model: Any) -> Iterator[None]:
    """Give a model plain attention and the memory format of its classes, silence the exporter, and undo it all.

    Tracing warns of each size that it takes for a constant, and prints the whole graph if it fails.
    """
    was_training, own_format = model.training, memory_format.find(model)
    memory_format.use(model, "default").eval()
    attention = model.config._attn_implementation
    model.set_attn_implementation("eager")
    exporter: Any = torch.onnx  # whose types leave these functions out
    unfold = exporter.symbolic_helper.parse_args("v", "i", "i", "i")(_unfold)
    exporter.register_custom_op_symbolic("aten::unfold", unfold, OPSET)
    try:
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.unregister_custom_op_symbolic("aten::unfold", OPSET)
        model.set_attn_implementation(attention)
        memory_format.use(model, own_format)
        model.train(was_training)


def _unfold(g: Any, values: Any, axis: int, size: int, step: int) -> Any:
    """Return the windows of a tensor of unknown length: element i of all windows is one slice with a stride.

    torch's own translation needs the length. Granite Speech pools pairs of frames in this way.
    """

    def constant(*numbers: int) -> Any:
        return g.op("Constant", value_t=torch.tensor(numbers))

    parts = []
    for index in range(size):
        left = size - 1 - index  # elements of a window behind this one
        end = -left if left else torch.iinfo(torch.int64).max
        part = g.op("Slice", values, constant(index), constant(end), constant(axis), constant(step))
        parts.append(g.op("Unsqueeze", part, constant(-1)))
    return g.op("Concat", *parts, axis_i=-1)


def _move_graph(draft: Path, path: Path) -> None:
    """Move a graph to its place: in one file where the format allows it, else with its weights in one other."""
    files = list(draft.parent.iterdir())
    if len(files) == 1:
        draft.replace(path)
        return
    import onnx

    # The exporter has written a file for each tensor.
    onnx.save_model(onnx.load(draft), path, save_as_external_data=True, location=data_path(path).name)


def data_path(path: Path) -> Path:
    """Return the path of the weights of a graph that are not in its own file."""
    return path.with_name(f"{path.name}.data")


def size_bytes(path: Path) -> int:
    """Return the size of a graph with its weights."""
    return sum(file.stat().st_size for file in (path, data_path(path)) if file.exists())


def delete(path: Path) -> None:
    """Delete a graph and its weights."""
    for file in (path, data_path(path)):
        file.unlink(missing_ok=True)
