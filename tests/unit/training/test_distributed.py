"""Processes that torchrun started, without torch."""

import subprocess
import sys

import pytest

PROCESS = """
import sys, time
from pathlib import Path
from asrkit.runs.run import Run
from asrkit.training import worker
run = Run(Path(sys.argv[1]))
worker._stop_on_sigterm(run)
print("ready", flush=True)
deadline = time.monotonic() + 60
while not run.has_flag("stop") and time.monotonic() < deadline:
    time.sleep(0.01)
"""

LAUNCHER = """
import os, subprocess, sys
environment = os.environ | {"TORCHELASTIC_RUN_ID": "one", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
ranks = [
    subprocess.Popen([sys.executable, "-c", *sys.argv[1:3]], env=environment | {"RANK": rank},
                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for rank in "01"
]
for rank in ranks:
    assert rank.stdout.readline() == "ready\\n"
if sys.argv[3] == "lost":
    ranks[1].kill()
    ranks[1].wait()
ranks[0].terminate()
print(ranks[0].communicate()[0])
ranks[1].kill()
"""


@pytest.mark.parametrize(("event", "is_stop"), [("lost", False), ("stopped", True)])
def test_sigterm_after_a_lost_process_is_no_stop_request(tmp_path, event, is_stop):
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, PROCESS, str(tmp_path), event], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "control" / "stop").exists() == is_stop
    assert ("ProcessLostError" in done.stdout) != is_stop, done.stdout
