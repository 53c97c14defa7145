"""What the worker does before it trains."""

import pytest

from asrkit.config import TrainConfig
from asrkit.runs.run import PREEMPT, STOP
from asrkit.runs.store import RunStore
from asrkit.training import distributed, inputs, run_end
from asrkit.training.stopping import StopRequested


@pytest.mark.parametrize("source", ["model", "train"])
def test_stop_during_download_is_broadcast_to_other_processes(tmp_path, monkeypatch, source):
    """They wait for rank 0's answer and would wait forever without one."""
    config = TrainConfig().replace({"train": "hub:owner/name", "model": "owner/name"})
    run = RunStore(tmp_path / "runs").create(config, "one")
    run.set_flag(STOP)
    broadcasts = []
    monkeypatch.setattr(distributed, "broadcast", lambda value: broadcasts.append(value) or value)

    def fetch(*_, on_progress, **__):
        on_progress("Fetching", 1, 2)

    monkeypatch.setattr(inputs.resolution, "fetch", fetch)
    monkeypatch.setattr(inputs.preparation_cache, "prepare", fetch)
    with pytest.raises(StopRequested):
        inputs.fetch_base_model(run, config) if source == "model" else inputs.load_data(run, config, None)
    assert broadcasts == [True]


def test_error_on_preemption_is_no_end_of_the_run(tmp_path, monkeypatch):
    """A cluster ends what the worker needs, too: a node's other processes, or readers."""
    run = RunStore(tmp_path / "runs").create(TrainConfig(), "one")
    run.set_flag(PREEMPT)
    monkeypatch.setattr(run_end.signal, "signal", lambda *_: None)
    run_end.fail(run, RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated."))
    assert [event.data["phase"] for event in run.events()[0]] == ["preempted"]
    run.set_flag(STOP)
    run_end.fail(run, RuntimeError("broken"))
    assert run.events()[0][-1].kind == "failed"
