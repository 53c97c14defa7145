"""One run trained by two processes under torchrun, over gloo on the CPU."""

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


def assert_same_results(run, alone):
    """The run of two processes has the curve and the evaluations of the one alone, and its rank 0 alone wrote them."""
    assert [value for _, value in loss_curve(run)] == pytest.approx([value for _, value in loss_curve(alone)], rel=1e-4)
    run_events, _ = run.events()
    assert [event.step for event in run_events if event.kind == events.EVAL] == [0, 4, 8, 12]
    assert [event.step for event in run_events if event.kind == events.TRAIN] == list(range(1, 13)), (
        "rank 0 alone emits events"
    )
    assert view.load_view(run).started["processes"] == 2
    scored, alike = (view.load_view(one).evaluations[-1].data for one in (run, alone))
    assert scored["utterances"] == 6 and scored["wer"] == alike["wer"]
    assert scored["loss"] == pytest.approx(alike["loss"], rel=1e-3)
    assert [row["id"] for row in scored["samples"]] == [row["id"] for row in alike["samples"]]


def test_stopped_and_killed_run_resumes_to_same_result(store, settings, alone):
    run = supervisor.start(store, settings(**TWO), "stopped")
    wait_for_step(run, 2)
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()
    assert run.has_model() and len(run.checkpoints()) >= 1
    supervisor.resume(store, run)
    wait_for_step(run, view.load_view(run).step + 2)
    workers = ranks(run)
    assert len(workers) == 2
    os.kill(run.process()["pid"], signal.SIGKILL)
    assert wait_for_end(run) == lifecycle.CRASHED
    wait_for(
        lambda: not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers),
        "the end of both workers, which die with torchrun",
    )
    supervisor.resume(store, run)
    assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    assert_same_ending(run, alone)


def test_run_reports_the_process_that_failed_and_leaves_out_a_bad_clip(store, settings):
    """A killed process is reported as lost; a clip that goes bad later is named, whichever process reads it."""
    run = supervisor.start(store, settings(**TWO, max_steps=5000, num_epochs=5000), "failing")
    wait_for_step(run, 3)
    second = next(worker for worker in ranks(run) if worker.environ()["RANK"] == "1")
    second.kill()
    assert wait_for_end(run) == lifecycle.FAILED, run.log_tail()
    assert view.load_view(run).end.data["error"] == "process-lost", view.load_view(run).end

    rows = manifest.read(run.manifest_path("train"))
    broken = dataclasses.replace(rows[5], audio=str(run.path / "gone.wav"))
    manifest.write(run.manifest_path("train"), [*rows[:5], broken, *rows[6:]])
    supervisor.resume(store, run)
    (finding,) = wait_for(
        lambda: [each for each in view.load_view(run).findings if each["code"] == "bad-clips"], "the finding"
    )
    assert "gone.wav" in finding["cause"]
    wait_for_step(run, view.load_view(run).step + 2)
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()
    assert "1 clip turned out bad" in view.load_view(run).end.data["message"]


def test_two_machines_give_same_results_as_one_process(store, settings, alone, monkeypatch):
    """Two torchruns that meet at a port of this machine simulate two machines that share the runs directory."""
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
        assert_same_results(run, alone)
        output, _ = second.communicate(timeout=30)
        assert second.returncode == 0, output
    finally:
        second.kill()
        second.wait()


def test_two_processes_give_same_results_as_one_when_one_is_out_of_memory(store, settings, alone):
    """Batches are split in both processes, and the run reports it once; the results are those of enough memory."""
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
    assert_same_results(run, alone)
    findings = [event.data for event in run.events()[0] if event.data.get("code") == "batch-split"]
    assert len(findings) == 1 and "computed in 2 parts" in findings[0]["cause"]


def test_layer_drop_is_rejected_with_several_processes(settings):
    with pytest.raises(ConfigError, match="works with one process only"):
        settings(processes=2, layerdrop=0.1)
