"""Rules of text normalisation, the same for training and scoring.

A run records its rules, so a score can be reproduced: the name of a normaliser (`base_normalisers`), followed by
further steps, as in "german+numbers:de+map:№=Nummer".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from asrkit.errors import ConfigError
from asrkit.languages import has_dotless_i
from asrkit.text import characters, markup, numbers
from asrkit.text.base_normalisers import NORMALISERS, Normaliser, collapse
from asrkit.text.markup import KEEP, MODES, REMOVE, TOKENS


def normalise(text: str, rules: str) -> str:
    """Apply rules made by `make_rules`, or the normaliser of that name. Raises ConfigError for an unknown one."""
    return _compiled(rules)(text)


def make_rules(
    normaliser: str, language: str = "", character_map: str = "", *, case: str = "", markup: str = KEEP
) -> str:
    """Join rules to one name.

    language: of the numbers to spell out. character_map: "ё=е №=number", separated by spaces; nothing after = removes
    the character, and ␣ stands for a space. case: language whose lower case applies, where it has ı and i. markup: what
    becomes of <noise> and the like: one of `markup.MODES`.
    """
    rules = normaliser
    if case.strip():
        rules += f"{_CASE}{case.strip()}"
    if markup != KEEP:
        rules += f"{_MARKUP}{markup}"
    if language.strip():
        rules += f"{_NUMBERS}{language.strip()}"
    if character_map.strip():
        rules += f"{_MAP}{' '.join(character_map.split())}"
    return rules


def find_problems(text: str, rules: str) -> Problems:
    """Find what these rules cannot write, or write on an assumption, in a text as it is in the data."""
    return _compiled(rules).find_problems(text)


def add_case(rules: str, language: str) -> str:
    """Return rules that lower letters as a language does. They must not say so already (`has_case`)."""
    name, plus, steps = rules.partition("+")
    if steps.startswith(_CASE.removeprefix("+")):  # of a language that lowers letters like all others
        steps = steps.partition("+")[2]
        plus = "+" if steps else ""
    return f"{name}{_CASE}{language}{plus}{steps}"


def has_case(rules: str) -> bool:
    """Whether the rules say in which language to lower letters, or leave them as they are."""
    compiled = _compiled(rules)
    return compiled.is_dotless or compiled.normaliser.name == "none"


@dataclass(frozen=True)
class Problems:
    """unread: numbers that are left in digits because they may be read in several ways. assumed: numbers, as words, of
    which another form may be spoken. markup: marks that became words or were only partly removed.
    """

    unread: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    markup: tuple[str, ...] = ()


_CASE, _MARKUP, _NUMBERS, _MAP = "+case:", "+markup:", "+numbers:", "+map:"
_RULES = re.compile(
    r"(?P<name>[^+]*)(?:\+case:(?P<case>[^+]*))?(?:\+markup:(?P<markup>[^+]*))?(?:\+numbers:(?P<numbers>[^+]*))?"
)


@lru_cache(maxsize=32)
def _compiled(rules: str) -> _Rules:
    named, _, pairs = rules.partition(_MAP)
    match = _RULES.fullmatch(named)
    if match is None or match["name"] not in NORMALISERS:
        name = named if match is None else match["name"]
        raise ConfigError(f"There is no normaliser {name!r}; choose one of {', '.join(NORMALISERS)}.")
    mode, language = match["markup"] or KEEP, match["numbers"] or ""
    if mode not in MODES:
        raise ConfigError(f"Marks in transcripts cannot be treated by {mode!r}; choose one of {', '.join(MODES)}.")
    if language:
        numbers.check_language(language)
    is_dotless = bool(match["case"]) and has_dotless_i(match["case"]) and match["name"] != "none"
    return _Rules(NORMALISERS[match["name"]], _parse_map(pairs), mode, language, is_dotless)


@dataclass(frozen=True)
class _Rules:
    """Compiled rules; calling them normalises a text."""

    normaliser: Normaliser
    pairs: dict[str, str]
    markup: str
    language: str
    is_dotless: bool

    def __call__(self, text: str) -> str:
        # Map before, for characters that the normaliser removes, and after, for those that it creates.
        text = self._apply_markup(_replace(_MARKERS.sub(" ", text), self.pairs))
        protected: list[str] = []
        if self.markup == TOKENS:
            text = _protect(text, markup.find_tokens(text), protected)
        if self.language:
            text = self._spell(text, protected)
        if self.is_dotless:
            text = characters.lower_dotless_i(text)
        text = self.normaliser(text)
        if self.pairs:
            text = collapse(_replace(text, self.pairs))
        return collapse(_restore(text, protected)) if protected else text

    def find_problems(self, text: str) -> Problems:
        text = _replace(text, self.pairs)
        marks = markup.find_markup(text if self.markup == KEEP else self._apply_markup(text))
        parts = self._read(self._apply_markup(text))
        return Problems(
            tuple(part.text for part in parts if part.status == "unread"),
            tuple(part.text for part in parts if part.status == "assumed"),
            tuple(marks),
        )

    def _apply_markup(self, text: str) -> str:
        if self.markup == REMOVE:
            return markup.remove_markup(text)
        return markup.make_tokens(text) if self.markup == TOKENS else text

    def _read(self, text: str) -> list[numbers.Part]:
        if self.language:
            return numbers.read_numbers(text, self.language)
        return numbers.split_unwritable(text) if self.normaliser.name != "none" else [numbers.Part(text, "text")]

    def _spell(self, text: str, protected: list[str]) -> str:
        """Write numbers as words; those that are left unread are protected, to stay as they are written."""
        spelled = []
        for part in self._read(text):
            if part.status == "unread":
                protected.append(part.text)
                spelled.append(f" {chr(_FIRST_MARKER + len(protected) - 1)} ")
            else:
                spelled.append(part.text if part.status == "text" else f" {part.text} ")
        return "".join(spelled)


_FIRST_MARKER = 0x10F000
_MARKERS = re.compile(f"[{characters.SPAN_MARKERS}]")


def _protect(text: str, spans: list[tuple[int, int]], protected: list[str]) -> str:
    """Replace spans of a text by private characters, which every normaliser keeps."""
    parts, end = [], 0
    for start, stop in spans:
        protected.append(text[start:stop])
        parts += [text[end:start], f" {chr(_FIRST_MARKER + len(protected) - 1)} "]
        end = stop
    return "".join([*parts, text[end:]])


def _restore(text: str, protected: list[str]) -> str:
    for index, part in enumerate(protected):
        text = text.replace(chr(_FIRST_MARKER + index), part)
    return text


def _parse_map(pairs: str) -> dict[str, str]:
    character_map: dict[str, str] = {}
    for pair in pairs.split():
        old, equals, new = pair.partition("=")
        if not (old and equals):
            raise ConfigError(
                f"The character map has {pair!r:.40}; write old=new, separated by spaces, such as ё=е №=number."
            )
        character_map[old] = new.replace("␣", " ")
    for new in character_map.values():
        if clash := next((old for old in character_map if old in new), None):
            raise ConfigError(
                f"The character map inserts {clash!r} with {new!r} and replaces it too; remove one of the two."
            )
    return character_map


def _replace(text: str, pairs: dict[str, str]) -> str:
    for old, new in pairs.items():
        text = text.replace(old, new)
    return text
