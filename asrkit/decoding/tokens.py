"""Text and tokens: what the tokens of a model write, and how text is spelled in them.

A model spells in characters, with a token for the space between words or none, or in pieces of words (BPE, Unigram),
where a mark in the first piece begins a word. A token of several characters (ch, ɛ̃) stands for one letter: the longest
that fits is taken. Text and tokens are compared in NFC.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from asrkit.text.graphemes import GraphemeSplitter, compose

PIECE_MARKS = "▁Ġ"
"""What pieces write for the space before a word: SentencePiece, and byte-level BPE."""
DELIMITERS = ("|", " ", *PIECE_MARKS)
"""Tokens that write the space between two words, in the order in which they are looked for."""

SPECIAL = re.compile(r"<[^<>]+>|\[[A-Z]{3,}\]")
"""Names of tokens that write nothing, special by the tokenizer's settings or not."""


class PieceTokenizer(Protocol):
    """`tokenizers.Tokenizer`, as far as it is used here."""

    def encode(self, sequence: str, *, add_special_tokens: bool) -> Any: ...


@dataclass(frozen=True)
class Speller:
    """The tokens of one model. It knows no library, so that text can be checked before torch is loaded.

    vocabulary: token -> id. special_ids: blank, unknown and other tokens that write nothing. delimiter_id: the token of
    the space between words; None where there is none. unknown_id: the token of unknown characters; None where there is
    none. pieces: splits words into pieces; None for a model that spells in characters. added: characters that joined
    the pieces later. writes_lower_case: its capitals are written as lower-case letters.
    """

    vocabulary: Mapping[str, int]
    special_ids: frozenset[int] = frozenset()
    delimiter_id: int | None = None
    unknown_id: int | None = None
    pieces: PieceTokenizer | None = None
    added: frozenset[str] = frozenset()
    writes_lower_case: bool = False
    _known_words: dict[str, list[int] | None] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_tokenizer(cls, tokenizer: Any) -> Speller:
        """Make the speller of a Hugging Face tokenizer, or return the one that was made of it before."""
        if (known := _spellers.get(tokenizer)) is not None:
            return known
        # `encoder` lacks the tokens that a tokenizer of characters adds by itself; the model has no outputs for them.
        vocabulary = getattr(tokenizer, "encoder", None) or tokenizer.get_vocab()
        pieces = getattr(tokenizer, "backend_tokenizer", None)
        delimiter = find_delimiter(vocabulary) if pieces else tokenizer.word_delimiter_token
        delimiter_id = None if delimiter is None else vocabulary.get(delimiter)
        special = {*tokenizer.all_special_ids, tokenizer.pad_token_id, tokenizer.unk_token_id} - {None, delimiter_id}
        lower = bool(getattr(tokenizer, "do_lower_case", False)) and not pieces
        added = frozenset(token for token in tokenizer.get_added_vocab() if len(token) == 1) if pieces else frozenset()
        speller = cls(vocabulary, frozenset(special), delimiter_id, tokenizer.unk_token_id, pieces, added, lower)
        _spellers[tokenizer] = speller
        return speller

    @cached_property
    def texts(self) -> dict[int, str]:
        """The text of every token that writes some: not special tokens, the delimiter or white space."""
        texts = {
            token: text.lstrip(PIECE_MARKS) if self.pieces else text
            for text, token in self.vocabulary.items()
            if token not in self.special_ids and token != self.delimiter_id and not SPECIAL.fullmatch(text)
        }
        texts = {token: text.lower() if self.writes_lower_case else text for token, text in texts.items()}
        return {token: text.strip() for token, text in texts.items() if text.strip()}

    @cached_property
    def word_starts(self) -> frozenset[int]:
        """The pieces that begin a word."""
        if self.pieces is None:
            return frozenset()
        return frozenset(
            token for text, token in self.vocabulary.items() if len(text) > 1 and text.startswith(tuple(PIECE_MARKS))
        )

    @cached_property
    def letters(self) -> LetterTokens:
        """The token of each letter, of one or more characters, that has one of its own."""
        return LetterTokens({text: token for token, text in self.texts.items() if token not in self.word_starts})

    @cached_property
    def written(self) -> dict[str, int]:
        """The tokens of letters by what the vocabulary has for them, capitals included."""
        return {text: token for text, token in self.vocabulary.items() if len(text) == 1 or token in self.texts}

    @cached_property
    def _labels(self) -> LetterTokens:
        """As `letters`, but of `written`: for the labels of training."""
        return LetterTokens(self.written, ignores_case=False)

    def encode(self, text: str) -> list[int | None]:
        """Return the CTC labels of a text: one for each letter or piece, None for what has no token."""
        if self.pieces is not None:
            if self.added.isdisjoint(text):
                ids: list[int] = self.pieces.encode(text, add_special_tokens=False).ids
                if self.unknown_id not in ids:
                    return list(ids)
            return self._encode_words(text.split())
        labels: list[int | None] = []
        for letter in self._labels.split(text):
            if letter != " ":
                labels += self._labels.spell(letter)
            elif self.delimiter_id is not None:
                labels.append(self.delimiter_id)
        return labels

    def encode_all(self, text: str) -> list[int]:
        """Return the labels of a text as they will be when its unknown characters have tokens: negative ones here."""
        return [-1 - index if token is None else token for index, token in enumerate(self.encode(text))]

    def spell_word(self, word: str) -> list[int] | None:
        """Return the tokens of a word, in upper or in lower case where it has none as it is; None if it has none."""
        if self.pieces is None:
            return _all_known([token for letter in self.letters.split(word) for token in self.letters.spell(letter)])
        if word not in self._known_words:
            spellings = (_all_known(self._encode_word(form)) for form in (word, word.lower(), word.upper()))
            self._known_words[word] = next((ids for ids in spellings if ids is not None), None)
        return self._known_words[word]

    def unknown_characters(self, texts: Iterable[str]) -> set[str]:
        """Return the characters of the texts that the model has no token for, white space apart."""
        if self.pieces is None:
            words = {word for text in texts for word in text.split()}
            letters = {letter for word in words for letter in self._labels.split(word)}
            return {letter for letter in letters if None in self._labels.spell(letter)}
        letters = {letter for text in texts for letter in text if not letter.isspace()}
        return {letter for letter in letters if None in self._encode_word(letter)}

    def needs_delimiter(self, tokens: Sequence[int | None]) -> bool:
        """Return whether the tokens of a word need a delimiter between them and the word before."""
        return self.delimiter_id is not None and tokens[0] not in self.word_starts

    def _encode_words(self, words: Sequence[str]) -> list[int | None]:
        labels: list[int | None] = []
        for word in words:
            ids = self._encode_word(word)
            labels += [self.delimiter_id, *ids] if labels and self.needs_delimiter(ids) else ids
        return labels

    def _encode_word(self, word: str) -> list[int | None]:
        """Return the pieces of a word, without a delimiter before it."""
        assert self.pieces is not None
        if self.added.isdisjoint(word):
            ids = self.pieces.encode(word, add_special_tokens=False).ids
            ids = ids[1:] if ids and ids[0] == self.delimiter_id else ids
            if ids and self.unknown_id not in ids:
                return list(ids)
        # A word with a character that was added to the vocabulary is spelled in characters.
        marked = next((mark + word[0] for mark in PIECE_MARKS if mark + word[0] in self.vocabulary), word[0])
        return [self.vocabulary.get(letter) for letter in (marked, *word[1:])]


def forget(tokenizer: Any) -> None:
    """Have the speller of a tokenizer made anew, after the tokenizer was changed."""
    _spellers.pop(tokenizer, None)


_spellers: WeakKeyDictionary[Any, Speller] = WeakKeyDictionary()


def _all_known(ids: list[int | None]) -> list[int] | None:
    known = [token for token in ids if token is not None]
    return known if len(known) == len(ids) else None


def find_delimiter(vocabulary: Mapping[str, int]) -> str | None:
    """Return the token that writes the space between words, None where none does."""
    return next((token for token in DELIMITERS if token in vocabulary), None)


class LetterTokens:
    """The tokens of letters, of one or more characters.

    ignores_case: a letter without a token as it is takes that of its upper or lower case.
    """

    def __init__(self, tokens: Mapping[str, int], *, ignores_case: bool = True) -> None:
        self._tokens = {compose(text): token for text, token in tokens.items()} | dict(tokens)
        self._splitter = GraphemeSplitter(self._tokens, ignores_case=ignores_case)
        self._ignores_case = ignores_case
        self._spelled: dict[str, list[int | None]] = {}

    @property
    def graphemes(self) -> list[str]:
        """The letters of several characters."""
        return [text for text in self._tokens if len(text) > 1]

    def is_compound(self, letter: str, new: Set[str]) -> bool:
        """Return whether a letter is written in parts alone, and is not to become one of these."""
        return letter not in new and len(self.spell(letter)) > 1

    def split(self, text: str) -> Sequence[str]:
        """Return the letters of a text, the longest that have a token first; spaces and unknown characters included."""
        return self._splitter.split(text)

    def spell(self, letter: str) -> list[int | None]:
        """Return the token of a letter, or those of the base and the marks that it is made of; else None, once."""
        if (found := self._spelled.get(letter)) is None:
            token = self._find(letter)
            parts = [self._find(part) for part in unicodedata.normalize("NFD", letter)] if token is None else []
            found = self._spelled[letter] = [token] if token is not None or None in parts or not parts else parts
        return found

    def _find(self, letter: str) -> int | None:
        forms = (letter, letter.upper(), letter.lower()) if self._ignores_case else (letter,)
        return next((self._tokens[form] for form in forms if form in self._tokens), None)


def make_splitter(known: Mapping[str, int], graphemes: Iterable[str]) -> Callable[[str], Iterator[str]]:
    """Return a function that splits texts into the letters of a vocabulary that grows.

    known: its tokens so far; a letter that these can only write in parts, as e and ´ for é, is split into the parts.
    graphemes: letters of several characters that are to have a token each.
    """
    letters = LetterTokens({text: n for text, n in known.items() if not SPECIAL.fullmatch(text)}, ignores_case=False)
    new = frozenset(graphemes)
    splitter = GraphemeSplitter([*letters.graphemes, *new])

    def split(text: str) -> Iterator[str]:
        for letter in splitter.split(text):
            yield from unicodedata.normalize("NFD", letter) if letters.is_compound(letter, new) else [letter]

    return split


def spell_words(speller: Speller, words: Sequence[tuple[str, bool]]) -> tuple[list[int], list[int | None], list[str]]:
    """Spell words as `text.scripts.tokenize_with_joins` gives them: (word, whether it joins the word before).

    Returns the token ids, with a delimiter between words that are not joined; for each token the index of its word,
    None for a delimiter; and the characters without a token, sorted.
    """
    tokens: list[int] = []
    word_indices: list[int | None] = []
    unknown: set[str] = set()
    for index, (word, joined) in enumerate(words):
        word = compose(word)
        ids = speller.spell_word(word)
        if ids is None:
            missing = {letter for letter in word if speller.spell_word(letter) is None}
            unknown |= missing
            ids = speller.spell_word("".join(letter for letter in word if letter not in missing)) or []
        if ids and tokens and not joined and speller.delimiter_id is not None and speller.needs_delimiter(ids):
            tokens.append(speller.delimiter_id)
            word_indices.append(None)
        tokens += ids
        word_indices += [index] * len(ids)
    return tokens, word_indices, sorted(unknown)
