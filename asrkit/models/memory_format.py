"""The same arithmetic in the form that is fastest on a device. torch is imported on the first call.

The layer-norm feature encoders (XLS-R, MMS, HuBERT large, WavLM large, data2vec, the starter) normalise over channels
between convolutions over time, and Hugging Face's code transposes there and back in every layer; the activation and its
gradient then walk memory against the grain.

On a processor, a convolution in channels-last order leaves its output as the norm and the activation need it. Attention
over a few hundred frames is faster as plain matrix products than through the fused CPU kernel; it keeps every head's
matrix for the backward pass, so only small models get it. `tests/benchmarks/layout.py` measures both.

On an NVIDIA GPU, cuDNN makes a plan for every new shape, and batches of speech nearly all have one of their own: 3 ms
for each of seven convolutions. As matrix products they need none, and norm and activation stay in the precision of the
products: on an H100, 5.5 ms instead of 17 for 138 s of audio in XLS-R's encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any, Literal

from asrkit.models.anatomy import encoder_settings

Format = Literal["default", "channels-last", "products"]
BEST: dict[str, Format] = {"cpu": "channels-last", "cuda": "products"}
"""The format for each type of device."""
LAYERS = ("LayerNormConvLayer", "Data2VecAudioConvLayer")
MAX_EAGER_HEADS = 64
"""Attention heads in all layers together up to which attention is plain: 20 s of audio keep a matrix of 4 MB a head."""


def use_best(model: Any, device_type: str) -> Any:
    """Give a wav2vec2-like CTC model the format for a device ("cpu", "cuda", …), in place; return it.

    Weights, names, results (to rounding) and what `save_pretrained` writes stay the same. A model with none of these
    layers stays as it is. On a GPU, attention uses the kernels that need no plan for each shape, in the whole process.
    """
    if device_type != "cpu":
        avoid_attention_plans()
    return use(model, BEST.get(device_type, "default"))


def use(model: Any, format: Format) -> Any:
    """Give a model this format in place of the one it has, in place; return it."""
    for layer in model.modules():
        if _get_convolve(layer) is not None:
            del layer.forward
        if format == "channels-last" and _is_plain(layer) and _has_norm(layer):
            layer.forward = MethodType(_convolve_channels_last, layer)
        elif format == "products" and _is_plain(layer):
            layer.forward = MethodType(_convolve_by_products, layer)
    _use_eager_attention(model, format == "channels-last")
    return model


def find(model: Any) -> Format:
    """Return the format that a model has."""
    if getattr(model, "has_replaced_attention", False):
        return "channels-last"
    found = next(filter(None, map(_get_convolve, model.modules())), None)
    return "default" if found is None else _FORMATS[found]


def merge_weight_norm(model: Any) -> None:
    """Calculate the weights that are kept as direction and length, for inference, in place; for good.

    The convolution over positions calculated its weight at every call: in bfloat16, a fifth of the time for 2 s of
    speech with the starter. What `save_pretrained` writes afterwards is no checkpoint of these classes.
    """
    from torch.nn.utils import parametrize

    for layer in model.modules():
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")


def avoid_attention_plans() -> None:
    """Let attention on an NVIDIA GPU use the kernels that need no plan for each shape, in this process.

    On an H100, the plans of cuDNN's attention for a new number of clips and frames took 0.37 s of a forward pass of
    0.43 s, and 0.9 s of a training step of 1.0 s (XLS-R 300M, 48 clips of 3 s).
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)


def _use_eager_attention(model: Any, is_wanted: bool) -> None:
    """Give a small model plain attention, or its own again."""
    has_it = getattr(model, "has_replaced_attention", False)
    if has_it and not is_wanted:
        model.set_attn_implementation("sdpa")
        model.has_replaced_attention = False
    elif is_wanted and not has_it and model.config._attn_implementation == "sdpa":
        encoder = encoder_settings(model.config)
        if encoder.num_hidden_layers * encoder.num_attention_heads <= MAX_EAGER_HEADS:
            model.set_attn_implementation("eager")
            model.has_replaced_attention = True


def _is_plain(layer: Any) -> bool:
    """Whether a layer is a convolution without padding, a layer norm or no norm, and an activation."""
    from torch import nn

    convolution = getattr(layer, "conv", None)
    return (
        type(layer).__name__.endswith(LAYERS)
        and isinstance(convolution, nn.Conv1d)
        and (_has_norm(layer) or not hasattr(layer, "layer_norm"))
        and convolution.padding == (0,)
        and convolution.dilation == (1,)
        and convolution.groups == 1
    )


def _has_norm(layer: Any) -> bool:
    from torch import nn

    return isinstance(getattr(layer, "layer_norm", None), nn.LayerNorm)


def _get_convolve(layer: Any) -> Callable[..., Any] | None:
    """Return the function of this module that stands in for a layer's own."""
    function = getattr(vars(layer).get("forward"), "__func__", None)
    return function if function in _FORMATS else None


def _convolve_channels_last(self: Any, hidden_states: Any) -> Any:
    """Apply a layer to (batch, channels, time); the shorter result is laid out in memory as (batch, time, channels)."""
    import torch
    from torch.nn import functional

    image = hidden_states.unsqueeze(2)
    if image.shape[1] > 1:  # one channel has no order
        image = image.contiguous(memory_format=torch.channels_last)
    weight = self.conv.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    image = functional.conv2d(image, weight, self.conv.bias, stride=(1, *self.conv.stride))
    return self.activation(self.layer_norm(image.squeeze(2).transpose(1, 2))).transpose(1, 2)


def _convolve_by_products(self: Any, hidden_states: Any) -> Any:
    """Apply a layer to (batch, channels, time); the shorter result is laid out in memory as (batch, time, channels)."""
    import torch
    from torch.nn import functional

    rows = hidden_states.transpose(1, 2).contiguous()  # no copy behind another such layer
    output = _multiply(rows, self.conv.weight, self.conv.bias, self.conv.stride[0])
    with torch.autocast(output.device.type, enabled=False):  # which would normalise in float32
        if _has_norm(self):
            norm = self.layer_norm
            weight, bias = (None if one is None else one.to(output.dtype) for one in (norm.weight, norm.bias))
            output = functional.layer_norm(output, norm.normalized_shape, weight, bias, norm.eps)
        return self.activation(output).transpose(1, 2)


def _multiply(rows: Any, weight: Any, bias: Any, stride: int) -> Any:
    """Convolve (batch, time, channels), contiguous, with (outputs, channels, taps): (batch, frames, outputs).

    `stride` neighbouring taps of all frames are a matrix without a copy: its rows lie `stride` times `channels` apart.
    """
    import torch
    from torch.nn import functional

    num_taps, num_frames = weight.shape[2], (rows.shape[1] - weight.shape[2]) // stride + 1
    if rows.shape[2] == 1:  # the waveform: a copy of all taps is small
        return functional.linear(rows[:, :, 0].unfold(1, num_taps, stride).contiguous(), weight[:, 0], bias)
    output = bias
    for first in range(0, num_taps, stride):
        taps = weight[:, :, first : first + stride]
        matrix = rows[:, first:].unfold(1, taps.shape[2], stride)[:, :num_frames].transpose(2, 3).flatten(2)
        factors = taps.permute(2, 1, 0).flatten(0, 1).expand(len(rows), -1, -1)
        output = torch.bmm(matrix, factors) if output is None else torch.baddbmm(output, matrix, factors)
    return output


_FORMATS: dict[Callable[..., Any], Format] = {
    _convolve_channels_last: "channels-last",
    _convolve_by_products: "products",
}
