"""`python -m asrkit ...`: one module per command, each a thin layer over the functions that the page uses too.

Exit code 0, or 1 with one line on stderr (2 for a wrong command line, as in argparse; 130 after Ctrl-C). With `--json`,
one JSON document on stdout and nothing else there.
"""

from __future__ import annotations

import argparse
import errno
import io
import sys

from asrkit import __version__, logs, startup
from asrkit.cli import (
    align,
    audit,
    delivery,
    diagnose,
    evaluate,
    export,
    label,
    presets,
    runs,
    shard,
    train,
    transcribe,
)
from asrkit.errors import AsrkitError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""A disk that is full or broken, where stdout or another file of the command is."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    logs.configure("asrkit: %(message)s")
    _escape_what_cannot_be_encoded()
    try:
        options = build_parser().parse_args(arguments)
        code = options.command(options) or 0
        if sys.stdout:
            sys.stdout.flush()
        return code
    except AsrkitError as error:
        print(f"asrkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        startup.print_interrupted()
        return startup.INTERRUPTED
    except BrokenPipeError:
        delivery.discard_stdout()
        return 1
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        delivery.discard_stdout()
        print(f"asrkit: The output cannot be written ({error.strerror}); free some space.", file=sys.stderr)
        return 1


def _escape_what_cannot_be_encoded() -> None:
    """Print characters that the terminal's encoding has not as escapes, such as \\u0107, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; each command sets `command`, a function of the parsed options."""
    parser = argparse.ArgumentParser(
        prog="python -m asrkit", description="Fine-tune CTC speech recognition models and use them."
    )
    parser.add_argument("--version", action="version", version=f"asrkit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, runs, audit, evaluate, transcribe, align, label, shard, export, diagnose, presets):
        command.add_command(commands)
    return parser
