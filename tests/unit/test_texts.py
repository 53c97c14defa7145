"""No text of the package, in a message, a docstring or the page, repeats a word."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "asrkit"
REPEATED = re.compile(r"(?<![\w.'-])([A-Za-z]{2,})\s+\1(?![\w'-])", re.IGNORECASE)


def read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """(where, text) of each string; adjacent literals are one string, and a value in an f-string is `{}`."""
    if path.suffix == ".json":
        yield from json.loads(path.read_text(encoding="utf-8")).items()
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield f"line {node.lineno}", "".join(getattr(value, "value", "{}") for value in map(_plain, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield f"line {node.lineno}", node.value


def _plain(value: ast.expr) -> ast.expr:
    return value if isinstance(value, ast.Constant) else ast.Constant("{}")


def test_no_text_repeats_a_word():
    repeated = [
        (str(path.relative_to(PACKAGE)), where, match[0])
        for path in [*PACKAGE.rglob("*.py"), PACKAGE / "ui/strings/en.json"]
        for where, text in read_texts(path)
        for match in REPEATED.finditer(text)
    ]
    assert repeated == []


def test_repeated_words_are_found_across_lines_of_a_message(tmp_path):
    path = tmp_path / "a.py"
    path.write_text('raise ValueError(\n    f"{1}: learned from "\n    "from half of them"\n)\n')
    assert {match[0] for _, text in read_texts(path) for match in REPEATED.finditer(text)} == {"from from"}
