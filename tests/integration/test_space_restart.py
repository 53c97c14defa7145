"""A Space that stops takes its workers along; when it starts again, their runs go on by themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from asrkit.runs import lifecycle, processes, view
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from tests.support import tiny
from tests.support.runs import loss_curve, wait_for_end, wait_for_step
from tests.support.space import PROJECT, Space
from tests.support.waiting import wait_for

START = """
import json, sys
from asrkit.config import TrainConfig
from asrkit.runs import supervisor
from asrkit.runs.store import RunStore
supervisor.start(RunStore(sys.argv[1]), TrainConfig().replace(json.loads(sys.argv[2])), "interrupted")
"""


def test_restarted_space_goes_on_with_interrupted_runs(tmp_path: Path, speech: Path, base: Path) -> None:
    values = {
        "preset": "",
        "train": str(speech),
        "model": str(base),
        **tiny.SETTINGS,
        "save_steps": 2,
        "max_steps": 40,
        "num_epochs": 40,
    }
    # The app that started the run has ended as well: nobody records how the worker ends.
    subprocess.run([sys.executable, "-c", START, str(tmp_path / "runs"), json.dumps(values)], cwd=PROJECT, check=True)
    run = RunStore(tmp_path / "runs").get("interrupted")
    try:
        wait_for_step(run, 3)
        processes.kill_worker(run)
        assert lifecycle.get_status(run) == lifecycle.CRASHED and "exit" not in (run.process() or {})
        reached = view.load_view(run).step
        space = Space(tmp_path)
        space.start()
        try:
            assert wait_for_end_after_crash(run) == lifecycle.FINISHED, run.log_tail()
        finally:
            space.stop()
        assert "Traceback" not in space.log()
        steps = [step for step, _ in loss_curve(run)]
        assert steps == sorted(set(steps)) and steps[-1] == 40 > reached >= 3
    finally:
        processes.kill_worker(run)


def wait_for_end_after_crash(run: Run) -> str:
    wait_for(lambda: lifecycle.get_status(run) != lifecycle.CRASHED, "the Space to resume the run")
    return wait_for_end(run)
