"""One run trained by two processes under torchrun, over gloo on the CPU: the same curve, the same life."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from asrkit.data import manifest
from asrkit.errors import ConfigError
from asrkit.runs import events, lifecycle, supervisor, view
from tests.support.ports import find_free_port
from tests.support.runs import assert_same_ending, loss_curve, train_undisturbed, wait_for_end, wait_for_step
from tests.support.waiting import wait_for

ONE = {"train_batch_size": 4, "gradient_accumulation_steps": 2, "augmentation": "light"}
TWO = {"train_batch_size": 4, "processes": 2, "augmentation": "light"}
"""The same two batches of four clips an update."""


def ranks(run) -> list[psutil.Process]:
    """The two training processes, torchrun's children."""
    return [
        child
        for child in psutil.Process(run.process()["pid"]).children()
        if "asrkit.training.worker" in " ".join(child.cmdline())
    ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, speech, base):
    return train_undisturbed(tmp_path_factory.mktemp("alone"), speech, base, **ONE)


def test_two_processes_draw_the_curve_of_one(store, settings, alone):
    run = supervisor.start(store, settings(**TWO), "two")
    assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    assert [value for _, value in loss_curve(run)] == pytest.approx([value for _, value in loss_curve(alone)], rel=1e-4)
    told, _ = run.events()
    assert [one.step for one in told if one.kind == events.EVAL] == [0, 4, 8, 12]
    assert [one.step for one in told if one.kind == events.TRAIN] == list(range(1, 13)), "one of them alone tells"
    assert view.load_view(run).started["processes"] == 2
    scored, alike = (view.load_view(one).evaluations[-1].data for one in (run, alone))
    assert scored["utterances"] == 6 and scored["wer"] == alike["wer"]
    assert scored["loss"] == pytest.approx(alike["loss"], rel=1e-3)
    assert [row["id"] for row in scored["samples"]] == [row["id"] for row in alike["samples"]]


def test_stop_and_resume(store, settings, alone):
    run = supervisor.start(store, settings(**TWO), "stopped")
    wait_for_step(run, 5)
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()
    assert run.has_model() and len(run.checkpoints()) >= 1
    supervisor.resume(store, run)
    assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    assert_same_ending(run, alone)


def test_a_killed_launcher_leaves_nobody_behind_and_the_run_resumes(store, settings, alone):
    run = supervisor.start(store, settings(**TWO), "killed")
    wait_for_step(run, 6)
    workers = ranks(run)
    assert len(workers) == 2
    os.kill(run.process()["pid"], signal.SIGKILL)
    assert wait_for_end(run) == lifecycle.CRASHED
    wait_for(
        lambda: not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers),
        "the end of both workers",
    )
    supervisor.resume(store, run)
    assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    assert_same_ending(run, alone)


def test_one_killed_process_ends_the_run_and_says_so(store, settings):
    run = supervisor.start(store, settings(**TWO, max_steps=5000, num_epochs=5000), "halved")
    wait_for_step(run, 3)
    second = next(worker for worker in ranks(run) if worker.environ()["RANK"] == "1")
    second.kill()
    assert wait_for_end(run) == lifecycle.FAILED, run.log_tail()
    assert view.load_view(run).end.data["error"] == "process-lost", view.load_view(run).end


def test_the_process_that_fails_says_why(store, settings, speech):
    """A clip that goes bad after the start, in the share of any of the two: its name is told, not only a loss."""
    run = supervisor.start(store, settings(**TWO, max_steps=5000, num_epochs=5000), "bad-clip")
    wait_for_step(run, 1)
    rows = manifest.read(run.manifest_path("train"))
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()
    broken = dataclasses.replace(rows[5], audio=str(run.path / "gone.wav"))
    manifest.write(run.manifest_path("train"), [*rows[:5], broken, *rows[6:]])
    supervisor.resume(store, run)
    assert wait_for_end(run) == lifecycle.FAILED, run.log_tail()
    assert "gone.wav" in view.load_view(run).end.data["message"], view.load_view(run).end


def test_two_machines(store, settings, alone, monkeypatch):
    """Two torchruns that meet at a port of this machine stand for two machines that share the runs directory."""
    meeting = f"--nnodes=2 --master-addr=127.0.0.1 --master-port={find_free_port()}"
    monkeypatch.setenv("ASRKIT_TORCHRUN", f"{meeting} --node-rank=0")
    run = supervisor.start(store, settings(**TWO | {"processes": 1}), "two-machines")
    second = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            *meeting.split(),
            "--node-rank=1",
            "--nproc-per-node=1",
            "-m",
            "asrkit.training.worker",
            str(run.path),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
        assert [value for _, value in loss_curve(run)] == pytest.approx(
            [value for _, value in loss_curve(alone)], rel=1e-4
        )
        told, _ = second.communicate(timeout=30)
        assert second.returncode == 0, told
    finally:
        second.kill()
        second.wait()


def test_a_batch_that_does_not_fit_into_one_of_them_is_computed_in_parts(store, settings, alone):
    """The curve is that of one process with room enough; the run says once what it did."""
    run = store.create(settings(**TWO), "cramped")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node=2",
            str(Path(__file__).with_name("low_memory_worker.py")),
            str(run.path),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [value for _, value in loss_curve(run)] == pytest.approx([value for _, value in loss_curve(alone)], rel=1e-4)
    told = [one.data for one in run.events()[0] if one.data.get("code") == "batch-split"]
    assert len(told) == 1 and "computed in 2 parts" in told[0]["cause"]


def test_layer_drop_is_refused(settings):
    with pytest.raises(ConfigError, match="works with one process only"):
        settings(processes=2, layerdrop=0.1)
