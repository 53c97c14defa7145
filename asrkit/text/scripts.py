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
"""Vowels of Thai and Lao that belong to the preceding consonant although they are not marks (Unicode UAX #29)."""
_STACKING = "\u17d2\u1039"
"""Signs of Khmer and Burmese after which the next consonant is written below."""

# Zero-width (non-)joiners are part of the spelling in Persian and Indic scripts; elsewhere (emoji) they are noise.
JOINERS = "\u200c\u200d"


def tokenize_mixed(text: str) -> list[str]:
    """Split text into what counts as words: each character of an unspaced script, and each word of the rest.

    Combining marks, joiners and stacked consonants stay with their base.
    """
    return [token for token, _ in tokenize_with_joins(text)]


def tokenize_with_joins(text: str) -> list[tuple[str, bool]]:
    """Split like `tokenize_mixed`; each token comes with whether it follows the previous one without a space."""
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
    """Whether a character that follows a token is part of it."""
    if is_mark(character) or character in JOINERS or character in _HANGING or token[-1] in _STACKING:
        return True
    return not (_UNSPACED.match(character) or _UNSPACED.match(token))


def is_unspaced(token: str) -> bool:
    """Whether a token is of a script without word spaces."""
    return bool(_UNSPACED.match(token))


def is_mark(character: str) -> bool:
    """Whether a character is a combining mark."""
    return unicodedata.category(character) in ("Mn", "Mc")
