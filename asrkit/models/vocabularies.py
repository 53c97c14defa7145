"""The vocabulary of a checkpoint: token -> id; an MMS model has one for each language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asrkit.decoding import ctc
from asrkit.decoding.tokens import Speller, find_delimiter
from asrkit.errors import ModelError, first_line
from asrkit.models.checkpoints import read_config, read_settings


def read_vocabulary(path: Path, language: str = "") -> dict[str, int] | None:
    """Return token -> id of a local CTC checkpoint, None where it has no output layer yet.

    An MMS vocabulary is nested by language: that of `language` is returned, else of the one its tokenizer is set to.
    Raises ModelError where it has none for `language`.
    """
    vocabulary = _read_file(path)
    if vocabulary is None or not is_nested(vocabulary):
        return vocabulary
    if language:
        return select_language(vocabulary, language, str(path))
    settings = path / "tokenizer_config.json"
    default = json.loads(settings.read_text(encoding="utf-8")).get("target_lang") if settings.exists() else ""
    return vocabulary.get(str(default)) or next(iter(vocabulary.values()))


def _read_file(path: Path) -> dict[str, Any] | None:
    try:
        vocabulary = json.loads((path / "vocab.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ModelError(f"{path / 'vocab.json'} is not valid JSON ({error}); the checkpoint is damaged.") from error
    if not isinstance(vocabulary, dict):
        raise ModelError(f"{path / 'vocab.json'} holds no vocabulary; the checkpoint is damaged.")
    return vocabulary


def is_nested(vocabulary: dict[str, Any]) -> bool:
    """Return whether it is one of MMS: a vocabulary for each language."""
    return bool(vocabulary) and all(isinstance(value, dict) for value in vocabulary.values())


def check_language(path: Path, language: str) -> None:
    """Raise ModelError if `path` is an MMS checkpoint without `language`; other models have one vocabulary."""
    vocabulary = _read_file(path)
    if vocabulary is not None and is_nested(vocabulary):
        select_language(vocabulary, language, str(path))


def select_language(nested: dict[str, dict[str, int]], language: str, name: str) -> dict[str, int]:
    """Return the vocabulary of one language of an MMS model; name: what a ModelError calls it if it has none."""
    if language in nested:
        return nested[language]
    known = ", ".join(sorted(nested)[:8]) + (" and others" if len(nested) > 8 else "")
    problem = f"has no language {language!r}" if language else f"has a vocabulary for each of {len(nested)} languages"
    raise ModelError(
        f"The base model {name} {problem}; set MMS language (adapter_language) to one of {known}, "
        "or Vocabulary to fresh."
    )


def known_characters(path: Path, language: str = "") -> set[str] | None:
    """Return the characters that a local CTC checkpoint can spell, None where it has no output layer yet.

    Where it has capitals alone, lower-case letters count too (see `ctc.lowercase_vocabulary`).
    """
    speller = read_speller(path, language)
    if speller is None:
        return None
    if speller.pieces is not None:
        letters = {letter for token in speller.texts.values() for letter in token}
        return letters - speller.unknown_characters(letters)
    vocabulary = dict(speller.vocabulary)
    known = {token for token in (vocabulary | ctc.lowercase_vocabulary(vocabulary, ["a"])) if len(token) == 1}
    return known - {ctc.DELIMITER}


def read_speller(path: Path, language: str = "") -> Speller | None:
    """Return how a local CTC checkpoint spells, None where it has no vocabulary yet. Reads files alone, without torch.

    Tokens without an output are left out. Raises ModelError for damaged files, and as `read_vocabulary` does.
    """
    config = read_config(path) or {}
    num_rows = config.get("vocab_size") if isinstance(config.get("vocab_size"), int) else None
    settings = read_settings(path / "tokenizer_config.json") or {}
    pieces, added = None, {}
    if (vocabulary := read_vocabulary(path, language)) is None:
        if (pieces := _read_pieces(path / "tokenizer.json")) is None:
            return None
        vocabulary, added = pieces.get_vocab(), pieces.get_added_tokens_decoder()
    if num_rows is not None and not language:  # an adapter of MMS brings an output layer of its own size
        vocabulary = {token: number for token, number in vocabulary.items() if number < num_rows}
    names = (settings.get(f"{kind}_token") for kind in ("pad", "unk", "bos", "eos"))
    special = [str(name.get("content") if isinstance(name, dict) else name or "") for name in names]
    stated = str(settings.get("word_delimiter_token", ctc.DELIMITER))
    delimiter = stated if pieces is None and stated in vocabulary else find_delimiter(vocabulary)
    return Speller(
        vocabulary,
        frozenset(vocabulary[name] for name in special if name in vocabulary),
        None if delimiter is None else vocabulary[delimiter],
        vocabulary.get(special[1] or ctc.UNKNOWN),
        pieces,
        frozenset(token.content for token in added.values() if len(token.content) == 1),
    )


def _read_pieces(file: Path) -> Any | None:
    """Return the `tokenizers.Tokenizer` of a file, None where there is none."""
    if not file.is_file():
        return None
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the only one that it raises
        raise ModelError(f"{file} is no tokenizer ({first_line(error)}); the checkpoint is damaged.") from error
