"""Child Python processes that find this package, whatever the working directory of the parent is."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

APP_SECRETS = ("ASRKIT_TOKEN", "ASRKIT_PASSWORD", "ASRKIT_WEBHOOK", "OAUTH_CLIENT_SECRET")
"""Environment variables that let in whoever knows their values; no child needs them."""

_PROJECT = Path(__file__).resolve().parents[1]


def module_command(name: str) -> list[str]:
    """Return the command that runs a module with this Python."""
    return [sys.executable, "-m", name]


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return `base` with this package first on PYTHONPATH, once, and without the app's secrets."""
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    folders = dict.fromkeys([str(_PROJECT), *filter(None, inherited)])
    kept = {name: value for name, value in base.items() if name not in APP_SECRETS}
    return {**kept, "PYTHONPATH": os.pathsep.join(folders)}


def bare_environment() -> dict[str, str]:
    """Return the environment for a child that reads files of strangers: what Python needs, and no secret."""
    needed = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH")
    return environment({name: os.environ[name] for name in needed if name in os.environ})
