"""What is wrong with the texts of a dataset, looked at together: characters, scripts, repetitions, pace."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from statistics import median
from typing import Any

from asrkit.audit.findings import Finding, make_finding

RARE = 5  # occurrences below which a character cannot be learned
ENOUGH_LETTERS = 2_000  # below it every character is rare
SPOKEN = "%&€$£¥+=@°§#"
REPEATED_SHARE = 0.2  # of clips whose text another clip has too
STRAY_SHARE = 0.005  # of letters in a script, below which it is a stray one
OUTLIER = 4.5  # robust deviations from the median pace
LEAST_SPREAD = 0.12  # of the logarithm of the pace: read speech is that even
LEAST_CLIPS = 20  # to tell what is usual
LISTED = 20
_ALPHABETS = frozenset("LATIN CYRILLIC GREEK ARMENIAN CHEROKEE COPTIC".split())  # those whose letters look alike
_STOPWORDS = {
    "en": "the and of to is that it you for".split(),
    "de": "der die und das ist nicht ein zu ich".split(),
    "es": "el la de que los y en un por".split(),
    "fr": "le la les et des est une pour vous".split(),
}

Said = Sequence[tuple[int, str, str, float]]
"""(place, text as written, text after the rules, seconds) of the clips that can be used."""


def check(said: Said, name: Any, *, keeps_vocabulary: bool) -> Iterator[Finding]:
    """Everything below. name: (place, detail) -> an example; keeps_vocabulary: whether rare characters cannot
    matter."""
    letters = Counter(character for _, _, text, _ in said for character in text if not character.isspace())
    yield from _characters(said, letters, name, keeps_vocabulary)
    yield from _scripts(said, letters, name)
    yield from _repeated(said, name)
    yield from pace(said, name)


def guess_language(texts: Iterable[str]) -> str:
    """en, de, es or fr by their commonest words; empty where none of them is clearly ahead."""
    words = Counter(word for text in texts for word in text.lower().split())
    hits = Counter({code: sum(words[word] for word in known) for code, known in _STOPWORDS.items()})
    (first, most), (_, second) = hits.most_common(2)
    return first if most > 1.5 * second and most >= 5 else ""


def pace(said: Said, name: Any) -> Iterator[Finding]:
    """Clips with far more or far fewer letters a second than the others (median absolute deviation of the
    logarithm)."""
    paces = [
        (math.log(len(text.replace(" ", "")) / seconds), place, text, seconds)
        for place, _, text, seconds in said
        if text and seconds > 0
    ]
    if len(paces) < LEAST_CLIPS:
        return
    middle = median(rate for rate, *_ in paces)
    spread = max(LEAST_SPREAD, 1.4826 * median(abs(rate - middle) for rate, *_ in paces))
    for code, sign in (("fast-speech", 1), ("slow-speech", -1)):
        odd = [row for row in paces if sign * (row[0] - middle) > OUTLIER * spread]
        odd.sort(key=lambda row: -sign * row[0])
        if odd:
            told = [
                name(place, f"{math.exp(rate):.1f} letters and {len(text.split()) / seconds:.1f} words a second")
                for rate, place, text, seconds in odd
            ]
            yield make_finding(code, [row[1] for row in odd], told, median=math.exp(middle))


def _characters(said: Said, letters: Counter[str], name: Any, keeps_vocabulary: bool) -> Iterator[Finding]:
    digits = [place for place, _, text, _ in said if any(letter.isdecimal() for letter in text)]
    if digits:
        by_place = {place: text for place, _, text, _ in said}
        yield make_finding(
            "digits",
            digits,
            [name(place, by_place[place]) for place in digits[:9]],
            settings={"spell_numbers": guess_language(text for _, _, text, _ in said) or "en"},
        )
    spoken = [
        (place, "".join(sorted(set(raw) & set(SPOKEN))))
        for place, raw, text, _ in said
        if any(symbol in raw and symbol not in text and not _written(symbol, raw, text) for symbol in SPOKEN)
    ]
    if spoken:
        listed = _listed({symbol for _, symbols in spoken for symbol in symbols})
        yield make_finding(
            "spoken-symbols", [place for place, _ in spoken], [name(*pair) for pair in spoken[:9]], characters=listed
        )
    symbols = {letter for letter in letters if unicodedata.category(letter)[0] in "PS" and letter != "'"}
    if symbols:
        yield _with(symbols, "symbols", said, name, settings={"normaliser": "basic"})
    lower = sum(count for letter, count in letters.items() if letter.islower())
    upper = {letter for letter in letters if letter.isupper()}
    if lower and upper:
        yield _with(upper, "mixed-case", said, name, settings={"normaliser": "basic"})
    odd = [place for place, _, text, _ in said if not unicodedata.is_normalized("NFC", text)]
    if odd:
        by_place = {place: text for place, _, text, _ in said}
        yield make_finding(
            "unicode-form", odd, [name(place, by_place[place]) for place in odd[:9]], settings={"normaliser": "basic"}
        )
    rare = {letter for letter, count in letters.items() if count < RARE}
    if rare and not keeps_vocabulary and letters.total() > ENOUGH_LETTERS:
        yield _with(rare, "rare-characters", said, name, rare=RARE)


def _written(symbol: str, raw: str, text: str) -> bool:
    """Whether the rules put a word in its place: then the text has more words than what is left without the symbol."""
    return len(text.split()) > len([word for word in raw.replace(symbol, " ").split() if any(map(str.isalnum, word))])


def _scripts(said: Said, letters: Counter[str], name: Any) -> Iterator[Finding]:
    mixed: dict[int, str] = {}
    for place, _, text, _ in said:
        if text.isascii():
            continue
        for word in text.split():
            if len({script(letter) for letter in word} & _ALPHABETS) > 1:
                mixed.setdefault(place, word)
    if mixed:
        yield make_finding(
            "look-alikes",
            list(mixed),
            [name(*pair) for pair in list(mixed.items())[:9]],
            characters=", ".join(list(dict.fromkeys(mixed.values()))[:5]),
        )
    by_script: Counter[str] = Counter()
    for letter, count in letters.items():
        by_script[script(letter)] += count
    del by_script[""]
    stray = {name for name, count in by_script.items() if count < STRAY_SHARE * by_script.total()}
    if stray and by_script.total() > ENOUGH_LETTERS:
        yield _with({letter for letter in letters if script(letter) in stray}, "mixed-scripts", said, name)


def _repeated(said: Said, name: Any) -> Iterator[Finding]:
    counts = Counter(text for _, _, text, _ in said)
    again = [place for place, _, text, _ in said if counts[text] > 1]
    if said and len(again) > REPEATED_SHARE * len(said):
        most, times = counts.most_common(1)[0]
        places = {text: place for place, _, text, _ in said}
        yield make_finding(
            "duplicate-text",
            again,
            [name(places[text], f"{count} times: {text}") for text, count in counts.most_common(5) if count > 1],
            detail=f"{len(again) / len(said):.0%} of the clips say what another says, {most[:40]!r} {times} times",
        )


def _with(wanted: set[str], code: str, said: Said, name: Any, **words: Any) -> Finding:
    """The clips in whose text one of the characters is."""
    found = [(place, "".join(sorted(wanted & set(text)))) for place, _, text, _ in said if wanted & set(text)]
    return make_finding(
        code, [place for place, _ in found], [name(*pair) for pair in found[:9]], characters=_listed(wanted), **words
    )


def _listed(characters: Iterable[str]) -> str:
    wanted = sorted(characters)
    more = f" and {len(wanted) - LISTED} more" if len(wanted) > LISTED else ""
    return " ".join(wanted[:LISTED]) + more


@lru_cache(maxsize=4096)
def script(letter: str) -> str:
    """LATIN, CYRILLIC, CJK ... of a letter, by its Unicode name; empty for marks, digits and symbols."""
    if not unicodedata.category(letter).startswith("L"):
        return ""
    first = unicodedata.name(letter, "").partition(" ")[0]
    return {"FULLWIDTH": "LATIN", "HALFWIDTH": "KATAKANA"}.get(first, first)
