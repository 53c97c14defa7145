"""A checkpoint's directory in the Hugging Face layout: its type, its settings, whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asrkit.errors import ModelError

CTC_TYPES = frozenset(
    "wav2vec2 wav2vec2-bert wav2vec2-conformer hubert wavlm data2vec-audio unispeech unispeech-sat sew sew-d".split()
)
"""`model_type`s that `AutoModelForCTC` loads from 16 kHz speech."""


WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def check_directory(path: Path, called: str = "") -> None:
    """ModelError, which calls `path` so, unless it holds a CTC speech model in the Hugging Face layout."""
    called = called or f"directory {path}"
    check_type(path, called)
    if not any((path / name).exists() for name in WEIGHTS):
        raise ModelError(f"The {called} has a config.json but no weights (model.safetensors); give all of it.")


def check_type(path: Path, called: str) -> None:
    told = read_config(path)
    if told is None:
        raise ModelError(f"The {called} is no model: it has no config.json; give a Hugging Face checkpoint.")
    kind = told.get("model_type")
    if kind not in CTC_TYPES:
        raise ModelError(
            f"The {called} is of type {kind!r}, which is no CTC speech model; "
            f"choose one of {', '.join(sorted(CTC_TYPES))}."
        )


def read_config(path: Path) -> dict[str, Any] | None:
    """The checkpoint's `config.json`, or None where there is none. ModelError if it is damaged."""
    try:
        told = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ModelError(f"{path / 'config.json'} is not valid JSON ({error}); the checkpoint is damaged.") from error
    if not isinstance(told, dict):
        raise ModelError(f"{path / 'config.json'} holds no settings; the checkpoint is damaged.")
    return told
