"""Processes beside a run that read what it writes: its mirrors, and the one that waits for its end.

They are detached, so they can neither slow the worker nor break the run, and do not end with who started them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from asrkit import child
from asrkit.files import readable_disk_errors
from asrkit.runs.run import Run


def start_companion(run: Run, action: str, *flags: str, log_name: str) -> None:
    """Start `python -m asrkit runs ACTION RUN FLAGS`, which writes its output to a file in the run directory."""
    command = [*child.module_command("asrkit"), "runs", action, run.id, *flags]
    with readable_disk_errors(run.path), open(run.path / log_name, "ab") as log:
        subprocess.Popen(
            [*command, "--runs-dir", str(run.path.parent.resolve())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=child.environment(os.environ),
        )


@contextlib.contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Lock a file of the run directory; yield False where another process has locked it."""
    with readable_disk_errors(path.parent), open(path, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
