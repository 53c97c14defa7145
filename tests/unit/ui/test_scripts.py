"""Run the unit tests of the page's scripts with node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.node import find_node

PROJECT = Path(__file__).resolve().parents[3]
TESTS = sorted((PROJECT / "tests/scripts").glob("*.test.js"))


def run_node(*arguments: str | Path) -> None:
    process = subprocess.run([find_node(), *arguments], capture_output=True, text=True, cwd=PROJECT, timeout=120)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_script(path):
    run_node(path)
