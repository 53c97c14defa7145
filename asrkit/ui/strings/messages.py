"""Sentences that the layers below the page write in English (findings, estimates, errors), in the reader's language.

`messages/*.json` has for each sentence its English template and the translations. What stands in braces is a value:
`{path}` is any text, which is kept; `{count:number}` is a number, which is kept; `{reason:text}` is translated in turn.
A value whose name begins with `_`, such as an English plural, may be missing in translations. `parts.json` has what is
only said as such a `:text`.

A sentence is translated where a reply of the page is made, so that runs of any age, logs and the command line have it
in English. What matches no template stays as it is.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from asrkit.ui.strings import ENGLISH, FOLDER, current_language, load_catalogue, load_english

MESSAGES = FOLDER / "messages"
PARTS = "parts"
MAX_CHARACTERS, MAX_SENTENCES, MAX_DEPTH = 3_000, 12, 4
"""Limits of what is looked up: texts beyond may hold anything, and stay as they are."""

_VALUE = re.compile(r"\{(\w+)(?::(number|text))?\}")
_NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?( ?(%|d|h|min|s|ms|kB|MB|GB))?( \d+ (h|min|s))?")
"""A number, with its unit, or a duration in two units."""
_SENTENCE_END = re.compile(r"(?<=[.!?…]) (?=\S)")
_COLON = re.compile(": ")
_FULL_STOPS = ".。।"
_JOINTS: Mapping[str, Mapping[str, str]] = {
    "zh": {" ": "", "; ": "；", ", ": "，", ": ": "：", " and ": "和"},
    "hi": {" and ": " और "},
    "de": {" and ": " und "},
    "es": {" and ": " y "},
    "fr": {" and ": " et ", "; ": " ; ", ": ": " : "},
    "pt": {" and ": " e "},
    "sw": {" and ": " na "},
}
"""What stands between sentences and between the items of a list, where a language has it otherwise than English."""


@dataclass(frozen=True)
class Template:
    """literals: the text between the values, one more than there are values; translations: by language."""

    literals: tuple[str, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    translations: Mapping[str, str]

    def match(self, text: str) -> tuple[str, ...] | None:
        """Return the values with which the template gives the text, each as short as possible; None if none do."""
        first, *others = self.literals
        if not text.startswith(first) or not others:
            return () if text == first else None
        last, position = others.pop(), len(first)
        end, values = len(text) - len(last), []
        if end < position or not text.endswith(last):
            return None
        for literal in others:
            found = text.find(literal, position, end)
            if found < 0:
                return None
            values.append(text[position:found])
            position = found + len(literal)
        values.append(text[position:end])
        numbers = (value for value, kind in zip(values, self.kinds, strict=True) if kind == "number")
        return tuple(values) if all(map(_NUMBER.fullmatch, numbers)) else None

    @property
    def has_words(self) -> bool:
        """Whether it says anything besides its values; `{what}: {why}` is only known by its first value."""
        return any(map(str.isalpha, "".join(self.literals)))

    def fill(self, language: str, values: Sequence[str]) -> str:
        named = dict(zip(self.names, values, strict=True))
        return _VALUE.sub(lambda match: named[match[1]], self.translations[language])


def parse_template(english: str, translations: Mapping[str, str]) -> Template:
    pieces = _VALUE.split(english)
    return Template(
        tuple(pieces[::3]), tuple(pieces[1::3]), tuple(kind or "" for kind in pieces[2::3]), dict(translations)
    )


def load_messages(name: str) -> dict[str, dict[str, str]]:
    """Return `{English: {language: translation}}` of a file of `messages/`."""
    messages: dict[str, dict[str, str]] = json.loads((MESSAGES / f"{name}.json").read_text(encoding="utf-8"))
    return messages


@functools.cache
def _load_templates() -> tuple[tuple[Template, ...], tuple[Template, ...]]:
    """Return (whole sentences, these and parts of them), those with most literal text first: they say most exactly."""
    found: dict[str, list[Template]] = {}
    for path in sorted(MESSAGES.glob("*.json")):
        found[path.stem] = [parse_template(*each) for each in load_messages(path.stem).items()]
    parts = found.pop(PARTS)
    sentences = [each for file in found.values() for each in file]
    return _sort_templates(sentences), _sort_templates([*sentences, *parts])


def _sort_templates(templates: Sequence[Template]) -> tuple[Template, ...]:
    return tuple(sorted(templates, key=lambda each: -sum(map(len, each.literals))))


def translate(english: str) -> str:
    """Return a text of the layers below in the language of who asked; what of it is not known stays in English."""
    language = current_language()
    if language == ENGLISH:
        return english
    return "\n".join(_translate_line(language, line) for line in english.split("\n"))


def translate_fields(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the values with those of `names` translated."""
    return {**values, **{name: translate(str(values[name])) for name in names if values.get(name)}}


@functools.lru_cache(maxsize=4096)
def _translate_line(language: str, line: str) -> str:
    if not line or len(line) > MAX_CHARACTERS:
        return line
    return _translate_sentences(language, line, _load_templates()[0], MAX_DEPTH) or line


def _translate_sentences(language: str, text: str, templates: tuple[Template, ...], depth: int) -> str | None:
    """Translate sentences, each by the template that matches it; None if none does."""
    whole = _translate_whole(language, text, templates, depth)
    ends = [match.start() for match in _SENTENCE_END.finditer(text)]
    if whole is not None or len(ends) > MAX_SENTENCES:
        return whole
    sentences, start, is_known = [], 0, False
    while start < len(text):
        later = [end for end in [*ends, len(text)] if end > start]
        for end in reversed(later):
            translated = _translate_whole(language, text[start:end], templates, depth)
            if translated is not None:
                break
        else:  # the first sentence is unknown
            end = later[0]
            translated = _translate_after_colon(language, text[start:end], templates, depth)
        is_known |= translated is not None
        sentences.append(text[start:end] if translated is None else translated)
        start = end + 1
    return _get_joint(language, " ").join(sentences) if is_known else None


def _translate_after_colon(language: str, text: str, templates: tuple[Template, ...], depth: int) -> str | None:
    """Translate what is said of a place, such as `clips.csv row 3: …`; None if it is not known."""
    colon = _get_joint(language, ": ")
    for match in islice(_COLON.finditer(text), MAX_SENTENCES):
        translated = _translate_whole(language, text[match.end() :], templates, depth)
        if translated is not None:
            return text[: match.start()] + colon + translated
    return None


def _translate_whole(language: str, text: str, templates: tuple[Template, ...], depth: int) -> str | None:
    """Translate a text by the template that matches all of it; None if none does."""
    for template in templates:
        values = template.match(text)
        if values is None or language not in template.translations:
            continue
        if not template.has_words and any(map(_SENTENCE_END.search, values)):
            continue
        translated = [
            _translate_part(language, value, depth - 1) if kind == "text" else value
            for kind, value in zip(template.kinds, values, strict=True)
        ]
        if template.has_words or translated[0] != values[0]:
            return template.fill(language, translated)
    return None


def _translate_part(language: str, value: str, depth: int) -> str:
    """Translate a value: a part of a sentence, sentences without the last full stop, or a list of parts."""
    text = value.strip()
    if not text or depth < 0:
        return value
    templates = _load_templates()[1]
    translated = (
        _find_label(language, text)
        or _translate_list(language, text, templates, depth, "; ")
        or _translate_sentences(language, text, templates, depth)
    )
    if translated is None and text[-1] not in _FULL_STOPS:
        translated = _translate_whole(language, f"{text}.", templates, depth)
        translated = translated and translated.rstrip(_FULL_STOPS)
    for separator in (", ", " and "):
        translated = translated or _translate_list(language, text, templates, depth, separator)
    translated = translated or text
    space = _get_joint(language, " ")
    return (space if value[0] == " " else "") + translated + (space if value[-1] == " " else "")


def _find_label(language: str, text: str) -> str | None:
    """Return the label of a setting or the title of a preset in a language; None for any other text."""
    key = _load_labels().get(text)
    return load_catalogue(language).get(key) if key else None


@functools.cache
def _load_labels() -> Mapping[str, str]:
    """Return the keys of the labels of settings and the titles of presets, by their English text."""
    keys = (key for key in load_english() if key.startswith(("setting.", "preset.")) and key.count(".") == 1)
    return {load_english()[key]: key for key in keys}


def _translate_list(
    language: str, text: str, templates: tuple[Template, ...], depth: int, separator: str
) -> str | None:
    """Translate the items of a list, which may have separators in them; None if none is known."""
    items = text.split(separator)
    if not 1 < len(items) <= MAX_SENTENCES:
        return None
    translated, index, is_known = [], 0, False
    with_separator = tuple(each for each in templates if any(separator in literal for literal in each.literals))
    while index < len(items):
        for end in range(len(items), index, -1):
            fitting = templates if end == index + 1 else with_separator
            item = _translate_whole(language, separator.join(items[index:end]), fitting, depth)
            if item is not None:
                is_known = True
                break
        else:
            item = _translate_part(language, items[index], depth - 1)
        translated.append(item)
        index = end
    return _get_joint(language, separator).join(translated) if is_known else None


def _get_joint(language: str, english: str) -> str:
    return _JOINTS[language].get(english, english)
