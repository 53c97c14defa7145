"""The vocabulary of a checkpoint: token -> id; an MMS model has one for each language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asrkit.decoding import ctc
from asrkit.decoding.tokens import Speller, find_delimiter
from asrkit.errors import ModelError, first_line
from asrkit.models.checkpoints import find_file, read_config, read_settings

MAX_BYTES, MAX_TOKENS = 16 << 20, 300_000
"""Of a vocabulary: JSON takes up to 25 times its size while it is read. The largest published ones of CTC models, of
MMS with a thousand languages and of Granite with 16,384 pieces, have a few MB."""


def read_vocabulary(path: Path, language: str = "") -> dict[str, int] | None:
    """Return token -> id of a local CTC checkpoint, None where it has no output layer yet.

    An MMS vocabulary is nested by language: that of `language` is returned, else of the one its tokenizer is set to.
    Raises ModelError where it has none for `language`.
    """
    vocabulary = read_whole(path)
    if vocabulary is None or not is_nested(vocabulary):
        return vocabulary
    if language:
        return select_language(vocabulary, language, str(path))
    default = (read_settings(path / "tokenizer_config.json") or {}).get("target_lang")
    return vocabulary.get(str(default)) or next(iter(vocabulary.values()))


def read_whole(path: Path) -> dict[str, Any] | None:
    """Return the content of vocab.json, nested by language or not; None where there is none.

    Raises ModelError for a damaged file.
    """
    vocabulary = read_settings(path / "vocab.json", MAX_BYTES, "vocabulary")
    if vocabulary is not None:
        for letters in vocabulary.values() if is_nested(vocabulary) else [vocabulary]:
            if not all(type(number) is int and 0 <= number < MAX_TOKENS for number in letters.values()):
                raise ModelError(f"{path / 'vocab.json'} numbers its tokens wrongly; the checkpoint is damaged.")
            if len(letters) > MAX_TOKENS:
                raise ModelError(f"{path / 'vocab.json'} holds more than {MAX_TOKENS:,} tokens, which no model has.")
    return vocabulary


def is_nested(vocabulary: dict[str, Any]) -> bool:
    """Return whether it is one of MMS: a vocabulary for each language."""
    return bool(vocabulary) and all(isinstance(value, dict) for value in vocabulary.values())


def check_language(path: Path, language: str) -> None:
    """Raise ModelError if `path` is an MMS checkpoint without `language`; other models have one vocabulary."""
    vocabulary = read_whole(path)
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
    """Return the letters that a local CTC checkpoint can spell, None where it has no output layer yet.

    Letters of several characters are among them, and these characters.
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
    graphemes = {text for text in speller.texts.values() if len(text) > 1}
    return known.union(graphemes, *graphemes) - {ctc.DELIMITER}


def read_speller(path: Path, language: str = "") -> Speller | None:
    """Return how a local CTC checkpoint spells, None where it has no vocabulary yet. Reads files alone, without torch.

    Tokens without an output are left out. Raises ModelError for damaged files, and as `read_vocabulary` does.
    """
    config = read_config(path) or {}
    num_rows = config.get("vocab_size") if isinstance(config.get("vocab_size"), int) else None
    settings = read_settings(path / "tokenizer_config.json") or {}
    pieces, added = None, {}
    if (vocabulary := read_vocabulary(path, language)) is None:
        if (pieces := read_pieces(path)) is None:
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


def read_pieces(path: Path) -> Any | None:
    """Return the `tokenizers.Tokenizer` of a checkpoint, None where it has none.

    Raises ModelError for a file that is damaged, too large, or a link that leads out of the folder.
    """
    content = read_settings(path / "tokenizer.json", MAX_BYTES, "tokenizer")
    if content is None:
        return None
    from tokenizers import Tokenizer

    file = find_file(path, "tokenizer.json")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the only one that it raises
        raise ModelError(f"{file} is no tokenizer ({first_line(error)}); the checkpoint is damaged.") from error
