"""The output layer (head): a learning rate of its own, and first steps that train it alone."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


def set_head_learning_rate(optimizer: torch.optim.Optimizer, model: torch.nn.Module, learning_rate: float) -> None:
    """Move the parameters of the output layer into parameter groups with `learning_rate`."""
    head_ids = {id(parameter) for name, parameter in model.named_parameters() if _is_head(name)}
    for group in list(optimizer.param_groups):
        head = [parameter for parameter in group["params"] if id(parameter) in head_ids]
        if head:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in head_ids]
            optimizer.add_param_group({**group, "params": head, "lr": learning_rate})
    optimizer.param_groups = [group for group in optimizer.param_groups if group["params"]]


def _is_head(parameter_name: str) -> bool:
    return "lm_head" in parameter_name


class HeadFirst(TrainerCallback):
    """Trains the output layer alone in the first steps, by dropping all other gradients."""

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: torch.nn.Module | None = None,
        **_: Any,
    ) -> None:
        if model is not None and state.global_step < self.num_steps:
            for name, parameter in model.named_parameters():
                if not _is_head(name):
                    parameter.grad = None
