"""Map a TrainConfig to transformers' TrainingArguments, with device, precision and loader processes of this machine."""

from __future__ import annotations

import resource
import sys

import torch
from transformers import TrainingArguments

from asrkit.config import TrainConfig
from asrkit.cores import count_cores
from asrkit.errors import ConfigError
from asrkit.models.compatibility import check_optimizer
from asrkit.models.precision import has_native_bf16
from asrkit.runs.run import Run
from asrkit.training import distributed

MIN_FP16_CAPABILITY = (7, 0)
"""CUDA compute capability of the first GPUs with tensor cores (V100, T4); older ones are no faster in fp16."""


def make_arguments(run: Run, config: TrainConfig) -> TrainingArguments:
    """Return `config` as TrainingArguments. Evaluation and saving are left to `Schedule`."""
    precision = resolve_precision(config.mixed_precision)
    return TrainingArguments(
        output_dir=str(run.checkpoints_dir),
        seed=config.seed,
        data_seed=config.seed,
        per_device_train_batch_size=config.train_batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.lr_scheduler_type,
        warmup_steps=config.warmup_steps,
        num_train_epochs=config.num_epochs,
        max_steps=config.max_steps or -1,
        weight_decay=config.weight_decay,
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        adam_epsilon=config.adam_epsilon,
        max_grad_norm=config.max_grad_norm,
        optim=choose_optimizer(config.optimizer),
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        logging_strategy="steps",
        logging_steps=config.logging_steps,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        dataloader_num_workers=num_loader_workers(),
        remove_unused_columns=False,
        use_cpu=find_device_type(config) == "cpu",
        report_to="none",
        disable_tqdm=True,
        ddp_find_unused_parameters=True,
    )


def find_device_type(config: TrainConfig) -> str:
    """Return the type of the device that a run trains on: "cpu", "cuda", "mps", …"""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if config.device == "cpu" or accelerator is None else accelerator.type


def choose_optimizer(setting: str) -> str:
    """Return the optimizer's name in transformers. Raises ConfigError where this machine cannot run it."""
    if setting == "adamw":
        return "adamw_torch_fused"
    check_optimizer(setting)
    if not torch.cuda.is_available():
        raise ConfigError("The 8-bit optimizer (adamw-8bit) needs an NVIDIA GPU; set optimizer to adamw.")
    return "adamw_bnb_8bit"


def num_loader_workers() -> int:
    """Return the number of processes that decode audio ahead of the training step.

    Where the step itself uses all cores, a further process slows it down, unless there are many cores. A large GPU
    takes some 2,000 seconds of audio a second, and a process makes about 600 of w2v-BERT's features.
    """
    num_cores = count_cores() // distributed.LOCAL_WORLD_SIZE
    return min(8, max(1, num_cores - 1)) if torch.accelerator.is_available() else min(4, num_cores // 4)


def resolve_precision(setting: str) -> str:
    """Resolve `auto` to bf16 where the device computes it in hardware, else to fp16 on a GPU with tensor cores.

    Everything else computes in float32 (`no`). fp16 comes with loss scaling, which only a GPU does.
    """
    if setting != "auto":
        return setting if setting != "fp16" or torch.cuda.is_available() else "no"
    if torch.cuda.is_available():
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16"
        return "fp16" if torch.cuda.get_device_capability() >= MIN_FP16_CAPABILITY else "no"
    return "bf16" if has_native_bf16() else "no"


def make_autocast(device_type: str, setting: str) -> torch.autocast:
    """Return the context in which a model computes in the precision that `resolve_precision` finds."""
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(resolve_precision(setting))
    return torch.autocast(device_type, dtype, enabled=dtype is not None)


def peak_memory_bytes() -> int:
    """Return this process's peak memory: on the GPU where there is one, else resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    # getrusage counts in kilobytes, on macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
