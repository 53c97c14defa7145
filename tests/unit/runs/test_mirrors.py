import contextlib
import json
import sys
import types

import pytest

from asrkit.config import TrainConfig
from asrkit.errors import ConfigError, RunError
from asrkit.runs import companions, mirrors
from asrkit.runs.events import Event
from asrkit.runs.mirrors import writers


def event(kind, step, time_s=10.0, **data):
    return Event(kind, time_s, step, 1.0, data)


HISTORY = [
    event("started", 0, total_steps=8),
    event("eval", 0, loss=3.0, wer=1.0, cer=1.0, mer=None),
    event("train", 2, loss=2.0, learning_rate=1e-4),
    event("train", 4, loss=float("nan")),
]
RESUMED = [event("started", 2, total_steps=8), event("train", 4, loss=1.5), event("finished", 4, message="Finished.")]


class RecordingWriter(writers.MirrorWriter):
    """Keeps what it is given, and fails when it is told to."""

    calls: list = []

    def __init__(self, run):
        self.calls.append("open")

    def begin(self, step):
        self.calls.append(("begin", step))

    def write(self, step, time_s, values):
        self.calls.append((step, dict(values)))

    def close(self):
        self.calls.append("close")


@pytest.fixture
def calls(monkeypatch):
    monkeypatch.setattr(RecordingWriter, "calls", [])
    monkeypatch.setitem(writers.WRITERS, "wandb", RecordingWriter)
    monkeypatch.setattr(mirrors.importlib.util, "find_spec", lambda name: name == "wandb" or None)
    return RecordingWriter.calls


def test_what_is_new_is_sent_once(make_run, calls):
    run = make_run("one", HISTORY)
    assert mirrors.send(run, "wandb") == 5, "null and non-finite values are no points"
    assert calls == [
        "open",
        ("begin", 0),
        (0, {"eval/loss": 3.0, "eval/wer": 1.0, "eval/cer": 1.0}),
        (2, {"train/loss": 2.0, "train/learning_rate": 1e-4}),
        "close",
    ]
    calls.clear()
    assert mirrors.send(run, "wandb") == 0 and calls == ["open", "close"]
    for each in RESUMED:
        run.append(each)
    assert mirrors.send(run, "wandb", follow=True) == 1, "it ends, as the run has"
    assert calls[3:-1] == [("begin", 2), (4, {"train/loss": 1.5})]


def test_failed_send_is_repeated(make_run, calls, monkeypatch):
    run = make_run("one", HISTORY)
    with monkeypatch.context() as broken, pytest.raises(OSError, match="no network"):
        broken.setattr(RecordingWriter, "flush", lambda _: (_ for _ in ()).throw(OSError("no network")))
        mirrors.send(run, "wandb")
    assert calls[-1] == "close" and mirrors.send(run, "wandb") == 5


def test_only_one_process_sends(make_run, calls):
    run = make_run("one", HISTORY)
    locked = companions.claimed(run.path / ".mirror-wandb.lock")
    with locked as is_mine, pytest.raises(RunError, match="Another process already sends run one to wandb"):
        mirrors.send(run, "wandb")
    assert is_mine and calls == []


@pytest.mark.parametrize(
    ("names", "message"),
    [("wandb, tensorbord", "There is no mirror 'tensorbord'"), ("trackio", "not installed; pip install trackio")],
)
def test_mirror_that_cannot_be_used(calls, names, message):
    with pytest.raises(ConfigError, match=message):
        mirrors.parse_names(names)


def test_started_mirrors_follow_the_run(make_run, calls, monkeypatch):
    commands = []
    monkeypatch.setattr(companions.subprocess, "Popen", lambda command, **_: commands.append(command))
    run = make_run("one")
    mirrors.start_mirrors(run, TrainConfig(mirrors="wandb, wandb"))
    (command,) = commands
    assert command[3:] == ["runs", "mirror", "one", "--to", "wandb", "--follow", "--runs-dir", str(run.path.parent)]


def test_wandb_run_keeps_the_runs_own_steps(make_run, monkeypatch):
    logged = []
    session = types.SimpleNamespace(
        define_metric=lambda name, step_metric: logged.append((name, step_metric)),
        log=logged.append,
        finish=lambda: logged.append("finish"),
    )
    given = {}
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=lambda **more: given.update(more) or session))
    writer = writers.WandbWriter(make_run("one"))
    writer.write(4, 10.0, {"train/loss": 1.5})
    writer.write(2, 11.0, {"train/loss": 1.0})
    writer.close()
    assert logged[1:] == [
        {"step": 4, "time": 10.0, "train/loss": 1.5},
        {"step": 2, "time": 11.0, "train/loss": 1.0},
        "finish",
    ]
    assert logged[0] == ("*", "step") and (given["id"], given["resume"]) == ("one", "allow")


def test_trackio_run_is_continued(make_run, monkeypatch):
    logged, given = [], {}
    fake = types.SimpleNamespace(
        init=lambda **more: given.update(more),
        log=lambda values, step: logged.append((step, values)),
        finish=lambda: logged.append("finish"),
    )
    monkeypatch.setitem(sys.modules, "trackio", fake)
    with contextlib.closing(writers.TrackioWriter(make_run("one"))) as writer:
        writer.write(4, 10.0, {"train/loss": 1.5})
    assert logged == [(4, {"train/loss": 1.5}), "finish"] and (given["name"], given["resume"]) == ("one", "allow")


def test_tensorboard_reads_what_was_written(make_run):
    """With the real library: a resumed run replaces what it computes again."""
    pytest.importorskip("tensorboard", reason="TENSORBOARD IS NOT TESTED: pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = make_run("one", [*HISTORY[:3], event("train", 4, loss=9.0), event("train", 6, loss=8.0), *RESUMED])
    assert mirrors.send(run, "tensorboard") == 8
    read = EventAccumulator(str(run.path / "tensorboard"))
    read.Reload()
    assert [(point.step, point.value) for point in read.Scalars("train/loss")] == [(2, 2.0), (4, 1.5)]
    assert [point.wall_time for point in read.Scalars("eval/wer")] == [10.0]
    assert json.loads((run.path / "mirror-tensorboard.json").read_text())["offset"] == run.events_size()
