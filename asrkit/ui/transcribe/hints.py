"""The fields in which a visitor gives decoding hints: words and sentences to expect."""

from __future__ import annotations

from asrkit.decoding.common_words import NAMES
from asrkit.decoding.hints import DecodingHints
from asrkit.errors import DataError
from asrkit.ui import strings
from asrkit.ui.common.component import Request, template

MAX_CHARACTERS = 200_000


def read_hints(request: Request) -> DecodingHints:
    """Read the fields of `expect.html`: {expect, hot, lm, common}. Raises DataError for too much text."""
    text, hot_words, model = (str(request.get(name) or "") for name in ("expect", "hot", "lm"))
    if len(text) + len(hot_words) > MAX_CHARACTERS:
        raise DataError(strings.text("transcribe.hints_too_long", limit=MAX_CHARACTERS))
    return DecodingHints(text, hot_words, model, request.get("common") is not False)


def describe_common_words(language: str) -> str:
    """Return that the common words of a language were preferred; empty for none."""
    return strings.text("expect.with_common_words", language=NAMES[language]) if language else ""


def insert_hint_fields(page: str) -> str:
    """Replace `{expect}` of a template by the fields."""
    return page.replace("{expect}", template("transcribe/expect.html"))
