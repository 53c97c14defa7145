"""Checkpoint directories in the Hugging Face layout: configuration, model type, completeness."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asrkit.errors import ModelError

CTC_TYPES = frozenset(
    "wav2vec2 wav2vec2-bert wav2vec2-conformer hubert wavlm data2vec-audio unispeech unispeech-sat sew sew-d".split()
)
"""`model_type`s that `AutoModelForCTC` loads from 16 kHz speech."""
WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)


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
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ModelError(f"{path / 'config.json'} is not valid JSON ({error}); the checkpoint is damaged.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path / 'config.json'} holds no settings; the checkpoint is damaged.")
    return config
