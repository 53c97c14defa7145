"""The catalogue of the page's texts: every key that is used exists, none is unused, and placeholders match."""

import ast
import json
import re
from collections.abc import Iterator

import pytest

from asrkit.ui import strings
from asrkit.ui.common.component import UI

CATALOGUE = strings.load_catalogue()
PLURAL = re.compile(r"\.(one|other)$")
KEYS = {PLURAL.sub("", key) for key in CATALOGUE}
DERIVED = ("setting.", "preset.")
"""Of keys whose English text stands where settings and presets are declared."""
TRANSLATIONS = sorted(set(strings.LANGUAGES) - {strings.ENGLISH})
TEMPLATE_KEY = re.compile(r"\{\{t:([^}]*)\}\}")
SCRIPT_KEY = re.compile(r"""\bt\(\s*["']([\w.-]+)["']\s*([,)])""")
SCRIPT_QUOTED = re.compile(r"""["']([\w.-]+)["']""")
SCRIPT_PREFIX = re.compile(r"\bt\(\s*`([\w.-]+)\$\{")
SCRIPT_VALUES = re.compile(r"""\bt\(\s*["']([\w.-]+)["']\s*,\s*\{([^{}()`]*)\}\s*,?\s*\)""")


def python_calls() -> Iterator[tuple[str, ast.Call]]:
    """(where, call) of each `strings.text(...)`, or `text(...)`, in ui/."""
    for path in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "strings.text":
                yield f"{path.relative_to(UI)}:{node.lineno}", node


def used() -> tuple[dict[str, str], dict[str, str]]:
    """(keys, prefixes of computed keys), each with where it is used."""
    keys, prefixes = {}, {}
    for where, call in python_calls():
        first = call.args[0]
        if isinstance(first, ast.Constant):
            keys[first.value] = where
        else:
            assert isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant), (
                f"{where}: {ast.unparse(first)}"
            )
            prefixes[first.values[0].value] = where
    for path in [*UI.rglob("*.html"), *UI.rglob("*.js")]:
        content, where = path.read_text(encoding="utf-8"), str(path.relative_to(UI))
        keys |= dict.fromkeys(TEMPLATE_KEY.findall(content), where)
        if path.suffix == ".js":
            keys |= dict.fromkeys([key for key, _ in SCRIPT_KEY.findall(content)], where)
            # A key may be chosen before it is passed to t().
            keys |= {key: where for key in SCRIPT_QUOTED.findall(content) if key in KEYS}
            prefixes |= dict.fromkeys(SCRIPT_PREFIX.findall(content), where)
    return keys, prefixes


def placeholders(key: str) -> set[str]:
    return set().union(
        *(re.findall(r"\{(\w+)\}", text) for known, text in CATALOGUE.items() if PLURAL.sub("", known) == key)
    )


def test_every_used_key_exists():
    keys, prefixes = used()
    known = KEYS | set(strings.load_english())
    assert {key: where for key, where in keys.items() if key not in known} == {}
    assert {
        prefix: where
        for prefix, where in prefixes.items()
        if prefix not in DERIVED and not any(key.startswith(prefix) for key in KEYS)
    } == {}


def test_no_key_is_unused():
    keys, prefixes = used()
    assert [key for key in sorted(KEYS - set(keys)) if not key.startswith(tuple(prefixes) or "-")] == []


def test_python_passes_every_placeholder():
    for where, call in python_calls():
        if isinstance(call.args[0], ast.Constant):
            given = {keyword.arg for keyword in call.keywords}
            assert placeholders(call.args[0].value) | ({"count"} & given) == given, f"{where}: {call.args[0].value}"


def test_scripts_pass_every_placeholder():
    for path in UI.rglob("*.js"):
        for key, values in SCRIPT_VALUES.findall(path.read_text(encoding="utf-8")):
            if "..." not in values:
                given = {value.split(":")[0].strip() for value in values.split(",") if value.strip()}
                assert placeholders(key) | ({"count"} & given) == given, f"{path.name}: {key}"


def test_templates_use_only_texts_without_placeholders():
    for path in UI.rglob("*.html"):
        for key in TEMPLATE_KEY.findall(path.read_text(encoding="utf-8")):
            assert not placeholders(key), f"{path.name}: {key}"


def test_catalogue_is_sorted_and_plurals_are_complete():
    assert list(CATALOGUE) == sorted(CATALOGUE)
    assert {key for key in CATALOGUE if PLURAL.search(key)} == {
        f"{key}.{form}" for key in KEYS - set(CATALOGUE) for form in ("one", "other")
    }


@pytest.fixture
def catalogues(monkeypatch):
    """Texts in English, and in German and French some of them."""
    english = {
        "a": "Run {run} of {total}",
        "a.b": 'Say "<b>"',
        "clips.one": "{count} clip",
        "clips.other": "{count} clips",
    }
    others = {
        "de": {"a": "{run} von {total}", "clips.one": "{count} Clip", "clips.other": "{count} Clips"},
        "fr": {"clips.one": "{count} extrait", "clips.other": "{count} extraits"},
    }
    monkeypatch.setattr(strings, "load_english", lambda: english)
    monkeypatch.setattr(strings, "load_catalogue", lambda language="en": others.get(language, english))
    monkeypatch.setattr(strings, "LANGUAGES", dict.fromkeys(["en", *others], "name"))


def test_text_fills_values_and_chooses_the_plural(catalogues):
    assert strings.text("a", run=1, total="<2>") == "Run 1 of <2>"
    assert [strings.text("clips", count=count) for count in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]
    with pytest.raises(KeyError):
        strings.text("a", run=1)
    with pytest.raises(KeyError):
        strings.text("b")


def test_reply_is_in_the_language_of_who_asks(catalogues):
    with strings.use_language("de"):
        assert strings.text("a", run=1, total=2) == "1 von 2"
        assert strings.text("a.b") == 'Say "<b>"', "what a language lacks is in English"
    with strings.use_language("fr"):
        assert [strings.text("clips", count=count) for count in (0, 1, 2)] == ["0 extrait", "1 extrait", "2 extraits"]
    assert strings.text("a", run=1, total=2) == "Run 1 of 2"


@pytest.mark.parametrize(
    ("wanted", "accepted", "language"),
    [
        ("", "de-AT,de;q=0.9,en;q=0.8", "de"),
        ("", "en;q=0.5, fr;q=0.7", "fr"),
        ("fr", "de", "fr"),
        ("../de", "", "en"),
        ("", "tlh, *;q=0.1, de;q=zero", "en"),
        ("", "", "en"),
    ],
)
def test_language_is_the_chosen_one_else_the_browsers(catalogues, wanted, accepted, language):
    assert strings.choose_language(wanted, accepted) == language


def test_page_is_built_once_and_read_in_each_language(catalogues):
    with strings.as_markers():
        page = json.dumps([strings.text("a", run=strings.text("a.b"), total=2), strings.fill_template("{{t:a.b}}")])
        with pytest.raises(KeyError):
            strings.text("no.such.key")
    for language, a in (("en", 'Run Say "<b>" of 2'), ("de", 'Say "<b>" von 2')):
        sent = strings.expand_markers(page, language)
        assert json.loads(sent) == [a, "Say &quot;&lt;b&gt;&quot;"]
        assert "<" not in sent, "nothing in it can end the script that it stands in"


def test_template_texts_are_escaped(catalogues):
    assert strings.fill_template("<i>{{t:a.b}}</i>") == "<i>Say &quot;&lt;b&gt;&quot;</i>"


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_translation_has_the_values_of_the_english_text(language):
    english = strings.load_english()
    for key, text in strings.load_catalogue(language).items():
        source = english.get(key) or english[PLURAL.sub(".other", key)]
        found, wanted = set(re.findall(r"\{(\w+)\}", text)), set(re.findall(r"\{(\w+)\}", source))
        assert found <= wanted and wanted - found <= {"count"}, f"{language}: {key}"
        assert ("{{" in text) == ("{{" in source), key


@pytest.mark.parametrize("language", TRANSLATIONS)
def test_translation_is_sorted_and_says_its_code(language):
    catalogue = strings.load_catalogue(language)
    assert list(catalogue) == sorted(catalogue) and catalogue["app.language_code"] == language
