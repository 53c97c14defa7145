"""The characters of a word: which belong to it, which are written in several ways, and lower case by language.

None of this strips combining marks in general: in Devanagari, Thai, Arabic or Tamil these carry the vowels.
"""

from __future__ import annotations

import re
import unicodedata

from asrkit.text.scripts import JOINERS, ZERO_WIDTH_SPACE, is_mark

APOSTROPHE = "'"
# U+2018, U+2019, U+201B, U+FF07, U+055A, U+05F3: written for the apostrophe by keyboards, word processors and in
# Armenian; Hebrew writes its geresh with either.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\uff07\u055a\u05f3", APOSTROPHE))
# Inside a word only: accents and the prime, and U+02BC, which at its edge is a letter (a glottal stop or an ejective).
_APOSTROPHES_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[\u00b4`\u2032\u02bc](?=[^\W\d_])")

# Signs inside a word that are not pronounced: the Armenian signs of emphasis, exclamation, question and abbreviation,
# the hyphenation point, and what stretches a word in Arabic, N'Ko and Mongolian.
_SILENT_IN_WORDS = str.maketrans(dict.fromkeys("\u055b\u055c\u055e\u055f\u0640\u07fa\u180a"))
_HEBREW = "[\u05d0-\u05ea\u05f0-\u05f2\u0591-\u05c7]"
_GERSHAYIM = re.compile(f'(?<={_HEBREW})[\u05f4"\u201c\u201d](?={_HEBREW})')
# Catalan l·l, written with any dot, and Gascon s·h and n·h are spelled so; between other Latin letters a dot only shows
# where a word can be divided, or a French one which endings it unites.
_CATALAN_DOT = re.compile("(?<=[lL])[\u00b7\u2027\u2022\u2219\u22c5](?=[lL])|(?<=[sSnN])[\u00b7\u2027](?=[hH])")
_LATIN = "[A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff]"
_SYLLABLE_DOT = re.compile(f"(?<={_LATIN})[\u00b7\u2027](?={_LATIN})")
MIDDLE_DOT = "\u00b7"
_CASE_COLON = re.compile("(?<=[A-ZÅÄÖ]):(?=[a-zåäö]{1,4}(?![^\\W\\d_]))")  # EU:n, USA:s: a Finnish or Swedish ending
_KEPT_DOT = re.compile(f"(?<=[lL]){MIDDLE_DOT}(?=[lL])|(?<=[sSnN]){MIDDLE_DOT}(?=[hH])")

# NFKC takes these apart, though they are typed and read as one letter: vowels of Thai and Lao, the Armenian ligature
# ech-yiwn, and the modifier letters of phonetic alphabets, which are not the letters that they resemble.
_WHOLE_LETTERS = re.compile(
    "([\u0e33\u0eb3\u0edc\u0edd\u0587\u02b0-\u02b8\u02d9\u02e0-\u02e4\u1d2c-\u1d6a\u1d78\u1d9b-\u1dbf\u2071\u207f"
    "\u2090-\u209c\ua69c\ua69d\ua770\ua7f2-\ua7f4\ua7f8\ua7f9\uab5c-\uab5f\uab69])"
)
_AFTER_DIGIT = re.compile("(?<=[0-9])[\u02b0-\u02b8\u02e0-\u02e4\u1d2c-\u1d6a\u1d9b-\u1dbf\u2071\u207f]+")  # 2ⁿᵈ
# Tone letters and other modifiers of phonetic alphabets that Unicode counts as symbols.
_PHONETIC_SYMBOLS = re.compile("[\u02c2-\u02c5\u02d2-\u02d7\u02d9\u02de\u02df\u02e5-\u02eb\u02ed\u02ef-\u02ff"
                               "\ua700-\ua721\ua789\ua78a]")  # fmt: skip
_PLAIN_FORMS = str.maketrans({"ŀ": "l·", "Ŀ": "L·", "ŉ": "'n"})

# Scripts in whose spelling zero-width joiners and non-joiners have a meaning: Arabic, Syriac and those of South and
# South-East Asia and Mongolia.
_JOINING = re.compile("[\u0600-\u0dff\u0f00-\u109f\u1700-\u1cff\ua800-\uabff\ufb50-\ufdff\U00010a00-\U00011fff]")
_ALPHABETIC = re.compile("[^\\W\\d_\u0700-\u109f\u1100-\u1dff\u2000-\U0010ffff]")
"""Letters of alphabets whose words are separated by spaces, so that a zero-width space inside one means nothing."""

SPAN_MARKERS = "\U0010f000-\U0010fffd"
"""Private characters, as the inside of a regular expression's brackets, that stand for protected parts of a text."""
_SPAN_MARKER = re.compile(f"[{SPAN_MARKERS}]")

_CAPITAL_I = str.maketrans({"I": "ı", "İ": "i", "\uff29": "ı"})


def lower_dotless_i(text: str) -> str:
    """Write the capitals I and İ in lower case as in Turkish: ı and i."""
    return unicodedata.normalize("NFC", text).translate(_CAPITAL_I)


def lower(text: str) -> str:
    """Lower, not casefold, which would turn ß into ss. İ becomes i, where Python adds a combining dot."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).replace("İ", "i").lower())


def fold_compatible(text: str) -> str:
    """Replace full-width letters, half-width kana, ligatures and the like by plain letters (NFKC).

    Digits that this makes, as 2 of ² or 1 and 2 of ½, never touch other digits.
    """
    text = _AFTER_DIGIT.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    parts = _WHOLE_LETTERS.split(separate_special_digits(text))
    return "".join(
        part if _WHOLE_LETTERS.match(part) else unicodedata.normalize("NFKC", part).translate(_APOSTROPHES)
        for part in parts
    )


def separate_special_digits(text: str) -> str:
    """Put a space between ½, ², ①, № and the like and a digit, and around a fraction of one character."""
    if text.isascii():
        return text
    separated = [text[:1]]
    for before, here in zip(text, text[1:], strict=False):
        kinds = [_digit_kind(before), _digit_kind(here)]
        if ("special" in kinds and all(kinds)) or "fraction" in kinds:
            separated.append(" ")
        separated.append(here)
    return "".join(separated)


def _digit_kind(character: str) -> str:
    """Return digit, fraction, special (another character with a numeric value, or №), or nothing."""
    if character.isdecimal():
        return "digit"
    if character == "№" or unicodedata.category(character) == "No":
        return "fraction" if unicodedata.decomposition(character).startswith("<fraction>") else "special"
    return ""


def keep_words(text: str) -> str:
    """Keep letters, digits, marks on a base, and what belongs inside a word; a space replaces the rest.

    Inside a word the apostrophe and the Catalan dot stay, and joiners in the scripts that need them. What only shows
    where a word can be divided, stretches it or marks its stress in the sentence vanishes without cutting it.
    """
    text = _simplify_marks(text)
    kept = [" "]
    for here, after in zip(text, text[1:] + " ", strict=False):
        kind = unicodedata.category(here)
        is_inside = kept[-1] != " " and unicodedata.category(after)[0] in "LN"
        if kind[0] in "LN" or _PHONETIC_SYMBOLS.match(here) or _SPAN_MARKER.match(here):
            kept.append(here)
        elif is_mark(here):
            if kept[-1] != " " and not _is_glyph_selector(here):
                kept.append(here)
        elif here in JOINERS:
            if kept[-1] != " " and (is_inside or (is_mark(after) and not _is_glyph_selector(after))):
                kept += here if _JOINING.match(kept[-1]) and _JOINING.match(after) else ""
        elif here == ZERO_WIDTH_SPACE:
            kept += "" if _ALPHABETIC.match(kept[-1]) and _ALPHABETIC.match(after) else " "
        elif here == MIDDLE_DOT:
            kept.append(here if is_inside and _KEPT_DOT.match(kept[-1] + here + after, 1) else " ")
        else:
            kept.append(here if here == APOSTROPHE and is_inside else " ")
    return "".join(kept)


def _simplify_marks(text: str) -> str:
    """Remove soft hyphens, direction marks and other characters that say nothing; write the rest in one way."""
    text = _CASE_COLON.sub("", text)
    if text.isascii():
        return _APOSTROPHES_BETWEEN_LETTERS.sub(APOSTROPHE, text)
    text = "".join(
        character
        for character in text.translate(_SILENT_IN_WORDS)
        if unicodedata.category(character) != "Cf" or character in JOINERS or character == ZERO_WIDTH_SPACE
    ).translate(_PLAIN_FORMS)
    text = _APOSTROPHES_BETWEEN_LETTERS.sub(APOSTROPHE, text.translate(_APOSTROPHES))
    text = _CATALAN_DOT.sub(MIDDLE_DOT, _GERSHAYIM.sub("", text))
    return _SYLLABLE_DOT.sub(lambda match: match[0] if _KEPT_DOT.match(match.string, match.start()) else "", text)


def _is_glyph_selector(character: str) -> bool:
    """Whether it selects a glyph (emoji or text, Han or Mongolian variants) or an order of marks; not pronounced."""
    return (
        "\ufe00" <= character <= "\ufe0f"
        or "\U000e0100" <= character <= "\U000e01ef"
        or character in "\u034f\u180b\u180c\u180d\u180f"
    )
