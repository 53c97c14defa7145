"""The output layer (head): rows for new tokens, a learning rate of its own, and first steps that train it alone."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from asrkit.models.anatomy import Head, encoder_settings


def add_output_rows(model: Any, head: Head, size: int) -> None:
    """Add output rows for new tokens: known rows stay, new ones start at their mean plus small noise.

    A Linear and a Conv1d of one frame are the same matrix here. Where other layers share the weights, they do so
    afterwards; the layer that reads the outputs again (Granite) ignores the new ones at first.
    """
    module = model.get_submodule(head.path)
    old_weight, old_bias, num_rows = module.weight, module.bias, head.num_rows
    with torch.no_grad():
        weight = old_weight.mean(0) + 0.02 * torch.randn(size, *old_weight.shape[1:])
        # Two nats below the mean: likely enough to be learned, too unlikely to disturb the known characters.
        bias = torch.full((size,), float(old_bias.mean()) - 2.0)
        weight[:num_rows], bias[:num_rows] = old_weight, old_bias
    new_weight, new_bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)
    for other in model.modules():
        if other._parameters.get("weight") is old_weight:
            other.weight, other.bias = new_weight, new_bias
            setattr(other, "out_features" if hasattr(other, "out_features") else "out_channels", size)
        elif head.kind == "tied" and getattr(other, "in_features", None) == num_rows:
            columns = torch.zeros(other.weight.shape[0], size - num_rows)
            other.weight, other.in_features = torch.nn.Parameter(torch.cat([other.weight.data, columns], 1)), size
    model.config.vocab_size = size
    encoder = encoder_settings(model.config)
    if hasattr(encoder, "vocab_size"):
        encoder.vocab_size = size


def set_head_learning_rate(optimizer: torch.optim.Optimizer, head: torch.nn.Module, learning_rate: float) -> None:
    """Move the parameters of the output layer into parameter groups with `learning_rate`."""
    head_ids = {id(parameter) for parameter in head.parameters()}
    for group in list(optimizer.param_groups):
        in_head = [parameter for parameter in group["params"] if id(parameter) in head_ids]
        if in_head:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in head_ids]
            optimizer.add_param_group({**group, "params": in_head, "lr": learning_rate})
    optimizer.param_groups = [group for group in optimizer.param_groups if group["params"]]


class HeadFirst(TrainerCallback):
    """Trains the output layer `head` alone in the first steps, by dropping all other gradients."""

    def __init__(self, head: torch.nn.Module, num_steps: int) -> None:
        self.head_ids, self.num_steps = {id(parameter) for parameter in head.parameters()}, num_steps

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **_: Any,
    ) -> None:
        if model is not None and state.global_step < self.num_steps:
            for parameter in model.parameters():
                if id(parameter) not in self.head_ids:
                    parameter.grad = None
