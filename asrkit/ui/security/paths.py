"""Paths of this machine are not shown to visitors: they get names instead, which they may send back.

A visitor's own folder is `my-data:` and the directory of runs `runs:`. Other folders have names that lead nowhere.
"""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from asrkit.data import access
from asrkit.ui.security.permissions import Role, current_identity
from asrkit.ui.security.storage import own_folder

OWN, RUNS = "my-data:", "runs:"
_NAMED_FIELDS = ("data", "dataset", "model", "other", "settings", "fixes")
_runs_root: Path | None = None
_data_dir: Path | None = None


def hide_folders(runs_root: Path | None, data_dir: Path | None) -> None:
    """Hide paths from now on, where the runs and the data are among them; None where everybody is an operator."""
    global _runs_root, _data_dir
    _runs_root, _data_dir = (folder and folder.absolute() for folder in (runs_root, data_dir))


def hide_paths(value: Any) -> Any:
    """Return a text, or lists and dictionaries of texts, with names for paths; unchanged for an operator."""
    if current_identity().role == Role.OPERATOR:
        return value
    return _map_texts(value, _hide)


def reveal_paths(value: Any) -> Any:
    """Return a text, or lists and dictionaries of texts, with the paths for the sender's names at their beginning."""
    if current_identity().role == Role.OPERATOR:
        return value
    return _map_texts(value, _reveal)


def reveal_request(request: dict[str, Any]) -> None:
    """Put paths for names into the fields of a request that may hold one."""
    for name in _NAMED_FIELDS:
        if name in request:
            request[name] = reveal_paths(request[name])


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(_map_texts(each, change) for each in value)
    if isinstance(value, dict):
        return {key: _map_texts(each, change) for key, each in value.items()}
    return value


def _reveal(text: str) -> str:
    for name, folder in ((OWN, own_folder()), (RUNS, _runs_root)):
        if folder and text.startswith(name):
            return str(folder / text.removeprefix(name).lstrip("/"))
    return text


def _hide(text: str) -> str:
    if _runs_root is None or "/" not in text:
        return text
    pattern, names = _compile(own_folder(), _runs_root, _data_dir, get_upload_folder())
    return pattern.sub(lambda match: names[match[1]] if names[match[1]].endswith(":") else f"{names[match[1]]}/", text)


@functools.lru_cache(maxsize=256)
def _compile(
    own: Path | None, runs_root: Path | None, data_dir: Path | None, uploads: str
) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return a pattern that finds the known folders, longest first, and the name of each."""
    named = (
        (Path(tempfile.gettempdir()), "temporary"),
        (Path.home(), "home"),
        (access.ASSETS.parent, "asrkit"),
        (data_dir, "data"),
        (Path(uploads), "uploads"),
        (runs_root, RUNS),
        (own, OWN),
    )
    names: dict[str, str] = {}
    for folder, name in named:
        if folder is not None:
            names |= {str(one): name for one in (folder.absolute(), folder.resolve()) if len(str(one)) > 1}
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"({'|'.join(map(re.escape, longest_first))})(?:/|(?![\w.-]))"), names
