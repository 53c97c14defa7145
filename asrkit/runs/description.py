"""How people describe a run: `name`, `tags` and `notes` in its `run.json`. Its id never changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from asrkit.errors import RunError
from asrkit.runs.metadata import read_metadata, update_metadata
from asrkit.runs.run import Run

MAX_NAME_CHARS, MAX_NOTES_CHARS = 100, 5_000
MAX_TAGS, MAX_TAG_CHARS = 20, 40


@dataclass(frozen=True)
class Description:
    """Empty values mean that nobody has given one."""

    name: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""


def make_description(name: str = "", tags: Iterable[str] = (), notes: str = "") -> Description:
    """Return a description with tidy whitespace and each tag once. RunError if a value is too long."""
    words, lines = " ".join(name.split()), notes.strip()
    named = dict.fromkeys(" ".join(tag.split()) for tag in tags)
    named.pop("", None)
    for label, value, limit in (
        ("The name of a run", words, MAX_NAME_CHARS),
        ("The notes on a run", lines, MAX_NOTES_CHARS),
        *((f"The tag {tag[:20]}…", tag, MAX_TAG_CHARS) for tag in named),
    ):
        if len(value) > limit:
            raise RunError(f"{label} can have {limit:,} characters, not {len(value):,}; shorten it.")
    if len(named) > MAX_TAGS:
        raise RunError(f"A run can have {MAX_TAGS} tags, not {len(named)}; remove some.")
    return Description(words, tuple(named), lines)


def read_description(run: Run) -> Description:
    """Read how a run is described. A value of another type counts as none."""
    values = read_metadata(run)
    tags = values.get("tags")
    return Description(
        _as_text(values.get("name")),
        tuple(filter(None, map(_as_text, tags))) if isinstance(tags, list) else (),
        _as_text(values.get("notes")),
    )


def write_description(run: Run, description: Description) -> None:
    """Write how a run is described."""
    update_metadata(run, asdict(description))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""
