"""Runs in real worker processes: training, stop, cancel, crash, resume and devices."""

from __future__ import annotations

import json
import os
import signal

import pytest

from asrkit.errors import RunError
from asrkit.runs import events, lifecycle, supervisor, view
from asrkit.runs.devices import _count_gpus
from tests.support import tiny
from tests.support.runs import assert_same_ending, loss_curve, train_undisturbed, wait_for_end, wait_for_step
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, speech, base):
    """An uninterrupted run, for comparison."""
    return train_undisturbed(tmp_path_factory.mktemp("undisturbed"), speech, base, augmentation="light")


def test_run_learns_and_writes_its_events(undisturbed):
    run_events, _ = undisturbed.events()
    kinds = [event.kind for event in run_events]
    assert kinds[0] == events.PHASE and kinds[-1] == events.FINISHED
    assert {events.STARTED, events.TRAIN, events.EVAL, events.CHECKPOINT} <= set(kinds)
    assert [event.step for event in run_events if event.kind == events.EVAL] == [0, 4, 8, 12]
    losses = loss_curve(undisturbed)
    assert [step for step, _ in losses] == list(range(1, 13))
    first, last = (view.load_view(undisturbed).evaluations[index].data for index in (0, -1))
    assert last["loss"] < 0.8 * first["loss"]
    assert last["normaliser"] == "basic" and last["utterances"] == 6
    assert len(last["samples"]) >= 5 and {"reference", "hypothesis", "audio"} <= set(last["samples"][0])


def test_model_loads_with_transformers(undisturbed):
    import soundfile
    import torch
    from transformers import AutoModelForCTC, AutoProcessor

    from asrkit.data import manifest

    model = AutoModelForCTC.from_pretrained(undisturbed.model_dir)
    processor = AutoProcessor.from_pretrained(undisturbed.model_dir)
    row = manifest.read(undisturbed.manifest_path("eval"))[0]
    samples, rate = soundfile.read(row.audio, dtype="float32")
    with torch.inference_mode():
        logits = model(**processor(samples, sampling_rate=rate, return_tensors="pt")).logits
    assert logits.shape[-1] == 8
    assert isinstance(processor.batch_decode(logits.argmax(-1))[0], str)
    assert (undisturbed.model_dir / "README.md").read_text().startswith("---\n")


def test_stopped_run_resumes_to_the_same_result(store, settings, undisturbed):
    run = supervisor.start(store, settings(augmentation="light"), "stopped")
    wait_for_step(run, 5)
    supervisor.stop(run)
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED
    assert run.has_model() and run.checkpoints()
    history = run.events_path.read_bytes()
    supervisor.resume(store, run)
    assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    assert run.events_path.read_bytes().startswith(history)
    assert_same_ending(run, undisturbed)


def test_crashed_run_resumes_to_the_same_result(store, settings, undisturbed):
    run = supervisor.start(store, settings(augmentation="light"), "killed")
    wait_for_step(run, 6)
    os.kill(run.process()["pid"], signal.SIGKILL)
    assert wait_for_end(run) == lifecycle.CRASHED
    history = run.events_path.read_bytes()
    assert view.load_view(run).step >= 6
    supervisor.resume(store, run)
    assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    assert run.events_path.read_bytes().startswith(history[: history.rfind(b"\n") + 1])
    assert_same_ending(run, undisturbed)


def test_killed_run_on_weighted_datasets_resumes_with_the_same_clips(store, settings, speech, base, tmp_path):
    other = tiny.write_dataset(tmp_path / "other", train=7, held_out=3, seed=1)
    changes = {"train": f"{speech} + {other}", "mix": "1,2", "augmentation": "light"}
    undisturbed = train_undisturbed(tmp_path / "undisturbed", speech, base, **changes)
    run = supervisor.start(store, settings(**changes), "killed")
    wait_for_step(run, 6)
    os.kill(run.process()["pid"], signal.SIGKILL)
    assert wait_for_end(run) == lifecycle.CRASHED
    checkpoint = run.checkpoints()[-1]
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    assert state["epoch"] % 1, "the epoch has other clips left"
    supervisor.resume(store, run)
    assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    # The loss of a step tells its clips. Those after the checkpoint were trained on twice, before and after the kill.
    expected = dict(loss_curve(undisturbed))
    losses = [(event.step, event.data["loss"]) for event in run.events()[0] if event.kind == events.TRAIN]
    assert len(losses) > len(expected) and {step for step, _ in losses} == set(expected)
    assert [loss for _, loss in losses] == pytest.approx([expected[step] for step, _ in losses], rel=1e-4)
    assert len({round(loss, 4) for loss in expected.values()}) == len(expected)
    assert_same_ending(run, undisturbed)
    assert set(view.load_view(run).evaluations[-1].data["datasets"]) == {str(speech), str(other)}


def test_cancelled_run_keeps_only_its_history(store, settings):
    run = supervisor.start(store, settings(max_steps=500, num_epochs=500), "cancelled")
    wait_for_step(run, 5)
    supervisor.cancel(run)
    assert wait_for_end(run) == lifecycle.STOPPED
    assert not run.has_model() and not run.checkpoints()
    assert len(loss_curve(run)) >= 5
    assert view.load_view(run).end.data["saved"] is False


def test_stop_is_handled_while_loading(store, settings):
    run = supervisor.start(store, settings(), "early")
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED
    assert view.load_view(run).step == 0


GPUS = """#!/bin/sh
echo 'GPU, 0, 0, 100, 30'; echo 'GPU, 0, 0, 100, 30'
"""


@pytest.mark.parametrize("kind", ["slots", "gpus"])
def test_third_run_waits_for_the_first_free_device(store, settings, tmp_path, monkeypatch, request, kind):
    """Two slots on the processor, or two GPUs that only nvidia-smi lists (PyTorch trains on the processor)."""
    request.addfinalizer(_count_gpus.cache_clear)
    if kind == "slots":
        monkeypatch.setenv("ASRKIT_SLOTS", "2")
        devices = [["cpu"], ["cpu"]]
    else:
        driver = tmp_path / "nvidia-smi"
        driver.write_text(GPUS)
        driver.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        devices = [["cuda:0"], ["cuda:1"]]
    first, second = (supervisor.start(store, settings(max_steps=500, num_epochs=500), name) for name in "ab")
    third = supervisor.start(store, settings(max_steps=2), "third")
    assert [run.process()["devices"] for run in (first, second)] == devices
    assert lifecycle.get_status(third) == lifecycle.QUEUED
    wait_for_step(first, 2)
    wait_for_step(second, 2)
    assert [lifecycle.get_status(run) for run in (first, second)] == [lifecycle.RUNNING] * 2
    with pytest.raises(RunError, match="still running"):
        supervisor.delete(store, first)
    supervisor.stop(second)
    wait_for(lambda: lifecycle.get_status(third) == lifecycle.FINISHED, "the end of the queued run")
    assert third.process()["devices"] == devices[1] and lifecycle.get_status(first) == lifecycle.RUNNING
    supervisor.stop(first)
    assert wait_for_end(first) == lifecycle.STOPPED


def test_run_outlives_the_process_that_started_it(store, settings, tmp_path):
    import subprocess
    import sys

    starter = tmp_path / "starter.py"
    starter.write_text(
        "import sys, time\nfrom asrkit import config\nfrom asrkit.runs import supervisor\n"
        "from asrkit.runs.store import RunStore\n"
        "supervisor.start(RunStore(sys.argv[1]), config.from_file(sys.argv[2]), 'orphan')\n"
        "print('started', flush=True)\ntime.sleep(600)\n"
    )
    from asrkit.files import write_json

    write_json(tmp_path / "config.json", settings().to_dict())
    app = subprocess.Popen(
        [sys.executable, str(starter), str(store.root), str(tmp_path / "config.json")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert app.stdout.readline() == b"started\n"
    os.kill(app.pid, signal.SIGKILL)
    app.wait()
    run = store.get("orphan")
    assert lifecycle.get_status(run) in lifecycle.ACTIVE
    assert wait_for_end(run) == lifecycle.FINISHED
    assert len(loss_curve(run)) == 12
