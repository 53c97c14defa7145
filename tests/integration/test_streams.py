"""A run on a dataset that is streamed from the stand-in of the Hub, over a link that breaks."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from asrkit.config import TrainConfig
from asrkit.data import manifest
from asrkit.runs import events, lifecycle, supervisor, view
from asrkit.runs.store import RunStore
from tests.support import streams, tiny
from tests.support.runs import end_runs, loss_curve, wait_for_end, wait_for_step
from tests.support.waiting import wait_for

CACHE_BYTES = 1_100_000
"""Half of the clips."""


@pytest.fixture(scope="module")
def streamed_hub(tmp_path_factory, base: Path) -> Iterator[streams.FaultyHub]:
    root = tmp_path_factory.mktemp("streamed")
    speech = tiny.write_dataset(root / "speech", train=120, held_out=10)
    streams.write_speech(speech, root / "hub/datasets" / streams.NAME, group_rows=8, num_files=3)
    with streams.serve(root / "hub") as stand_in:
        yield stand_in


@pytest.fixture
def environment(streamed_hub, tmp_path, monkeypatch):
    streamed_hub.sent.clear()
    variables = {**streamed_hub.env(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def settings(base: Path):
    values = {
        "preset": "",
        "model": str(base),
        "train": f"hub:{streams.NAME}",
        **tiny.SETTINGS,
        "eval_steps": 8,
        "save_steps": 4,
        "num_epochs": 2,
        "max_steps": 16,
        "train_batch_size": 12,
        "augmentation": "light",
        "stream": "yes",
        "stream_cache_gb": CACHE_BYTES / 1e9,
    }
    return TrainConfig().replace(values)


def test_killed_run_resumes_with_the_same_streamed_clips(streamed_hub, environment, settings, store, tmp_path):
    streamed_hub.fail_every, streamed_hub.retry_after = 9, "1"
    undisturbed = supervisor.start(RunStore(tmp_path / "other"), settings, "undisturbed")
    assert wait_for_end(undisturbed) == lifecycle.FINISHED, undisturbed.log_tail()
    texts = [event.data["text"] for event in undisturbed.events()[0] if event.kind == events.PHASE]
    assert any("Waiting for tiny/streamed: " in text for text in texts)
    assert any(re.match(r"Streams \d\.\d MB from the .* through a cache of 1\.1 MB", text) for text in texts)
    assert "The Hugging Face Hub sends again; training goes on." in texts
    assert len(manifest.read(undisturbed.manifest_path("train"))) == 120

    run = supervisor.start(store, settings, "killed")
    wait_for_step(run, 6)
    os.kill(run.process()["pid"], signal.SIGKILL)
    assert wait_for_end(run) == lifecycle.CRASHED
    supervisor.resume(store, run)
    assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    # The loss of a step tells its clips. Those after the checkpoint were trained on twice, before and after the kill.
    expected = dict(loss_curve(undisturbed))
    losses = [(event.step, event.data["loss"]) for event in run.events()[0] if event.kind == events.TRAIN]
    assert {step for step, _ in losses} == set(expected) == set(range(1, 17))
    assert [loss for _, loss in losses] == pytest.approx([expected[step] for step, _ in losses], rel=1e-4)
    assert len({round(loss, 4) for loss in expected.values()}) == len(expected)
    assert view.load_view(run).evaluations[-1].data["wer"] == view.load_view(undisturbed).evaluations[-1].data["wer"]
    cached = [path.stat().st_size for path in (tmp_path / "cache").rglob("*.wav")]
    assert 0 < sum(cached) <= CACHE_BYTES
    end_runs(RunStore(tmp_path / "other"))


def test_run_can_be_stopped_while_the_hub_is_waited_for(streamed_hub, environment, settings, store):
    streamed_hub.fail_every = 0
    run = supervisor.start(store, settings, "stopped")
    wait_for_step(run, 2)
    streamed_hub.fail_every, streamed_hub.retry_after = 1, "3000"
    wait_for(lambda: "Waiting for tiny/streamed" in run.log_path.read_text(), "the outage")
    supervisor.stop(run)
    assert wait_for_end(run) == lifecycle.STOPPED, run.log_tail()
    assert run.has_model() and run.checkpoints()
    streamed_hub.fail_every, streamed_hub.retry_after = 0, ""
    supervisor.resume(store, run)
    assert wait_for_end(run) == lifecycle.FINISHED, run.log_tail()
    assert [step for step, _ in loss_curve(run)] == list(range(1, 17))
