"""Paths of this machine are not shown to visitors: they get names instead, which they may send back.

A visitor's own folder is `my-data:`, the directory of runs `runs:` and the folder of uploads `uploads:`. Other folders
have names that lead nowhere.
"""

from __future__ import annotations

import functools
import json
import re
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from asrkit.data import access
from asrkit.data.dataset_names import SEPARATOR
from asrkit.ui.security.permissions import Role, current_identity
from asrkit.ui.security.storage import own_folder

OWN, RUNS, UPLOADS = "my-data:", "runs:", "uploads:"
_NAMED_FIELDS = ("data", "dataset", "model", "other", "settings", "fixes")
_runs_root: Path | None = None
_data_dir: Path | None = None


def hide_folders(runs_root: Path, data_dir: Path) -> None:
    """Hide paths from now on. Without this call, as where everybody is an operator, none is hidden."""
    global _runs_root, _data_dir
    _runs_root, _data_dir = runs_root.absolute(), data_dir.absolute()


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


def path_hider() -> Callable[[str], str] | None:
    """Return what `hide_paths` does for the present sender, for texts that are read later; None for an operator."""
    if current_identity().role == Role.OPERATOR:
        return None
    return _make_hider() or (lambda text: text)


def reveal_uploads(value: Any) -> Any:
    """Return a body of JSON with the paths for the names of uploads, which Gradio does not know."""
    return _map_texts(value, lambda text: _join(text, UPLOADS, Path(get_upload_folder())))


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
        if folder:
            text = _join(text, name, folder)
    return text


def _join(text: str, name: str, folder: Path) -> str:
    """Return a text with the path in `folder` for a name at its beginning, or at that of each of several datasets."""
    if name not in text:
        return text
    return SEPARATOR.join(
        str(folder / part.removeprefix(name).lstrip("/")) if part.startswith(name) else part
        for part in text.split(SEPARATOR)
    )


def _hide(text: str) -> str:
    hide = _make_hider()
    return hide(text) if hide and "/" in text else text


def _make_hider() -> Callable[[str], str] | None:
    if _runs_root is None:
        return None
    pattern, names = _compile(own_folder(), _runs_root, _data_dir, get_upload_folder())

    def hide(text: str) -> str:
        return pattern.sub(
            lambda match: names[match[1]] if names[match[1]].endswith(":") else f"{names[match[1]]}/", text
        )

    return hide


@functools.lru_cache(maxsize=256)
def _compile(
    own: Path | None, runs_root: Path | None, data_dir: Path | None, uploads: str
) -> tuple[re.Pattern[str], dict[str, str]]:
    """Return a pattern that finds the known folders, longest first, and the name of each."""
    named = (
        (Path(tempfile.gettempdir()), "temporary"),
        (Path.home(), "home"),
        *((Path(sysconfig.get_path(name)), "python") for name in ("stdlib", "purelib", "platlib")),
        (access.ASSETS.parent, "asrkit"),
        (data_dir, "data"),
        (Path(uploads), UPLOADS),
        (runs_root, RUNS),
        (own, OWN),
    )
    names: dict[str, str] = {}
    for folder, name in named:
        for one in (folder.absolute(), folder.resolve()) if folder is not None else ():
            if len(str(one)) > 1:
                # As it is, and as JSON may have it.
                names |= dict.fromkeys((str(one), json.dumps(str(one))[1:-1]), name)
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"({'|'.join(map(re.escape, longest_first))})(?:/|(?![\w.-]))"), names
