"""The same arithmetic in a memory order that a processor is fast at. Imports torch when called.

The layer-norm feature encoders (XLS-R, MMS, HuBERT large, WavLM large, data2vec, the starter) normalise over channels
between convolutions over time, and Hugging Face's code transposes there and back in every layer; the activation and its
gradient then walk memory against the grain. A convolution in channels-last order leaves its output as the norm and the
activation want it. Attention over a few hundred frames is faster as plain matrix products than through the fused CPU
kernel; it keeps every head's matrix for the backward pass, so only small models get it. `tests/benchmarks/layout.py`
measures both.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

LAYERS = ("LayerNormConvLayer", "Data2VecAudioConvLayer")
MOST_HEADS = 64
"""Attention heads in all layers together up to which attention is plain: 20 s of audio keep a matrix of 4 MB a head."""


def use_channels_last(model: Any) -> Any:
    """Give `model`, a wav2vec2-like CTC model on the CPU, the faster order, in place; returns it.

    Weights, names, results (to float rounding) and what `save_pretrained` writes stay the same. A model with none of
    the layers in question is left as it is.
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
    heads = model.config.num_hidden_layers * model.config.num_attention_heads
    if model.config._attn_implementation == "sdpa" and heads <= MOST_HEADS:
        model.set_attn_implementation("eager")
    return model


def _convolve(self, hidden_states):
    """(batch, channels, time) -> (batch, channels, shorter time), held in memory as (batch, time, channels)."""
    import torch
    from torch.nn import functional

    image = hidden_states.unsqueeze(2)
    if image.shape[1] > 1:  # one channel has no order
        image = image.contiguous(memory_format=torch.channels_last)
    weight = self.conv.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    image = functional.conv2d(image, weight, self.conv.bias, stride=(1, *self.conv.stride))
    return self.activation(self.layer_norm(image.squeeze(2).transpose(1, 2))).transpose(1, 2)
