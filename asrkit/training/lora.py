"""LoRA: small matrices beside frozen linear layers, trained in their place.

The output of a layer W becomes W x + (alpha / rank) B A x; only A and B are trained (Hu et al., "LoRA", ICLR 2022).
What is saved to be used has W + (alpha / rank) B A as its weights, so that nobody who loads it needs to know of LoRA. A
checkpoint has W, A and B beside that in a file of their own: training goes on from exactly what it had.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from asrkit.errors import ModelError
from asrkit.models.anatomy import Anatomy
from asrkit.models.checkpoints import find_file

FILE = "lora.safetensors"
"""In a checkpoint."""
LAYER_LIST = re.compile(r".*?layers?(?=\.\d+\.)")
"""The path of the list of the encoder's layers, in that of one of its modules."""
NAME = "default"
"""Of the one adapter, in peft."""
BASE, MATRICES = ".base_layer.", (".lora_A.", ".lora_B.")
"""What peft puts into the names of weights."""


def add(model: torch.nn.Module, parts: Anatomy, *, rank: int, alpha: int) -> None:
    """Put LoRA beside the model's `lora_targets`, in place; the result is the same at first, because B is zero.

    Freezes all other weights.
    """
    from peft import LoraConfig, inject_adapter_in_model

    # Into the list of layers: of a whole model peft asks for embeddings, which some of these models do not have.
    layers = LAYER_LIST.match(parts.lora_targets[0])
    assert layers is not None
    names = [path.removeprefix(layers[0] + ".") for path in parts.lora_targets]
    settings = LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=names)
    inject_adapter_in_model(settings, model.get_submodule(layers[0]), adapter_name=NAME)


def merged_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights with LoRA added to those beside it, by their names in a model without LoRA, on the CPU.

    The model stays as it is.
    """
    state = {
        name.replace(BASE, "."): value.cpu()
        for name, value in model.state_dict().items()
        if not any(part in name for part in MATRICES)
    }
    with torch.no_grad():
        for path, layer in _layers(model):
            state[f"{path}.weight"] = (layer.base_layer.weight + layer.get_delta_weight(NAME)).cpu()
    return state


def save(model: torch.nn.Module, folder: Path) -> None:
    """Write what `restore` reads into a checkpoint: the matrices, and the weights beside them as they were."""
    from safetensors.torch import save_file

    save_file({name: value.detach().contiguous() for name, value in _own_weights(model)}, folder / FILE)


def restore(model: torch.nn.Module, folder: Path) -> None:
    """Give a model with LoRA the weights that `save` wrote. Raises ModelError where they are not the model's."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(find_file(folder, FILE))
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"The checkpoint {folder} has no usable {FILE}, which a run with LoRA resumes from; start a new run."
        ) from error
    own = dict(_own_weights(model))
    if {name: value.shape for name, value in stored.items()} != {name: value.shape for name, value in own.items()}:
        raise ModelError(f"The {FILE} in the checkpoint {folder} belongs to another model; start a new run.")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(stored[name])


def _layers(model: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    from peft.tuners.lora import LoraLayer

    yield from ((path, module) for path, module in model.named_modules() if isinstance(module, LoraLayer))


def _own_weights(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for path, layer in _layers(model):
        yield f"{path}.weight", layer.base_layer.weight
        yield f"{path}.lora_A", layer.lora_A[NAME].weight
        yield f"{path}.lora_B", layer.lora_B[NAME].weight
