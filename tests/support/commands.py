"""Run `python -m asrkit` in a process of its own, forked from one that has imported the command line once.

The imports, PyTorch among them, take longer than most commands. Libraries that read the environment when they are
imported, such as huggingface_hub, are imported by the command itself.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

TIMEOUT_S = 300

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["asrkit.cli", "torch"])


def run_asrkit(arguments: Sequence[object], environment: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess:
    """Run a command line in this folder, like `subprocess.run` with captured text."""
    command = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _processes.Process(target=_run, args=(command, dict(environment), os.getcwd(), outputs))
        process.start()
        process.join(TIMEOUT_S)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(command, TIMEOUT_S)
        texts = [path.read_text("utf-8") for path in outputs]
        return subprocess.CompletedProcess(command, process.exitcode, *texts)


def _run(command: list[str], environment: dict[str, str], folder: str, outputs: list[Path]) -> None:
    """Become what a program started by `subprocess.run` would be, and run the command line."""
    for descriptor, path in enumerate(outputs, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["asrkit", *command]
    runpy.run_module("asrkit", run_name="__main__", alter_sys=True)
