"""Checkpoint directories in the Hugging Face layout: configuration, model type, completeness."""

from __future__ import annotations

import json
import math
import operator
import os
import struct
from pathlib import Path
from typing import Any

from asrkit.errors import ModelError
from asrkit.hub import credentials
from asrkit.units import format_binary_size

CTC_TYPES = frozenset(
    "wav2vec2 wav2vec2-bert wav2vec2-conformer hubert wavlm data2vec-audio unispeech unispeech-sat sew sew-d "
    "omniasr_ctc parakeet_ctc lasr_ctc granite_speech5_ctc".split()
)
"""`model_type`s that `AutoModelForCTC` loads: all that transformers 5.24 has."""
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)

MAX_SETTINGS_BYTES = 4 << 20
"""Of a JSON file with settings; the published ones have 1 to 20 kB."""
MAX_HEADER_BYTES = 16 << 20
"""Of a safetensors file; a model of two billion weights has 100 kB."""


def check_directory(path: Path, label: str = "") -> None:
    """Raise ModelError unless `path` holds a CTC speech model with weights; label: what messages call it."""
    label = label or f"directory {path}"
    check_type(path, label)
    if not any((path / name).exists() for name in WEIGHT_FILES):
        raise ModelError(
            f"The {label} has a config.json but no weights (model.safetensors); give the complete checkpoint."
        )


def check_type(path: Path, label: str) -> None:
    """Raise ModelError unless the config.json in `path` is one of a CTC speech model."""
    config = read_config(path)
    if config is None:
        raise ModelError(f"The {label} is not a model: it has no config.json; give a Hugging Face checkpoint.")
    model_type = config.get("model_type")
    if model_type not in CTC_TYPES:
        raise ModelError(
            f"The {label} is of type {model_type!r}, which is not a CTC speech model; "
            f"choose one of {', '.join(sorted(CTC_TYPES))}."
        )


def read_config(path: Path) -> dict[str, Any] | None:
    """Return the checkpoint's `config.json`, None where there is none. Raises ModelError if it is damaged."""
    return read_settings(path / "config.json")


def read_preprocessor(path: Path) -> dict[str, Any] | None:
    """Return the settings of the checkpoint's feature extractor, None where it has none. Raises ModelError if damaged.

    They are a file of their own, or a part of the processor's.
    """
    settings = read_settings(path / "preprocessor_config.json")
    if settings is None:
        settings = (read_settings(path / "processor_config.json") or {}).get("feature_extractor")
    return settings if isinstance(settings, dict) else None


def read_settings(file: Path, max_bytes: int = MAX_SETTINGS_BYTES, content: str = "settings") -> dict[str, Any] | None:
    """Return the object in a checkpoint's JSON file, None where there is no such file; content: what messages call it.

    Raises ModelError for a file that is damaged, larger than `max_bytes`, or a link that leads out of its folder.
    """
    try:
        with open(find_file(file.parent, file.name), "rb") as opened:
            text = opened.read(max_bytes + 1)
        if len(text) > max_bytes:
            raise ModelError(f"{file} is larger than the {format_binary_size(max_bytes)} that such a file has at most.")
        settings = json.loads(text.decode("utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not valid JSON ({error}); the checkpoint is damaged.") from error
    if not isinstance(settings, dict):
        raise ModelError(f"{file} holds no {content}; the checkpoint is damaged.")
    return settings


def count_weights(folder: Path) -> int:
    """Return the number of weights of a checkpoint by the headers of its safetensors files; 0 where there are none.

    Files of adapters beside them do not count.

    Raises ModelError for a damaged file.
    """
    total = 0
    for file in sorted(folder.glob("model*.safetensors")):
        with open(find_file(folder, file.name), "rb") as opened:
            try:
                (length,) = struct.unpack("<Q", opened.read(8))
                if length > MAX_HEADER_BYTES:
                    raise ValueError("a header of that size")
                header = json.loads(opened.read(length))
                shapes = [tensor["shape"] for name, tensor in header.items() if name != "__metadata__"]
                total += sum(math.prod(map(operator.index, shape)) for shape in shapes)
            except (struct.error, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise ModelError(f"{file} has no readable header; the checkpoint is damaged.") from error
    return total


def find_file(folder: Path, name: str) -> Path:
    """Return the path of a checkpoint's file, which may not exist. Raises ModelError for one outside its folder.

    A checkpoint names some of its files itself. Links may lead to the cache of the Hub's client, which fills its
    folders with them.
    """
    path = folder / name
    if name != os.path.basename(name) or name in ("", ".", "..") or "\0" in name:
        raise ModelError(f"The checkpoint {folder} names the file {name!r:.80}, which is not in it; it is damaged.")
    if path.is_symlink():
        target = Path(os.path.realpath(path))
        if not any(target.is_relative_to(os.path.realpath(root)) for root in (folder, credentials.cache_dir("model"))):
            raise ModelError(f"{path} is a link that leads out of the checkpoint's folder; copy the file into it.")
    return path
