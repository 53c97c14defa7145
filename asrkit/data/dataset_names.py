"""The names of datasets in a setting: one, or several that are trained on together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from asrkit.data import access
from asrkit.data.readers.hub_names import PREFIX
from asrkit.errors import DataError

SEPARATOR = " + "


def join(names: Iterable[str]) -> str:
    """Return the setting that names these datasets."""
    return SEPARATOR.join(name.strip() for name in names)


def separate(setting: str) -> list[str]:
    """Return the names in a setting such as `callsigns + /data/mine`, each once.

    A file or folder of that name that may be read is one dataset. Raises DataError for a missing name.
    """
    if SEPARATOR.strip() not in setting or _is_path(setting):
        return [setting]
    names = [name.strip() for name in f" {setting} ".split(SEPARATOR)]
    if not all(names):
        raise DataError(f"The datasets {setting!r:.200} lack a name before or after a +; name each, or remove the +.")
    return list(dict.fromkeys(names))


def strip_paths(setting: str) -> str:
    """Return the names of folders and files without their paths. Other datasets stay as they are."""
    return join(name if name.startswith(PREFIX) else Path(name).name for name in separate(setting))


def label_each(names: Iterable[str]) -> dict[str, str]:
    """Return name -> label without its path, for each dataset. Of equal labels, all but one are numbered."""
    labels: dict[str, str] = {}
    for name in names:
        label = short = strip_paths(name)
        number = 1
        while label in labels.values():
            number += 1
            label = f"{short} ({number})"
        labels[name] = label
    return labels


def _is_path(name: str) -> bool:
    try:
        path = Path(name).expanduser()
        return access.ReadPolicy().allows(path.absolute()) and path.exists()
    except (OSError, RuntimeError, ValueError):  # too long, of an unknown user, or with NUL bytes
        return False
