"""`python -m asrkit ...`: one module per command, each a thin layer over the functions that the page uses too.

Exit code 0, or 1 with one line on stderr (2 for a wrong command line, as in argparse; 130 after Ctrl-C). With `--json`,
one JSON document on stdout and nothing else there.
"""

from __future__ import annotations

import argparse
import os
import sys

from asrkit import __version__, logs
from asrkit.cli import audit, diagnose, evaluate, presets, runs, train, transcribe
from asrkit.errors import AsrkitError


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    logs.configure("asrkit: %(message)s")
    options = build_parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except AsrkitError as error:
        print(f"asrkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("asrkit: interrupted", file=sys.stderr)
        return 130  # the convention of shells: 128 and the number of SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; each command sets `command`, a function of the parsed options."""
    parser = argparse.ArgumentParser(
        prog="python -m asrkit", description="Fine-tune CTC speech recognition models and use them."
    )
    parser.add_argument("--version", action="version", version=f"asrkit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (train, runs, audit, evaluate, transcribe, diagnose, presets):
        command.add_command(commands)
    return parser
