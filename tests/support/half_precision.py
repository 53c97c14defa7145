"""fp16 with loss scaling on the CPU, where accelerate allows it on GPUs only."""

from __future__ import annotations

from typing import Any

import torch


def simulate_fp16(trainer: Any, **scaler: Any) -> None:
    """Make a Trainer on the CPU compute in fp16 with loss scaling; `scaler` are settings of the GradScaler.

    TrainingArguments resets the precision, which all Accelerators of a process share.
    """
    accelerator = trainer.accelerator
    accelerator.state._mixed_precision, accelerator.native_amp = "fp16", True
    accelerator.scaler = torch.amp.GradScaler("cpu", **scaler)
