"""Files that a function would have read, had its sandbox let it: the caller may allow them and call again."""

from __future__ import annotations

from pathlib import Path

_paths: dict[str, None] = {}


def note(path: object) -> None:
    """Note a file or folder that could not be opened for lack of permission."""
    if isinstance(path, str | Path):
        _paths[str(path)] = None


def note_cause(error: BaseException | None) -> None:
    """Note the file for which an error was raised in the end, if it lacked permission."""
    while error is not None:
        if isinstance(error, PermissionError):
            note(error.filename)
        error = error.__cause__


def take() -> tuple[str, ...]:
    """Return what was noted since the last call, in order."""
    taken = tuple(_paths)
    _paths.clear()
    return taken
