"""TrainingSettings: how a run learns: schedule, batches, optimizer and devices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from asrkit.config.fields import setting

_setting = partial(setting, group="Training")


@dataclass(frozen=True)
class TrainingSettings:
    """The fields of TrainConfig in the form's group Training."""

    learning_rate: float = _setting(
        5e-4,
        "Learning rate",
        "Peak learning rate. Large pretrained models need 1e-5 to 1e-4.",
        low=1e-7,
        high=0.1,
        basic=True,
    )
    head_learning_rate: float = _setting(
        0.0,
        "Head learning rate",
        "Peak learning rate of the output layer; 0 uses the learning rate. A new layer may learn 10 times faster.",
        low=0,
        high=1,
    )
    num_epochs: float = _setting(5.0, "Epochs", "Passes over the training data.", low=0.01, high=10_000, basic=True)
    max_steps: int = _setting(
        0, "Maximum steps", "Stop after this many optimizer steps; 0 trains for the epochs.", low=0, high=10_000_000
    )
    train_batch_size: int = _setting(
        8,
        "Batch size (clips)",
        "Clips per batch; used when the size in seconds is 0.",
        low=1,
        high=4096,
        basic=True,
    )
    batch_seconds: float = _setting(
        0.0,
        "Batch size (seconds)",
        "Seconds of audio per batch, padding included; 0 counts clips instead.",
        low=0,
        high=10_000,
        basic=True,
    )
    eval_batch_size: int = _setting(
        0, "Evaluation batch size", "Clips per batch during evaluation; 0 fills batches by seconds.", low=0, high=4096
    )
    gradient_accumulation_steps: int = _setting(
        1, "Gradient accumulation", "Batches per optimizer step.", low=1, high=1024
    )
    warmup_steps: int = _setting(
        0, "Warm-up steps", "Steps over which the learning rate rises from 0.", low=0, high=1_000_000
    )
    lr_scheduler_type: str = _setting(
        "linear",
        "Schedule",
        "How the learning rate falls after the warm-up.",
        choices=("linear", "cosine", "constant", "constant_with_warmup"),
    )
    optimizer: str = _setting(
        "adamw",
        "Optimizer",
        "adamw-8bit keeps its state in a byte a weight instead of four. It needs bitsandbytes and an NVIDIA GPU.",
        choices=("adamw", "adamw-8bit"),
    )
    adam_beta1: float = _setting(0.9, "Adam beta 1", "Decay of the mean of gradients.", low=0, high=0.9999)
    adam_beta2: float = _setting(0.999, "Adam beta 2", "Decay of the mean of squared gradients.", low=0, high=0.99999)
    adam_epsilon: float = _setting(1e-8, "Adam epsilon", "Added to the denominator for stability.", low=1e-12, high=0.1)
    weight_decay: float = _setting(
        0.0, "Weight decay", "Strength of the pull of the weights towards zero.", low=0, high=1
    )
    max_grad_norm: float = _setting(1.0, "Gradient clipping", "Maximum gradient norm.", low=1e-3, high=1e6)
    seed: int = _setting(42, "Seed", "Determines data order, augmentation and initial weights.", low=0, high=2**31 - 1)
    mixed_precision: str = _setting(
        "auto",
        "Mixed precision",
        "auto uses bf16 where the device computes it in hardware, else fp16 on a GPU with tensor cores, else float32.",
        choices=("auto", "no", "bf16", "fp16"),
    )
    processes: int = _setting(
        1,
        "Processes",
        "Worker processes, one for each GPU; each of them takes a batch of the given size.",
        low=1,
        high=64,
    )
    device: str = _setting(
        "auto",
        "Device",
        "auto uses the first free device; cuda:1 waits for that GPU, cuda:0,cuda:1 (two processes) for both; cpu uses "
        "no GPU.",
    )
    gradient_checkpointing: bool = _setting(
        False, "Gradient checkpointing", "Uses less memory and is about a third slower."
    )
    torch_compile: bool = _setting(
        False,
        "Compile the model",
        "torch.compile for the encoder's layers: takes half a minute at the start, then steps on a GPU are faster. "
        "Needs a C++ compiler.",
    )
    cache_gb: float = _setting(
        2.0,
        "Memory for caches (GB)",
        "For the next epochs: decoded audio, if one process decodes, and on a CPU what a frozen feature encoder gives, "
        "where results stay the same; 0 caches nothing.",
        low=0,
        high=1000,
    )
