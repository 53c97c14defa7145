"""Weights in pickles, the format before safetensors: read in a sandbox, because to read a pickle may run code.

torch's own restricted reader (`weights_only`) is what reads them there; the rest of asrkit sees safetensors.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from asrkit import sandbox
from asrkit.data import embedded
from asrkit.errors import ModelError, first_line
from asrkit.sandbox import ResourceLimits, Sandbox

COPIES = 3
"""How much memory the conversion may take for each byte of weights: they are read, copied and written."""


@contextlib.contextmanager
def as_safetensors(files: Sequence[Path], folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Give a folder and the files in it that hold the weights as safetensors: the checkpoint's own if they are such.

    Else the folder is a temporary one: files of one model become model.safetensors there, and adapters keep their
    names; safetensors beside pickles are linked. folder: of the checkpoint.
    Raises ModelError for a damaged file, and for one that does more than hold tensors.
    """
    if all(file.suffix == ".safetensors" for file in files):
        yield folder, list(files)
        return
    cache = embedded.cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="weights-", dir=cache) as draft:
            yield Path(draft), list(_convert(files, Path(draft), folder))
    except OSError as error:
        raise ModelError(f"The weights of the model {folder} cannot be converted ({error.strerror}).") from error


def _convert(files: Sequence[Path], draft: Path, folder: Path) -> Iterator[Path]:
    groups: dict[str, list[Path]] = {}
    for file in files:
        name = file.stem if file.name.startswith("adapter.") else "model"
        groups.setdefault(f"{name}.safetensors", []).append(file)
    default = ResourceLimits()
    size = sum(file.stat().st_size for file in files)
    limits = ResourceLimits(memory_bytes=max(default.memory_bytes, COPIES * size))
    for name, members in groups.items():
        inputs = [member.resolve() for member in members]
        if len(inputs) == 1 and inputs[0].suffix == ".safetensors":
            (draft / name).symlink_to(inputs[0])
            yield draft / name
            continue
        with sandbox.limited(limits), Sandbox([*inputs, draft], [draft], {"TMPDIR": str(draft)}) as confined:
            error = confined.call(convert, inputs, draft / name, about=members[0].name, error=ModelError)
        if error:
            raise ModelError(f"The weights of the model {folder} are damaged: {error}.")
        yield draft / name


def convert(files: list[Path], target: Path) -> str:
    """Write the tensors of pickles and safetensors to one file. Return why that is not possible; else nothing.

    Runs in the sandbox.
    """
    import torch
    from safetensors.torch import load_file, save_file

    tensors: dict[str, torch.Tensor] = {}
    try:
        for file in files:
            if file.suffix == ".safetensors":
                tensors |= load_file(file)
            else:
                tensors |= torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        # Tensors that share memory, as tied weights do, are written once each.
        save_file({name: value.contiguous().clone() for name, value in tensors.items()}, target, {"format": "pt"})
    except Exception as error:  # UnpicklingError, and anything that a damaged pickle raises
        return first_line(error).rstrip(".")
    return ""
