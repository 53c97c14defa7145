"""Delivery of results that took long to make: what the chosen place cannot take is saved elsewhere."""

from __future__ import annotations

import errno
import os
import select
import sys
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from asrkit.errors import ConfigError
from asrkit.files import free_bytes
from asrkit.transcription.writers import write_text

MIN_FREE_BYTES = 2**20
"""Free disk space for transcripts: a day of speech is less text."""


def check_folder(folder: Path, names: Sequence[str], inputs: Sequence[str]) -> None:
    """Make the folder and check that files of these names can be written there, none of them over an input.

    Raises ConfigError for a file in its place, a folder that cannot be written, a full disk, a name that is too long or
    one that an input or a folder has.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError) as error:
        place = next(parent for parent in (folder, *folder.parents) if os.path.lexists(parent))
        raise ConfigError(f"--output {folder} cannot be written: {place} is a file; give a folder.") from error
    except OSError as error:
        raise ConfigError(f"--output {folder} cannot be written ({error.strerror}); choose another folder.") from error
    if free_bytes(folder) < MIN_FREE_BYTES:
        raise ConfigError(f"--output {folder} cannot be written: its disk is full; free some space and start again.")
    sources = [os.stat(name) for name in inputs if os.path.exists(name)]
    for name in names:
        path = folder / name
        try:
            present = os.stat(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written ({error.strerror}); give the recording a shorter name."
            ) from error
        if path.is_dir():
            raise ConfigError(f"{path} cannot be written: it is a folder; move it, or choose another --output.")
        if any(os.path.samestat(present, source) for source in sources):
            raise ConfigError(f"{path} is one of the recordings and would be overwritten; choose another --output.")


def check_stdout() -> None:
    """Raise BrokenPipeError if stdout is a pipe that nobody reads any more."""
    if not hasattr(select, "poll") or sys.stdout is None:
        return
    try:
        descriptor = sys.stdout.fileno()
    except OSError:  # no real file, as in tests
        return
    poll = select.poll()
    poll.register(descriptor, 0)  # errors are always reported
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def print_result(text: str, name: str, label: str = "") -> bool:
    """Print a result on stdout, behind a label, and return whether it was written whole.

    If not, it is saved under `name` elsewhere, and stderr says where. Characters that stdout's encoding has not are
    printed as escapes. Raises BrokenPipeError, when the text has been saved, if nobody reads stdout any more.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        save_elsewhere(text, name, f"the terminal's encoding {encoding} has no {error.object[error.start]!a}")
        print(label + text, end="", flush=True)
        return False
    try:
        print(label + text, end="", flush=True)
    except BrokenPipeError:
        save_elsewhere(text, name, "the output was closed")
        raise
    except OSError as error:
        save_elsewhere(text, name, f"the output cannot be written ({error.strerror})")
        discard_stdout()
        return False
    return True


def write_result(path: Path, text: str | bytes) -> bool:
    """Write a result to a file, and return whether it is there; else it is saved elsewhere, and stderr says where."""
    try:
        write_text(path, text)
    except ConfigError as error:
        save_elsewhere(text, path.name, str(error).rstrip("."))
        return False
    return True


def save_elsewhere(text: str | bytes, name: str, reason: str) -> None:
    """Save a text in the working directory, at home or in the temporary folder, and say on stderr why and where.

    No file is overwritten. Where none of them can be written, the text itself is printed on stderr.
    """
    for folder in (Path.cwd(), Path.home(), Path(tempfile.gettempdir())):
        path = _unused_path(folder, name)
        try:
            write_text(path, text)
        except ConfigError:
            continue
        print(f"asrkit: {reason}; the text was saved as {path}", file=sys.stderr)
        return
    shown = text if isinstance(text, str) else text.decode("utf-8", "replace")
    print(f"asrkit: {reason}, and no other folder can be written; the text follows:\n{shown}", file=sys.stderr)


def _unused_path(folder: Path, name: str) -> Path:
    stem, suffix = Path(name).stem[:60], Path(name).suffix  # short enough in any encoding
    names = (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}" for number in count(1))
    return next(folder / name for name in names if not os.path.lexists(folder / name))


def discard_stdout() -> None:
    """Send what stdout still holds, and all that follows, nowhere: Python would fail to write it when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
