"""Every text of the page, by key, in one JSON file per language.

Python reads a text with `text("train.start")`, a template with `{{t:train.start}}`, a script with `t("train.start")`
of `common/strings.js`. Values in braces are replaced: `text("queue.moved", run=run_id, position=2)`. A text that
depends on a number has two keys that end in `.one` and `.other`; `count` chooses between them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

import orjson

LANGUAGE = "en"
_VALUE = re.compile(r"\{(\w+)\}")
_IN_TEMPLATE = re.compile(r"\{\{t:([\w.-]+)\}\}")


@functools.cache
def load_catalogue(language: str = LANGUAGE) -> Mapping[str, str]:
    """Return every text of a language, by key."""
    texts: dict[str, str] = orjson.loads((Path(__file__).parent / f"{language}.json").read_bytes())
    return texts


def text(key: str, **values: object) -> str:
    """Return the text of `key` with its values filled in. Raises KeyError for an unknown key or a missing value."""
    catalogue = load_catalogue()
    if key not in catalogue and "count" in values:
        key = f"{key}.{'one' if values['count'] == 1 else 'other'}"
    return _VALUE.sub(lambda match: str(values[match[1]]), catalogue[key])


def fill_template(template: str) -> str:
    """Replace each `{{t:key}}` of an HTML template by its text, escaped."""
    return _IN_TEMPLATE.sub(lambda match: escape(text(match[1])), template)
