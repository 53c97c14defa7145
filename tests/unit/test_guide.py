"""README and guide name files that exist, and names that are in them."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = [*(PROJECT / "assets/guide").glob("*.md"), *PROJECT.glob("*.md"), *PROJECT.glob("*/*.md")]
PATH = re.compile(r"`((?:asrkit|assets|tests|\.github|\.ci)/[\w./-]*)`")
NAME_IN = re.compile(r"`(\w+(?:\.\w+)?)`(?: and `(\w+)`)? (?:in|of) `((?:asrkit|tests)/[\w./-]+\.py)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_named_files_exist(page):
    assert [path for path in PATH.findall(page.read_text(encoding="utf-8")) if not (PROJECT / path).exists()] == []


def test_named_functions_and_tables_are_in_the_files():
    """As in "`get_status` in `asrkit/runs/lifecycle.py`"."""
    found = [match for page in PAGES for match in NAME_IN.finditer(page.read_text(encoding="utf-8"))]
    assert len(found) > 10
    for match in found:
        code = (PROJECT / match[3]).read_text(encoding="utf-8")
        for name in filter(None, (*match[1].split("."), match[2])):
            assert re.search(rf"\b{name}\b", code), match[0]


def test_layout_has_every_room():
    """Each folder and module below asrkit/ is in the table, which may shorten those behind the first of a row."""
    layout = (PROJECT / "assets/guide/development.md").read_text(encoding="utf-8").partition("## Where")[0]
    rooms = {path.name for path in (PROJECT / "asrkit").iterdir() if not path.name.startswith("_")}
    named = {name.rstrip("/").rpartition("/")[2] for name in re.findall(r"`([\w./-]+)`", layout)}
    assert rooms - named == set()
