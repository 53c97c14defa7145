"""The same arithmetic in the form that is fastest on a device. torch is imported on the first call.

The layer-norm feature encoders (XLS-R, MMS, HuBERT large, WavLM large, data2vec, the starter) normalise over channels
between convolutions over time, and Hugging Face's code transposes there and back in every layer; the activation and its
gradient then walk memory against the grain. A convolution in channels-last order leaves its output as the norm and the
activation need it. Attention over a few hundred frames is faster as plain matrix products than through the fused CPU
kernel; it keeps every head's matrix for the backward pass, so only small models get it. `tests/benchmarks/layout.py`
measures both.

On a GPU, cuDNN makes a plan for every new shape, and batches of speech nearly all have one of their own.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

from asrkit.models.anatomy import encoder_settings

LAYERS = ("LayerNormConvLayer", "Data2VecAudioConvLayer")
MAX_EAGER_HEADS = 64
"""Attention heads in all layers together up to which attention is plain: 20 s of audio keep a matrix of 4 MB a head."""


def use_channels_last(model: Any) -> Any:
    """Make a wav2vec2-like CTC model on the CPU use the channels-last format and plain attention, in place; return it.

    Weights, names, results (to float rounding) and what `save_pretrained` writes stay the same. A model with none of
    these layers stays as it is.
    """
    from torch import nn

    for layer in model.modules():
        convolution = getattr(layer, "conv", None)
        if (
            type(layer).__name__.endswith(LAYERS)
            and isinstance(convolution, nn.Conv1d)
            and isinstance(getattr(layer, "layer_norm", None), nn.LayerNorm)
            and convolution.padding == (0,)
            and convolution.dilation == (1,)
            and convolution.groups == 1
        ):
            layer.forward = MethodType(_convolve, layer)
    encoder = encoder_settings(model.config)
    heads = encoder.num_hidden_layers * encoder.num_attention_heads
    if model.config._attn_implementation == "sdpa" and heads <= MAX_EAGER_HEADS:
        model.set_attn_implementation("eager")
        model.has_replaced_attention = True
    return model


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


def uses_channels_last(model: Any) -> bool:
    """Return whether `use_channels_last` changed anything in the model."""
    return getattr(model, "has_replaced_attention", False) or any(map(_has_replaced_forward, model.modules()))


def use_default_format(model: Any) -> Any:
    """Undo `use_channels_last`, in place, for a model that moves to a GPU; return it."""
    for layer in model.modules():
        if _has_replaced_forward(layer):
            del layer.forward
    if getattr(model, "has_replaced_attention", False):
        model.set_attn_implementation("sdpa")
        model.has_replaced_attention = False
    return model


def _has_replaced_forward(layer: Any) -> bool:
    return getattr(vars(layer).get("forward"), "__func__", None) is _convolve


def _convolve(self: Any, hidden_states: Any) -> Any:
    """Apply a layer to (batch, channels, time); the shorter result is laid out in memory as (batch, time, channels)."""
    import torch
    from torch.nn import functional

    image = hidden_states.unsqueeze(2)
    if image.shape[1] > 1:  # one channel has no order
        image = image.contiguous(memory_format=torch.channels_last)
    weight = self.conv.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    image = functional.conv2d(image, weight, self.conv.bias, stride=(1, *self.conv.stride))
    return self.activation(self.layer_norm(image.squeeze(2).transpose(1, 2))).transpose(1, 2)
