"""Start runs, wait for their steps and their end, and compare two of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from asrkit.config import TrainConfig
from asrkit.runs import lifecycle, processes, supervisor, view
from asrkit.runs.run import Run
from asrkit.runs.store import RunStore
from tests.support import tiny
from tests.support.waiting import wait_for


def train_undisturbed(folder: Path, speech: Path, base: Path, **changes) -> Run:
    """Start a run of a few seconds and return it when it has finished."""
    values = {"preset": "", "train": str(speech), "model": str(base), **tiny.SETTINGS, **changes}
    run = supervisor.start(RunStore(folder), TrainConfig().replace(values), "undisturbed")
    assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    return run


def end_runs(store: RunStore) -> None:
    """Kill the workers of all runs; delete the queued runs before, each of which would start when another ends."""
    with store.lock():
        for run in store.all():
            if lifecycle.get_status(run) == lifecycle.QUEUED:
                store.delete(run)
    for run in store.all():
        processes.kill_worker(run)


def wait_for_end(run: Run) -> str:
    return wait_for(lambda: (now := lifecycle.get_status(run)) not in lifecycle.ACTIVE and now, f"the end of {run.id}")


def wait_for_step(run: Run, step: int) -> None:
    wait_for(
        lambda: view.load_view(run).step >= step or lifecycle.get_status(run) not in lifecycle.ACTIVE, f"step {step}"
    )
    assert view.load_view(run).step >= step, run.log_tail()


def loss_curve(run: Run) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in view.load_view(run).series["train/loss"]]


def evaluation_results(run: Run) -> list[tuple]:
    return [
        (event.step, event.data["loss"], event.data["wer"], event.data["cer"])
        for event in view.load_view(run).evaluations
    ]


def assert_same_ending(run: Run, undisturbed: Run) -> None:
    assert [step for step, _ in loss_curve(run)] == [step for step, _ in loss_curve(undisturbed)]
    assert loss_curve(run)[-1][1] == pytest.approx(loss_curve(undisturbed)[-1][1], rel=1e-4)
    assert [row[0] for row in evaluation_results(run)] == [row[0] for row in evaluation_results(undisturbed)]
    assert evaluation_results(run)[-1][1:] == pytest.approx(evaluation_results(undisturbed)[-1][1:], rel=1e-4)
