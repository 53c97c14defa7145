"""Logging for the programs of this project: the command line, the app and the worker."""

from __future__ import annotations

import logging
from typing import TextIO


def configure(format: str, stream: TextIO | None = None, *, level: int = logging.INFO) -> None:
    """Write log records in this format to `stream`, stderr by default: ours from `level` up, others from WARNING up.

    Handlers that are configured already, as pytest does, stay alone.
    """
    logging.basicConfig(format=format, datefmt="%H:%M:%S", stream=stream, level=logging.WARNING)
    logging.getLogger("asrkit").setLevel(level)
