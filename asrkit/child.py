"""Another Python process that finds this package, whatever folder the present one was started in."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1]


def module(name: str) -> list[str]:
    """The command that runs the module of that name with this Python."""
    return [sys.executable, "-m", name]


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """`given`, with this package in front of what else is looked up on PYTHONPATH."""
    return {**given, "PYTHONPATH": os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH")]))}
