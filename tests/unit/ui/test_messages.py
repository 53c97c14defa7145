"""The translations of what the layers below the page write: they match what the code says, and nothing else."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from asrkit import errors
from asrkit.audit.findings import EXPLANATIONS
from asrkit.ui import strings
from asrkit.ui.strings import messages

ROOT = Path(messages.__file__).parents[2]
TRANSLATIONS = sorted(set(strings.LANGUAGES) - {strings.ENGLISH})
FILES = sorted(path.stem for path in messages.MESSAGES.glob("*.json"))
TRANSLATED = ("audio/", "audit/", "config/", "sandbox/")
"""Rooms and modules of which every error is translated; of others, those that visitors meet most."""
VALUE = "\0"
"""What stands for a value where a sentence of the code and a template are compared."""


def skeleton(template: str) -> str:
    return re.sub(f"{VALUE}+", VALUE, re.sub(r"\{[^{}]*\}", VALUE, template)).strip(f" {VALUE}")


def read_text(node: ast.AST) -> str:
    """Return a text of the code, with VALUE for what is only known when it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"\{\w*(:[^{}]*)?\}", VALUE, node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else VALUE  # type: ignore[misc]
            for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return read_text(node.left) + read_text(node.right)
    return VALUE


def parse_modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not name.startswith("ui/"):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    return dict(parse_modules())


@pytest.fixture(scope="module")
def said(modules) -> set[str]:
    """The skeletons of all texts of the code below the page."""
    found = {
        skeleton(read_text(node))
        for tree in modules.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp)
    }
    nouns = {
        node.args[1].value
        for tree in modules.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "format_count"
        if isinstance(node.args[1], ast.Constant)
    }
    found |= {f"{noun}{plural}" for noun in nouns for plural in ("", "s")}
    return found | {skeleton(text) for each in EXPLANATIONS.values() for text in (each.cause, each.remedy)}


def known() -> set[str]:
    return {skeleton(english) for name in FILES for english in messages.load_messages(name)}


def findings(modules: dict[str, ast.Module]) -> Iterator[tuple[str, str]]:
    """(where, skeleton) of each cause and remedy of a finding."""
    for name, tree in modules.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            function = ast.unparse(node.func)
            texts = [keyword.value for keyword in node.keywords if keyword.arg in ("cause", "remedy")]
            if function.endswith(".report"):
                texts += node.args[1:3]
            elif function != "Finding" and function != "Explanation":
                continue
            for text in texts:
                for each in ast.walk(text) if isinstance(text, ast.IfExp) else [text]:
                    if isinstance(each, ast.Constant | ast.JoinedStr | ast.BinOp):
                        yield f"{name}:{text.lineno}", skeleton(read_text(each))
    for code, explanation in EXPLANATIONS.items():
        yield f"explanations.json: {code}", skeleton(explanation.cause)
        yield f"explanations.json: {code}", skeleton(explanation.remedy)


def raised(modules: dict[str, ast.Module]) -> Iterator[tuple[str, str]]:
    """(where, skeleton) of each error for users."""
    kinds = {each.__name__ for each in vars(errors).values() if isinstance(each, type)}
    for name, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in kinds and node.args:
                text = skeleton(read_text(node.args[0]))
                if has_words(text):
                    yield f"{name}:{node.lineno}", text


def has_words(text: str) -> bool:
    return any(map(str.isalpha, text))


def test_every_finding_has_translations(modules):
    found = list(findings(modules))
    assert len(found) > 150
    missing = [f"{where}: {text!r}" for where, text in found if has_words(text) and text not in known()]
    assert missing == [], "add these sentences, with their translations, to ui/strings/messages/findings.json"


def test_every_error_of_translated_rooms_has_translations(modules):
    found = list(raised(modules))
    assert len(found) > 400
    missing = [f"{where}: {text!r}" for where, text in found if where.startswith(TRANSLATED) and text not in known()]
    assert missing == [], "add these sentences, with their translations, to ui/strings/messages/errors.json"


@pytest.mark.parametrize("name", FILES)
def test_every_template_is_said_by_the_code(name, said):
    dead = [english for english in messages.load_messages(name) if skeleton(english) not in said]
    assert dead == [], f"{name}.json: the code says this otherwise now; change key and translations"


@pytest.mark.parametrize("name", FILES)
def test_translations_are_complete_and_have_the_values_of_the_sentence(name):
    for english, translations in messages.load_messages(name).items():
        names = re.findall(r"\{(\w+)(?::\w+)?\}", english)
        assert len(names) == len(set(names)), f"{name}: {english}: each value needs a name of its own"
        assert not re.search(r"\}\{", english), f"{name}: {english}: nothing tells where the first value ends"
        assert sorted(translations) == TRANSLATIONS, f"{name}: {english}"
        for language, text in translations.items():
            found = re.findall(r"\{([^{}]*)\}", text)
            assert set(found) <= set(names), f"{name}, {language}: {english}"
            assert {each for each in names if not each.startswith("_")} <= set(found), f"{name}, {language}: {english}"


@pytest.mark.parametrize("name", FILES)
def test_messages_are_sorted(name):
    assert list(messages.load_messages(name)) == sorted(messages.load_messages(name))


@pytest.fixture
def templates(monkeypatch):
    """Sentences and parts of them, with translations into German and Chinese."""
    sentences = {
        "{path} is empty; {remedy:text}.": {"de": "{path} ist leer; {remedy}."},
        "{path} is not text; save it again.": {"de": "{path} ist kein Text; speichern Sie die Datei neu."},
        "Play it.": {"de": "Spielen Sie es ab.", "zh": "播放它。"},
        "Stop.": {"de": "Halt.", "zh": "停。"},
        "{what:text}: {evidence:text}.": {"de": "{what}: {evidence}."},
        "{clips:text} turned bad and {_are} gone.": {"de": "Schlecht: {clips}."},
    }
    parts = {
        "copy it": {"de": "kopieren Sie sie"},
        "{count:number} clips": {"de": "{count} Clips"},
        "{name} is ill": {"de": "{name} ist krank"},
        "The model is mute": {"de": "Das Modell schweigt"},
        "{name} is {rate:number}": {"de": "{name} ist {rate}"},
    }
    read = [
        messages._sort_templates([messages.parse_template(*each) for each in file.items()])
        for file in (sentences, sentences | parts)
    ]
    monkeypatch.setattr(messages, "_load_templates", lambda: tuple(read))
    messages._translate_line.cache_clear()
    yield
    messages._translate_line.cache_clear()


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("a.csv is not text; save it again.", "a.csv ist kein Text; speichern Sie die Datei neu."),
        ("a.csv is empty; copy it.", "a.csv ist leer; kopieren Sie sie."),
        ("a.csv is empty; ask.", "a.csv ist leer; ask."),
        ("Stop. Play it. Stop.", "Halt. Spielen Sie es ab. Halt."),
        ("Unheard of. Play it.", "Unheard of. Spielen Sie es ab."),
        ("Play it.\nStop.", "Spielen Sie es ab.\nHalt."),
        ("a.csv row 3: b.wav is empty; copy it.", "a.csv row 3: b.wav ist leer; kopieren Sie sie."),
        (
            "a.csv row 3: b.wav: c.csv is not text; save it again. Stop.",
            "a.csv row 3: b.wav: c.csv ist kein Text; speichern Sie die Datei neu. Halt.",
        ),
        ("The model is mute: WER is 100%, CER is 98%.", "Das Modell schweigt: WER ist 100%, CER ist 98%."),
        ("a.csv is empty; b is ill; c is ill.", "a.csv ist leer; b ist krank; c ist krank."),
        ("3 clips turned bad and are gone.", "Schlecht: 3 Clips."),
        ("Clips clips turned bad and are gone.", "Schlecht: Clips clips."),
        ("A stop: Play it", "A stop: Play it"),
        ("Unheard of: really.", "Unheard of: really."),
        ("", ""),
    ],
)
def test_sentences_are_translated_and_values_kept(templates, english, german):
    with strings.use_language("de"):
        assert messages.translate(english) == german
    assert messages.translate(english) == english


def test_chinese_sentences_follow_each_other_without_a_space(templates):
    with strings.use_language("zh"):
        assert messages.translate("Stop. Play it. Unheard of.") == "停。播放它。Unheard of."


def test_braces_in_a_value_are_kept(templates):
    with strings.use_language("de"):
        assert messages.translate("{remedy}.csv is empty; {path}.") == "{remedy}.csv ist leer; {path}."


def test_long_text_is_not_searched(templates):
    text = "Stop. " * messages.MAX_CHARACTERS
    with strings.use_language("de"):
        assert messages.translate(text) == text
        many = "Unheard of. " * 50
        assert messages.translate(many) == many


def test_files_are_written_readably():
    for path in messages.MESSAGES.glob("*.json"):
        content = path.read_text(encoding="utf-8")
        assert content == json.dumps(json.loads(content), ensure_ascii=False, indent=2) + "\n", path.name
