"""The verdict on a run: what to do next, by how it has ended."""

import re

import pytest

from asrkit import config
from asrkit.runs import lifecycle
from asrkit.runs.events import Event
from asrkit.runs.run import CANCEL
from asrkit.runs.store import RunStore
from asrkit.runs.view import load_view
from asrkit.ui.common import verdict


@pytest.fixture
def end_run(tmp_path):
    """end_run(status, error rates by step, ...) -> the advice on a run that has ended so."""
    store = RunStore(tmp_path / "runs")

    def end(status, rates=(), has_model=True, has_checkpoint=False, findings=(), is_cancelled=False):
        run = store.create(config.load_preset("demo").config)
        run.append(Event("started", 1.0, 0, data={"metric_for_best_model": "wer", "train_utterances": 40}))
        for step, wer in enumerate(rates):
            interval = (max(0, wer - 0.05), wer + 0.05)
            data = {"wer": wer, "loss": wer, "utterances": 30, "wer_interval": interval}
            run.append(Event("eval", 2.0, 10 * step, data=data))
        for code in findings:
            run.append(Event("finding", 3.0, 10, data={"code": code, "cause": "", "remedy": ""}))
        if has_model:
            run.model_dir.mkdir()
            (run.model_dir / "config.json").write_text("{}")
        if has_checkpoint:
            (run.checkpoints_dir / "checkpoint-10").mkdir(parents=True)
        if is_cancelled:
            run.set_flag(CANCEL)
        return verdict.describe_next_step(run, status, load_view(run))

    return end


STOPPED, FINISHED = lifecycle.STOPPED, lifecycle.FINISHED
FROM_CHECKPOINT, FROM_START = "Resume continues from the last checkpoint.", "Resume starts from the beginning"


@pytest.mark.parametrize(
    ("status", "settings", "advice"),
    [
        (FINISHED, {"rates": [0.5, 0.04, 0.04]}, "record 20 clips with words that it still gets wrong"),
        (FINISHED, {"rates": [0.9, 0.5, 0.5]}, "It learned from 40 clips; more of them help most now."),
        (FINISHED, {"rates": [0.9, 0.6, 0.2]}, "still improving at its last evaluation. Train for more epochs."),
        (STOPPED, {"rates": [0.9, 0.6, 0.2], "has_checkpoint": True}, f"still improving.*{FROM_CHECKPOINT}"),
        (STOPPED, {"rates": [0.5, 0.04, 0.04], "has_checkpoint": True}, f"record 20 clips.*{FROM_CHECKPOINT}"),
        (STOPPED, {"has_checkpoint": True}, f"never evaluated.*{FROM_CHECKPOINT}"),
        (FINISHED, {"rates": [0.2, 0.9], "findings": ["no-gain"]}, "change what is advised below, and start again"),
        (FINISHED, {"rates": [0.2, 0.18], "findings": ["no-gain"]}, "evaluated on 30 clips: evaluate on more"),
        (FINISHED, {"rates": [0.9, 0.2], "has_model": False}, "^$"),
        (STOPPED, {"has_model": False, "is_cancelled": True}, FROM_START),
        (lifecycle.CRASHED, {"has_model": False, "is_cancelled": True}, FROM_START),
        (lifecycle.CRASHED, {"has_model": False}, "^$"),
        (lifecycle.FAILED, {"has_model": False}, f"When that is mended, go on: {FROM_START}"),
        (lifecycle.FAILED, {"has_checkpoint": True}, f"When that is mended, go on: {FROM_CHECKPOINT}"),
        (lifecycle.RUNNING, {"rates": [0.9, 0.2]}, "^$"),
        (lifecycle.QUEUED, {"has_model": False}, "^$"),
    ],
)
def test_next_step_follows_from_how_the_run_ended(end_run, status, settings, advice):
    assert re.search(advice, end_run(status, **settings)), end_run(status, **settings)


def test_every_end_has_a_next_step(end_run):
    """Except a crash, whose explanation ends with it."""
    for status in (FINISHED, STOPPED, lifecycle.FAILED):
        for rates in ([], [0.5], [0.5, 0.5], [0.9, 0.1], [0.1, 0.9]):
            for findings in ([], ["no-gain"]):
                assert end_run(status, rates, findings=findings)
