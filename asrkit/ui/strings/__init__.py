"""Every text of the page, by key, in one JSON file per language.

Python reads a text with `text("train.start")`, a template with `{{t:train.start}}`, a script with `t("train.start")`
of `common/strings.js`. Values in braces are replaced: `text("queue.moved", run=run_id, position=2)`. A text that
depends on a number has a key for each plural form of the language, `.one` and `.other`; `count` chooses between them.
What a language lacks is in English. Labels and help of settings and presets are in English where they are declared;
other languages have them under the keys of `load_english`.

A reply is in the language of who asked (`use_language`). The page is built once for all: there, texts are markers
(`as_markers`), which `expand_markers` replaces when the page is sent.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from html import escape
from pathlib import Path
from urllib.parse import quote, unquote

import orjson

from asrkit import config as configs
from asrkit.config import FIELDS

ENGLISH = "en"
FOLDER = Path(__file__).parent
LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "fr": "Français",
    "pt": "Português",
    "sw": "Kiswahili",
    "hi": "हिन्दी",
    "zh": "中文",
}
"""The languages of the page by their codes, each by its own name."""
_ONE_INCLUDES_ZERO = frozenset({"fr", "pt", "hi"})
_WITHOUT_PLURAL = frozenset({"zh"})

_VALUE = re.compile(r"\{(\w+)\}")
_IN_TEMPLATE = re.compile(r"\{\{t:([\w.-]+)\}\}")
_MARKER = re.compile(r"\[\[([th]):([\w./-]+)\?([\w%.~-]*)\]\]")

_language: ContextVar[str] = ContextVar("language", default=ENGLISH)
_is_building: ContextVar[bool] = ContextVar("is_building", default=False)


@functools.cache
def load_catalogue(language: str = ENGLISH) -> Mapping[str, str]:
    """Return the texts in the file of a language, by key."""
    texts: dict[str, str] = orjson.loads((FOLDER / f"{language}.json").read_bytes())
    return texts


@functools.cache
def load_english() -> Mapping[str, str]:
    """Return all English texts: the catalogue, and what settings and presets say of themselves."""
    derived = {}
    for name, each in FIELDS.items():
        derived[f"setting.{name}"] = each.metadata["label"]
        derived[f"setting.{name}.help"] = each.metadata["help"]
    for name in configs.list_presets():
        preset = configs.load_preset(name)
        derived |= {f"preset.{name}": preset.title, f"preset.{name}.summary": preset.summary}
    return {**derived, **load_catalogue()}


def choose_language(wanted: str, accepted: str = "") -> str:
    """Return the language of a request: the one that was chosen, else the best of an Accept-Language header."""
    ranked = sorted(_read_accepted(accepted), key=lambda each: -each[1])
    for name in (wanted, *(name for name, _ in ranked)):
        code = name.strip().lower().partition("-")[0]
        if code in LANGUAGES:
            return code
    return ENGLISH


def _read_accepted(header: str) -> Iterator[tuple[str, float]]:
    """Yield (language, weight) of an Accept-Language header; what cannot be read is passed over."""
    for part in header[:200].split(","):
        name, _, weight = part.partition(";q=")
        with contextlib.suppress(ValueError):
            yield name, float(weight or 1)


@contextlib.contextmanager
def use_language(language: str) -> Iterator[None]:
    """Let `text` answer in a language."""
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def current_language() -> str:
    return _language.get()


@contextlib.contextmanager
def as_markers(is_on: bool = True) -> Iterator[None]:
    """Let `text` return markers, for a page that is built once and read in several languages; or texts again."""
    token = _is_building.set(is_on)
    try:
        yield
    finally:
        _is_building.reset(token)


def text(key: str, **values: object) -> str:
    """Return the text of `key` with its values filled in. Raises KeyError for an unknown key or a missing value."""
    if _is_building.get():
        return _make_marker("t", key, values)
    return _fill(_language.get(), key, values)


def fill_template(template: str) -> str:
    """Replace each `{{t:key}}` of an HTML template by its text, escaped."""
    if _is_building.get():
        return _IN_TEMPLATE.sub(lambda match: _make_marker("h", match[1], {}), template)
    return _IN_TEMPLATE.sub(lambda match: escape(text(match[1])), template)


def expand_markers(content: str, language: str) -> str:
    """Replace the markers in JSON, as it stands in a file or in a script of a page, by texts of a language."""

    def quote_json(match: re.Match[str]) -> str:
        return json.dumps(_expand(match, language), ensure_ascii=False)[1:-1].translate(_SCRIPT_ESCAPES)

    return _MARKER.sub(quote_json, content)


def _expand(match: re.Match[str], language: str) -> str:
    """Return the text of a marker, whose values may be markers too."""
    values = json.loads(unquote(match[3]) or "{}")
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = _MARKER.sub(lambda inner: _expand(inner, language), value)
    found = _fill(language, match[2], values)
    return escape(found) if match[1] == "h" else found


_SCRIPT_ESCAPES = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&'\u2028\u2029"}
"""Of JSON in an HTML page, where these letters could end the script."""


def _make_marker(kind: str, key: str, values: Mapping[str, object]) -> str:
    _fill(ENGLISH, key, values)  # an unknown key or a missing value is an error now, not when the page is sent
    plain = {name: value if isinstance(value, int | float) else str(value) for name, value in values.items()}
    return f"[[{kind}:{key}?{quote(json.dumps(plain), safe='') if plain else ''}]]"


def _fill(language: str, key: str, values: Mapping[str, object]) -> str:
    count = values.get("count")
    keys = [key] if count is None else [key, f"{key}.{_plural_form(language, count)}", f"{key}.other"]
    catalogues = [load_english()] if language == ENGLISH else [load_catalogue(language), load_english()]
    found = next((each[name] for each in catalogues for name in keys if name in each), None)
    if found is None:
        raise KeyError(key)
    return _VALUE.sub(lambda match: str(values[match[1]]), found)


def _plural_form(language: str, count: object) -> str:
    """Return the plural form of a number, as the Unicode CLDR has it, of which these languages need two."""
    if language in _WITHOUT_PLURAL:
        return "other"
    return "one" if count == 1 or (count == 0 and language in _ONE_INCLUDES_ZERO) else "other"
