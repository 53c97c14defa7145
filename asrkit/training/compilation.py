"""torch.compile for the layers of a model's encoder, which all run the same code: one of them is compiled for all.

Nearly every batch has a number of clips and frames of its own, so they are compiled for any. What lies around the
layers stays as it is: it has parts that cannot be traced, such as the masks of SpecAugment.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

from asrkit.errors import ConfigError, ModelError, first_line
from asrkit.models import anatomy

BACKEND = "inductor"


def compile_layers(model: Any, device_type: str) -> None:
    """Let the layers be compiled when a training step first calls them, in place.

    Weights and their names stay the same. Raises ConfigError where this machine cannot compile, ModelError for a model
    without such layers.
    """
    layers = anatomy.list_layers(model)
    if not layers:
        raise ModelError(
            f"Models of the type {model.config.model_type} have no layers to compile; switch off Compile the model "
            "(torch_compile)."
        )
    try:
        torch.compile(torch.sin, backend=BACKEND)(torch.zeros(8, device=device_type))
    except Exception as error:  # of the compiler, of Triton and of the programs that they call
        raise ConfigError(
            f"This machine cannot compile the model ({first_line(error).rstrip('.')}); switch off Compile the model "
            "(torch_compile)."
        ) from error
    for layer in layers:
        layer.compile(dynamic=True, backend=BACKEND)


def uncompiled() -> AbstractContextManager[Any]:
    """Return a context in which compiled layers run as they were: an evaluation is not worth a compilation."""
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance
