"""Text and tokens: what a tokenizer's tokens are written as, and how words are spelled in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def token_texts(tokenizer: Any) -> dict[int, str]:
    """Return the text of every token that writes some: not special tokens, the delimiter or white space."""
    texts = {
        token: tokenizer.decode([token], group_tokens=False).strip()
        for token in set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)
    }
    return {token: text for token, text in texts.items() if text and token != tokenizer.word_delimiter_token_id}


class CharacterTokens(dict[str, int | None]):
    """Maps a character to its token: as it is, else in upper or in lower case; None where the model has none."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__()
        special = {tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.word_delimiter_token_id}
        self._tokens = {text: token for text, token in tokenizer.get_vocab().items() if token not in special}

    def __missing__(self, character: str) -> int | None:
        forms = (character, character.upper(), character.lower())
        self[character] = next((self._tokens[form] for form in forms if form in self._tokens), None)
        return self[character]


def spell_words(tokenizer: Any, words: Sequence[tuple[str, bool]]) -> tuple[list[int], list[int | None], list[str]]:
    """Spell words as `text.scripts.tokenize_with_joins` gives them: (word, whether it joins the word before).

    Returns the token ids, with a delimiter between words that are not joined; for each token the index of its word,
    None for a delimiter; and the characters without a token, sorted.
    """
    characters, delimiter = CharacterTokens(tokenizer), tokenizer.word_delimiter_token_id
    tokens: list[int] = []
    word_indices: list[int | None] = []
    for index, (word, joined) in enumerate(words):
        ids = [token for token in map(characters.__getitem__, word) if token is not None]
        if ids and tokens and not joined and delimiter is not None:
            tokens.append(delimiter)
            word_indices.append(None)
        tokens += ids
        word_indices += [index] * len(ids)
    return tokens, word_indices, sorted(character for character, token in characters.items() if token is None)
