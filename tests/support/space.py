"""`python app.py` as a process with the environment of a Hugging Face Space."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.ports import find_free_port
from tests.support.waiting import wait_for

PROJECT = Path(__file__).resolve().parents[2]


class Space:
    """A Space on the loopback, which keeps its runs in `folder/runs`. launcher: begins the command."""

    def __init__(self, folder: Path, launcher: Sequence[str] = (), **environ: str) -> None:
        self.port, self.log_path, self.launcher = find_free_port(), folder / "app.log", launcher
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.folder, self.environ = folder, environ

    def start(self) -> None:
        command = [*self.launcher, sys.executable, "app.py", "--host", "127.0.0.1", "--port", str(self.port)]
        environ = {
            **os.environ,
            "SYSTEM": "spaces",
            "SPACE_ID": "ann/asrkit",
            "SPACE_HOST": self.host,
            "ASRKIT_RUNS": str(self.folder / "runs"),
            **self.environ,
        }
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, cwd=PROJECT, env=environ, stdout=log, stderr=subprocess.STDOUT)
        wait_for(self._is_ready, "the Space to start")

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log()
        return "asrkit is ready" in self.log()

    def log(self) -> str:
        return self.log_path.read_text()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
