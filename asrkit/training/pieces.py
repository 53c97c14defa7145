"""Growth of a vocabulary of word pieces: new characters become tokens of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from asrkit.decoding.tokens import PIECE_MARKS, Speller, forget


def add_characters(tokenizer: Any, texts: Iterable[str], num_rows: int) -> list[str]:
    """Add tokens to a fast tokenizer for the characters of the texts that it does not know; return them.

    A word with such a character is spelled in characters, so all of its characters get a token. The new ids follow the
    model's `num_rows` outputs.
    """
    unknown = Speller.from_tokenizer(tokenizer).unknown_characters(texts)
    if not unknown:
        return []
    vocabulary = tokenizer.get_vocab()
    words = {word for text in texts for word in text.split() if unknown & set(word)}
    marks = [mark for mark in PIECE_MARKS if any(token.startswith(mark) for token in vocabulary)]
    added = sorted(unknown | set(_missing_letters(words, vocabulary, marks)))
    if not any(delimiter in vocabulary for delimiter in ("|", " ", *PIECE_MARKS)):
        added.insert(0, (marks or [" "])[0])
    # Outputs without a token keep their ids: one of them may be the blank.
    tokenizer.add_tokens([f"<unused-{number}>" for number in range(len(tokenizer), num_rows)], special_tokens=True)
    tokenizer.add_tokens(added)
    forget(tokenizer)
    return added


def _missing_letters(words: Iterable[str], vocabulary: dict[str, int], marks: Sequence[str]) -> Iterable[str]:
    for word in words:
        if not any(mark + word[0] in vocabulary for mark in marks) and word[0] not in vocabulary:
            yield word[0]
        yield from (letter for letter in word[1:] if letter not in vocabulary)
