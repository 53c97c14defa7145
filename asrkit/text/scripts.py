"""Scripts that are written without spaces between words, and the tokens that stand for words in them.

The scripts: Han, Hiragana, Katakana, Thai, Lao, Khmer and Myanmar.
"""

from __future__ import annotations

import re
import unicodedata

HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Chinese characters, as the inside of a regular expression's brackets."""
_KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_THAI_LAO = "\u0e00-\u0eff"
_MYANMAR = "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"
_KHMER = "\u1780-\u17ff\u19e0-\u19ff"
_UNSPACED = re.compile(f"[{HAN}{_KANA}{_THAI_LAO}{_MYANMAR}{_KHMER}]")
ZERO_WIDTH_SPACE = "\u200b"
_HANGING = "\u0e33\u0eb3"
"""Vowels of Thai and Lao that are written onto their consonant, though they are no marks (Unicode UAX #29)."""
_STACKING = "\u17d2\u1039"
"""Khmer and Burmese: the consonant behind it is written below."""

# Zero-width (non-)joiners spell in Persian and in Indic scripts; elsewhere (emoji) they are litter.
JOINERS = "\u200c\u200d"


def tokenize_mixed(text: str) -> list[str]:
    """What counts as a word: each character of a script without word spaces, and each word of the rest.

    The scripts: Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar. Combining marks and joiners stay with their base,
    as does what is stacked below it.
    """
    return [token for token, _ in tokenize_with_joins(text)]


def tokenize_with_joins(text: str) -> list[tuple[str, bool]]:
    """The same, each with whether it stands behind the one before without a space."""
    tokens: list[tuple[str, bool]] = []
    for word in text.split():
        begin = len(tokens)
        for part in word.split(ZERO_WIDTH_SPACE):
            token = ""
            for character in part:
                if token and not is_continuation(token, character):
                    tokens.append((token, len(tokens) > begin))
                    token = ""
                token += character
            if token:
                tokens.append((token, len(tokens) > begin))
    return tokens


def is_continuation(token: str, character: str) -> bool:
    """Whether a character that stands behind a token is part of it."""
    if is_mark(character) or character in JOINERS or character in _HANGING or token[-1] in _STACKING:
        return True
    return not (_UNSPACED.match(character) or _UNSPACED.match(token))


def is_unspaced(token: str) -> bool:
    """Whether it is of a script without word spaces."""
    return bool(_UNSPACED.match(token))


def is_mark(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Mc")
