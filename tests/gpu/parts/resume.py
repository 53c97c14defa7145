"""Right: a run that is killed on the GPU resumes to the result of one that was not."""

from __future__ import annotations

import os
import signal

from asrkit.config import TrainConfig
from asrkit.runs import lifecycle, supervisor, view
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from tests.gpu.pack import Pack
from tests.support import tiny
from tests.support.waiting import wait_for

MAX_DIFFERENCE = 0.02
"""Relative. CTC's gradient on a GPU adds up in no fixed order, so two runs differ in their last digits."""


def run(pack: Pack) -> None:
    data, base = tiny.write_dataset(pack.folder / "tones"), tiny.write_checkpoint(pack.folder / "base")
    store = RunStore(pack.folder / "runs")
    values = {"preset": "", "train": str(data), "model": str(base), **tiny.SETTINGS, "augmentation": "light"}
    for precision in pack.pick(("no", "fp16"), ("no",)):
        config = TrainConfig().replace({**values, "mixed_precision": precision})
        whole = supervisor.start(store, config, f"whole-{precision}")
        wait_for_end(whole)
        killed = supervisor.start(store, config, f"killed-{precision}")
        wait_for(lambda run=killed: view.load_view(run).step >= 6 or has_ended(run), "step 6")
        os.kill(killed.process()["pid"], signal.SIGKILL)
        wait_for(lambda run=killed: has_ended(run), "the end of the killed worker")
        pack.check(f"{precision}: the killed run is seen", lifecycle.get_status(killed) == lifecycle.CRASHED)
        supervisor.resume(store, killed)
        wait_for_end(killed)
        compare(pack, precision, whole, killed)
    started = view.load_view(whole).started
    expected = "cuda:0" if pack.has_gpu else "cpu"
    pack.check("the run used the GPU" if pack.has_gpu else "the run used the CPU", started["device"] == expected)


def compare(pack: Pack, precision: str, whole: Run, killed: Run) -> None:
    """Compare steps, the last loss and the last evaluation."""
    curves = [view.load_view(run).series["train/loss"] for run in (whole, killed)]
    steps = [[point.step for point in curve] for curve in curves]
    pack.check(f"{precision}: each step once", steps[0] == steps[1], str(steps[1]))
    last = [curve[-1].value for curve in curves]
    scores = [view.load_view(run).evaluations[-1].data["loss"] for run in (whole, killed)]
    for name, (wanted, found) in (("training", last), ("evaluation", scores)):
        pack.measure(
            f"{precision}: relative difference of the last {name} loss",
            abs(found / wanted - 1),
            at_most=MAX_DIFFERENCE,
            is_exact=True,
            detail=f"{wanted:.5f} and {found:.5f}",
        )


def has_ended(run: Run) -> bool:
    return lifecycle.get_status(run) not in lifecycle.ACTIVE


def wait_for_end(run: Run) -> None:
    """Wait until a run has finished; RuntimeError with the end of its log if it does not."""
    wait_for(lambda: has_ended(run), f"the end of {run.id}")
    if lifecycle.get_status(run) != lifecycle.FINISHED:
        raise RuntimeError(f"{run.id} {lifecycle.get_status(run)}: {run.log_tail()}")
