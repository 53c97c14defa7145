"""The check of all texts together: characters, scripts, repetitions and pace."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from functools import lru_cache
from statistics import median
from typing import Any

from asrkit.audit.findings import Finding, make_finding
from asrkit.audit.writing import ClipText, FormatExample, check_writing
from asrkit.languages import guess_language
from asrkit.units import format_list

MIN_OCCURRENCES = 5
"""A character that occurs less often cannot be learned."""

MIN_LETTERS = 2_000
"""In fewer letters, every character is rare."""

SPOKEN_SYMBOLS = "%&€$£¥₹₽₩₺₦+=@°§#№×÷±"
KEPT_SYMBOLS = frozenset("'·※")
"""Of apostrophes, of Catalan, and of tokens: they are learned on purpose."""
MAX_REPEATED_SHARE = 0.2  # of clips whose text another clip has too
MAX_STRAY_SHARE = 0.005  # of letters in a script, below which the script is a stray one
PACE_OUTLIER = 4.5  # robust standard deviations from the median
MIN_PACE_SPREAD = 0.12  # of the logarithm of the pace: read speech is as even as that
MIN_CLIPS = 20
"""In fewer clips there are no outliers."""
MAX_PACE = 30.0
"""Letters a second that nobody speaks: the fastest of 700 prompts in English and Spanish had 19. Audio whose header
names three times its sampling rate reaches it in every clip, so that none is an outlier."""

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution in units of its median absolute deviation."""

MAX_LISTED = 20  # characters in a message
_SIMILAR_ALPHABETS = frozenset("LATIN CYRILLIC GREEK ARMENIAN CHEROKEE COPTIC".split())


def check_texts(
    transcripts: Sequence[ClipText],
    format_example: FormatExample,
    *,
    rules: str,
    keeps_vocabulary: bool,
    language: str = "",
    known: Set[str] | None = None,
    held_out: Set[int] = frozenset(),
) -> Iterator[Finding]:
    """Run every check of this module and of `writing`.

    rules: the normalisation of the texts. keeps_vocabulary: whether the vocabulary is given, so that rare characters do
    not matter. language: of the run. known: the characters that the base model has learned already. held_out: indices
    of the clips that are not trained on.
    """
    letters = Counter(character for row in transcripts for character in row.text if not character.isspace())
    yield from check_writing(transcripts, format_example, rules)
    yield from _check_digits_and_symbols(transcripts, letters, format_example, language)
    yield from _check_letters(transcripts, letters, format_example)
    if not keeps_vocabulary:
        yield from check_new_characters(transcripts, format_example, known, held_out)
    yield from _check_scripts(transcripts, letters, format_example)
    yield from _check_repetitions(transcripts, format_example)
    yield from check_pace(transcripts, format_example)


def check_new_characters(
    transcripts: Sequence[ClipText],
    format_example: FormatExample,
    known: Set[str] | None,
    held_out: Set[int],
    split: Callable[[str], Iterable[str]] = iter,
) -> Iterator[Finding]:
    """Find characters that are new to the base model and too rare in the clips to train on, or not in them at all.

    split: into letters of several characters.
    """
    counts = Counter({letter: 0 for row in transcripts for letter in split(row.text) if not letter.isspace()})
    for row in transcripts:
        if row.index not in held_out:
            counts.update(letter for letter in split(row.text) if not letter.isspace())
    new = {letter: count for letter, count in counts.items() if known is None or letter not in known}
    unseen = {letter for letter, count in new.items() if count == 0}
    rare = {letter for letter, count in new.items() if 0 < count < MIN_OCCURRENCES}
    if unseen:
        yield _find_characters(unseen, "untrained-characters", transcripts, format_example)
    if rare and (known is not None or counts.total() > MIN_LETTERS):
        yield _find_characters(rare, "rare-characters", transcripts, format_example, rare=MIN_OCCURRENCES)


def number_settings(texts: Iterable[str], language: str) -> dict[str, Any]:
    """Return the settings that spell digits out: in the language of the texts, else in the given one, else none."""
    language = guess_language(texts) or language
    return {"spell_numbers": language} if language else {}


def join_characters(characters: Iterable[str]) -> str:
    """Join up to `MAX_LISTED` characters for a message."""
    return format_list(sorted(characters), MAX_LISTED, " ")


def check_pace(transcripts: Sequence[ClipText], format_example: FormatExample) -> Iterator[Finding]:
    """Find clips with far more or fewer letters per second than the others, or more than anybody speaks.

    Outliers are found by the median absolute deviation of the logarithm.
    """
    paces = [
        (math.log(len(row.text.replace(" ", "")) / row.duration_s), row)
        for row in transcripts
        if row.text and row.duration_s > 0
    ]
    if not paces:
        return
    middle = median(pace for pace, _ in paces)
    spread = max(MIN_PACE_SPREAD, MAD_TO_SIGMA * median(abs(pace - middle) for pace, _ in paces))
    for code, sign in (("fast-speech", 1), ("slow-speech", -1)):
        outliers = [
            (pace, row)
            for pace, row in paces
            if (len(paces) >= MIN_CLIPS and sign * (pace - middle) > PACE_OUTLIER * spread)
            or (sign > 0 and pace > math.log(MAX_PACE))
        ]
        outliers.sort(key=lambda outlier: -sign * outlier[0])
        if outliers:
            examples = [
                format_example(
                    row.index,
                    f"{math.exp(pace):.1f} letters and {len(row.text.split()) / row.duration_s:.1f} words a second",
                )
                for pace, row in outliers[:9]
            ]
            yield make_finding(code, [row.index for _, row in outliers], examples, median=math.exp(middle))


@lru_cache(maxsize=4096)
def find_script(letter: str) -> str:
    """Return the script of a letter (LATIN, CYRILLIC, CJK ...) by its Unicode name; empty for other characters."""
    if not unicodedata.category(letter).startswith("L"):
        return ""
    first = unicodedata.name(letter, "").partition(" ")[0]
    return {"FULLWIDTH": "LATIN", "HALFWIDTH": "KATAKANA"}.get(first, first)


def _check_digits_and_symbols(
    transcripts: Sequence[ClipText], letters: Counter[str], format_example: FormatExample, language: str
) -> Iterator[Finding]:
    with_digits = [row for row in transcripts if any(character.isdecimal() for character in row.text)]
    if with_digits:
        yield make_finding(
            "digits",
            [row.index for row in with_digits],
            [format_example(row.index, row.text) for row in with_digits[:9]],
            settings=number_settings([row.raw for row in transcripts], language),
        )
    removed = [
        (row.index, "".join(sorted(set(row.raw) & set(SPOKEN_SYMBOLS))))
        for row in transcripts
        if any(
            symbol in row.raw and symbol not in row.text and not _is_spelled_out(symbol, row)
            for symbol in SPOKEN_SYMBOLS
        )
    ]
    if removed:
        yield make_finding(
            "spoken-symbols",
            [index for index, _ in removed],
            [format_example(index, symbols) for index, symbols in removed[:9]],
            characters=join_characters({symbol for _, symbols in removed for symbol in symbols}),
        )
    symbols = {letter for letter in letters if unicodedata.category(letter)[0] in "PS" and letter not in KEPT_SYMBOLS}
    if symbols:
        yield _find_characters(symbols, "symbols", transcripts, format_example, settings={"normaliser": "basic"})


def _is_spelled_out(symbol: str, row: ClipText) -> bool:
    """Return whether the normaliser wrote a word for the symbol: then the text has more words than without it."""
    words = [word for word in row.raw.replace(symbol, " ").split() if any(map(str.isalnum, word))]
    return len(row.text.split()) > len(words)


def _check_letters(
    transcripts: Sequence[ClipText], letters: Counter[str], format_example: FormatExample
) -> Iterator[Finding]:
    capitals = {letter for letter in letters if letter.isupper()}
    if capitals and any(letter.islower() for letter in letters):
        yield _find_characters(capitals, "mixed-case", transcripts, format_example, settings={"normaliser": "basic"})
    decomposed = [row for row in transcripts if not unicodedata.is_normalized("NFC", row.text)]
    if decomposed:
        yield make_finding(
            "unicode-form",
            [row.index for row in decomposed],
            [format_example(row.index, row.text) for row in decomposed[:9]],
            settings={"normaliser": "basic"},
        )


def _check_scripts(
    transcripts: Sequence[ClipText], letters: Counter[str], format_example: FormatExample
) -> Iterator[Finding]:
    mixed_words: dict[int, str] = {}
    for row in transcripts:
        if row.text.isascii():
            continue
        for word in row.text.split():
            if len({find_script(letter) for letter in word} & _SIMILAR_ALPHABETS) > 1:
                mixed_words.setdefault(row.index, word)
    if mixed_words:
        yield make_finding(
            "look-alikes",
            list(mixed_words),
            [format_example(index, word) for index, word in list(mixed_words.items())[:9]],
            characters=", ".join(list(dict.fromkeys(mixed_words.values()))[:5]),
        )
    letters_by_script: Counter[str] = Counter()
    for letter, count in letters.items():
        letters_by_script[find_script(letter)] += count
    del letters_by_script[""]
    total = letters_by_script.total()
    stray_scripts = {script for script, count in letters_by_script.items() if count < MAX_STRAY_SHARE * total}
    if stray_scripts and total > MIN_LETTERS:
        stray = {letter for letter in letters if find_script(letter) in stray_scripts}
        yield _find_characters(stray, "mixed-scripts", transcripts, format_example)


def _check_repetitions(transcripts: Sequence[ClipText], format_example: FormatExample) -> Iterator[Finding]:
    counts = Counter(row.text for row in transcripts)
    repeated = [row.index for row in transcripts if counts[row.text] > 1]
    if transcripts and len(repeated) > MAX_REPEATED_SHARE * len(transcripts):
        text, times = counts.most_common(1)[0]
        indices = {row.text: row.index for row in transcripts}
        yield make_finding(
            "duplicate-text",
            repeated,
            [
                format_example(indices[text], f"{count} times: {text}")
                for text, count in counts.most_common(5)
                if count > 1
            ],
            detail=f"{len(repeated) / len(transcripts):.0%} of the clips have the text of another clip, "
            f"{text[:40]!r} {times} times",
        )


def _find_characters(
    characters: set[str],
    code: str,
    transcripts: Sequence[ClipText],
    format_example: FormatExample,
    **values: Any,
) -> Finding:
    """Make the finding of the clips whose texts contain some of these characters."""
    found = ((row.index, sorted(letter for letter in characters if letter in row.text)) for row in transcripts)
    clips = [(index, "".join(letters)) for index, letters in found if letters]
    return make_finding(
        code,
        [index for index, _ in clips],
        [format_example(index, contained) for index, contained in clips[:9]],
        characters=join_characters(characters),
        **values,
    )
