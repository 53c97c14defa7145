"""The text of a long recording, word by word: plain text, or subtitles with loose times; and how a model spells it.

Letters that the model has no token for are written in the Latin letters that sound most alike, so that a model of one
language can align another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from anyascii import anyascii

from asrkit.data import confined, files
from asrkit.decoding.tokens import Speller, spell_words
from asrkit.errors import DataError, ModelError
from asrkit.text.graphemes import compose
from asrkit.text.normalisers import normalise
from asrkit.text.scripts import tokenize_with_joins
from asrkit.transcription.alignment.viterbi import ANYTHING, BETWEEN, INSIDE, IntArray, TokenSequence

SUBTITLES = (".srt", ".vtt")
_SENTENCE_END = re.compile(r"[.!?…。！？।॥؟։።]+[\"'»”’)\]」』]*$")


@dataclass(frozen=True)
class ScriptWord:
    """A word as it is written, punctuation included.

    joined: no space separates it from the word before. ends_phrase: a sentence, line or caption ends with it.
    caption_s: the middle of its caption, roughly; None for plain text.
    """

    word: str
    joined: bool = False
    ends_phrase: bool = False
    caption_s: float | None = None


@dataclass(frozen=True)
class SpelledScript:
    """A text in the tokens of a model.

    token_ids: of the model, one for each token; words: the index of the word of each; gaps: as in `TokenSequence`.
    unspelled: indices of words that are spoken, but have no token, such as numbers in digits. replaced: letters
    without a token, and what they are read as. num_replaced, num_letters: how many there are of these, and of all.
    """

    token_ids: list[int]
    words: IntArray
    gaps: list[int]
    unspelled: frozenset[int]
    replaced: dict[str, str]
    num_replaced: int
    num_letters: int

    def to_sequence(self, vocabulary: Sequence[int]) -> TokenSequence:
        """Return the tokens as columns of a `PosteriorFile` of this vocabulary."""
        columns = {token: column for column, token in enumerate(vocabulary)}
        return TokenSequence(
            np.array([columns[token] for token in self.token_ids], np.int64), np.array(self.gaps, np.uint8)
        )


def read_script(path: Path) -> list[ScriptWord]:
    """Read the words of a text file or of subtitles. Raises DataError for a file without words, and as `formats.read`.

    A line ends a phrase, as a sentence does. Captions are read in the order of their times.
    """
    if path.suffix.lower() in SUBTITLES:
        (recording,) = confined.read_annotation(path)
        captions = sorted(recording.tiers[0].spans, key=lambda span: span.start_s)
        words = [
            word
            for span in captions
            for word in split_phrase(span.text, (span.start_s + (span.end_s or span.start_s)) / 2)
        ]
    else:
        words = split_lines(files.read_lines(path))
    if not words:
        raise DataError(f"{path} holds no text; give what is said in the recording.")
    return words


def split_lines(lines: Iterable[str]) -> list[ScriptWord]:
    """Return the words of lines of text."""
    return [word for line in lines for word in split_phrase(line)]


def split_phrase(text: str, caption_s: float | None = None) -> list[ScriptWord]:
    """Return the words of a line or a caption, which may have several sentences."""
    tokens = tokenize_with_joins(text)
    return [
        ScriptWord(word, joined, number == len(tokens) or bool(_SENTENCE_END.search(word)), caption_s)
        for number, (word, joined) in enumerate(tokens, 1)
    ]


def spell_script(words: Sequence[ScriptWord], speller: Speller, rules: str) -> SpelledScript:
    """Spell a text in a model's tokens. rules: of its normalisation. ModelError where the model has no letter of it."""
    spelling = _Spelling(speller, rules)
    token_ids: list[int] = []
    indices: list[int] = []
    gaps: list[int] = []
    unspelled: list[int] = []
    before = BETWEEN
    for index, word in enumerate(words):
        parts = spelling.spell(word.word)
        if parts is None:
            unspelled.append(index)
            before = ANYTHING
        for tokens in parts or ():
            token_ids += tokens
            indices += [index] * len(tokens)
            gaps += [before, *[INSIDE] * (len(tokens) - 1)]
            before = BETWEEN
    if not token_ids:
        raise ModelError(
            "The model knows no letter of the text, nor any that sounds alike; choose a model of its language."
        )
    return SpelledScript(
        token_ids,
        np.array(indices, np.int64),
        [*gaps, before],
        frozenset(unspelled),
        spelling.replaced,
        spelling.num_replaced,
        spelling.num_letters,
    )


@dataclass
class _Spelling:
    """Spells words, each form of them once."""

    speller: Speller
    rules: str
    replaced: dict[str, str] = field(default_factory=dict)
    num_replaced: int = 0
    num_letters: int = 0
    _known: dict[str, tuple[list[list[int]] | None, int, int]] = field(default_factory=dict)

    def spell(self, word: str) -> list[list[int]] | None:
        """Return the tokens of each part of a word, of which normalisation may make several.

        Nothing for punctuation; None for a word that is spoken but cannot be spelled.
        """
        if word not in self._known:
            forms = [compose(form) for form in normalise(word, self.rules).split()]
            spelled = [self._replace_letters(form) for form in forms]
            parts = [tokens for form, _ in spelled if (tokens := spell_words(self.speller, [(form, False)])[0])]
            num_letters, num_replaced = sum(map(len, forms)), sum(count for _, count in spelled)
            self._known[word] = (parts or None) if forms else [], num_letters, num_replaced
        found, num_letters, num_replaced = self._known[word]
        self.num_letters += num_letters
        self.num_replaced += num_replaced
        return found

    def _replace_letters(self, word: str) -> tuple[str, int]:
        """Return a word in letters that the model knows, and how many were replaced or left out."""
        if self.speller.spell_word(word) is not None:
            return word, 0
        letters = []
        num_replaced = 0
        for letter in word:
            if self.speller.spell_word(letter) is None:
                latin = "".join(filter(self.speller.spell_word, anyascii(letter).lower()))
                self.replaced[letter] = latin
                num_replaced += 1
                letter = latin
            letters.append(letter)
        return "".join(letters), num_replaced
