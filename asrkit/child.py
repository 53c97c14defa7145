"""Child Python processes that find this package, whatever the working directory of the parent is."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1]


def module_command(name: str) -> list[str]:
    """Return the command that runs a module with this Python."""
    return [sys.executable, "-m", name]


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return `base` with this package first on PYTHONPATH, once."""
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = dict.fromkeys([str(_PROJECT), *filter(None, inherited)])
    return {**base, "PYTHONPATH": os.pathsep.join(folders)}
