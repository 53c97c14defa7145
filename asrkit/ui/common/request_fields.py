"""What a page's script may send to the server's functions: the type of each field, whichever function it is for.

A field that is not listed here does not reach the functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asrkit.errors import AsrkitError
from asrkit.ui import strings

MAX_INTEGER = 2**53
"""The largest whole number that a script can send exactly."""


class RequestError(AsrkitError):
    """A request lacks a field, or one has the wrong type."""


class CheckedRequest(dict[str, Any]):
    """A request whose fields have the right types. A field that is null counts as missing."""

    def __missing__(self, name: str) -> Any:
        raise RequestError(strings.text("common.field_missing", name=name))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INTEGER


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list_of_files(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and all(isinstance(each.get(name), str) for name in ("path", "name")) for each in value
    )


_TEXTS = (
    "action clip consent dataset data evaluation expect format hot id instance language licence list lm model name "
    "normaliser notes "
    "other page path pcm reference replaces run series signature speaker take text "
    "text_column audio_column speaker_column tiers spell_numbers markup character_map vocabulary"
)
_INTEGERS = "after at_step evaluations index number position rate seen version"
_FLAGS = "advised again align checked common has_sample int8 last log public replace"
FIELDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(_TEXTS.split(), ("text", _is_text)),
    **dict.fromkeys(_INTEGERS.split(), ("integer", _is_integer)),
    **dict.fromkeys(_FLAGS.split(), ("flag", _is_flag)),
    **dict.fromkeys(("ids", "tags", "without"), ("texts", _is_list_of_texts)),
    **dict.fromkeys(("compare", "fixes", "settings"), ("object", _is_object)),
    "files": ("files", _is_list_of_files),
}
"""Field -> what it must be (`common.field_…`), and whether a value is that."""


def check_request(request: Any) -> CheckedRequest:
    """Return a request with the fields that FIELDS has. Raises RequestError for a wrong type, and for NUL in a text."""
    if not isinstance(request, dict):
        raise RequestError(strings.text("common.no_object"))
    checked = CheckedRequest()
    for name, (kind, is_valid) in FIELDS.items():
        value = request.get(name)
        if value is None:
            continue
        if not is_valid(value):
            raise RequestError(strings.text("common.field_wrong", name=name, kind=_describe(kind)))
        if _has_nul(value):  # no path may contain it
            raise RequestError(strings.text("common.field_with_nul", name=name))
        checked[name] = value
    return checked


def _describe(kind: str) -> str:
    return {
        "text": strings.text("common.field_text"),
        "integer": strings.text("common.field_integer"),
        "flag": strings.text("common.field_flag"),
        "texts": strings.text("common.field_texts"),
        "object": strings.text("common.field_object"),
        "files": strings.text("common.field_files"),
    }[kind]


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_has_nul, value))
