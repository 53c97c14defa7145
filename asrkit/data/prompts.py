"""Sentences to read aloud: lists that come with asrkit, and lists that users paste or upload.

A bundled list is assets/prompts/<name>.txt: its title behind "# " in the first line, then one prompt a line.
"""

from __future__ import annotations

from asrkit.data.access import ASSETS
from asrkit.errors import DataError

FOLDER = ASSETS / "prompts"
MAX_PROMPTS = 5_000
MAX_PROMPT_CHARS = 400  # more cannot be read in one breath or two


def list_bundled() -> dict[str, str]:
    """Return name -> title of the bundled lists, English first."""
    names = sorted((path.stem for path in FOLDER.glob("*.txt")), key=lambda name: (name != "en", name))
    return {name: (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for name in names}


def load(name: str) -> list[str]:
    """Return the prompts of a bundled list. Raises DataError for an unknown name."""
    if name not in list_bundled():
        raise DataError(f"There is no list of prompts {name!r}; choose one of {', '.join(list_bundled())}.")
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()[1:]


def parse(text: str) -> list[str]:
    """Return the prompts of a text, one a line, without repetitions.

    Raises DataError for no prompt, too many, or one that is too long to read.
    """
    found = list(dict.fromkeys(filter(None, (" ".join(line.split()) for line in text.splitlines()))))
    if not found:
        raise DataError("There is no prompt; write what is to be read, one sentence a line.")
    if len(found) > MAX_PROMPTS:
        raise DataError(f"{len(found):,} prompts are too many to read aloud; give at most {MAX_PROMPTS:,}.")
    for number, line in enumerate(found, 1):
        if len(line) > MAX_PROMPT_CHARS:
            raise DataError(
                f"Prompt {number} has {len(line)} characters; give at most {MAX_PROMPT_CHARS}, or make two of it: "
                f"{line[:40]}…"
            )
    return found
