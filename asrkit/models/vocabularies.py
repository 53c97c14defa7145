"""The vocabulary of a checkpoint: token -> id, for each language of an MMS model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asrkit.decoding import ctc
from asrkit.errors import ModelError


def read_vocabulary(path: Path, language: str = "") -> dict[str, int] | None:
    """Token -> id of a local CTC checkpoint, or None where it has no output layer yet.

    An MMS vocabulary is nested by language: that of `language` is taken, else of the one its tokenizer is set to.
    ModelError where it has none for `language`.
    """
    told = _vocabulary_file(path)
    if told is None:
        return None
    if is_nested(told):
        if language:
            return language_vocabulary(told, language, str(path))
        settings = path / "tokenizer_config.json"
        language = json.loads(settings.read_text(encoding="utf-8")).get("target_lang") if settings.exists() else None
        told = told.get(language) or next(iter(told.values()))
    return told


def _vocabulary_file(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads((path / "vocab.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ModelError(f"{path / 'vocab.json'} is not valid JSON ({error}); the checkpoint is damaged.") from error
    if not isinstance(told, dict):
        raise ModelError(f"{path / 'vocab.json'} holds no vocabulary; the checkpoint is damaged.")
    return told


def is_nested(vocabulary: dict[str, Any]) -> bool:
    """Whether it is one of MMS: a vocabulary for each language."""
    return bool(vocabulary) and all(isinstance(value, dict) for value in vocabulary.values())


def check_language(path: Path, language: str) -> None:
    """ModelError if the local MMS checkpoint at `path` has no adapter for `language`; others have one vocabulary."""
    told = _vocabulary_file(path)
    if told is not None and is_nested(told):
        language_vocabulary(told, language, str(path))


def language_vocabulary(nested: dict[str, dict[str, int]], language: str, name: str) -> dict[str, int]:
    """The vocabulary of one language of the MMS model called `name`. ModelError if it does not have that language."""
    if language in nested:
        return nested[language]
    known = ", ".join(sorted(nested)[:8]) + (" and others" if len(nested) > 8 else "")
    wanted = f"has no language {language!r}" if language else f"has a vocabulary for each of {len(nested)} languages"
    raise ModelError(
        f"The base model {name} {wanted}; set MMS language (adapter_language) to one of {known}, "
        "or Vocabulary to fresh."
    )


def known_characters(path: Path, language: str = "") -> set[str] | None:
    """The characters that a local CTC checkpoint can spell, also in lower case where it has capitals alone (see
    `ctc.lowercase_vocabulary`), or None where it has no output layer yet."""
    vocabulary = read_vocabulary(path, language)
    if not vocabulary:
        return None
    known = {token for token in (vocabulary | ctc.lowercase_vocabulary(vocabulary, ["a"])) if len(token) == 1}
    return known - {ctc.DELIMITER}
