"""What the worker does before it trains."""

import pytest

from asrkit.config import TrainConfig
from asrkit.runs.run import STOP
from asrkit.runs.store import RunStore
from asrkit.training import distributed, inputs
from asrkit.training.stopping import StopRequested


@pytest.mark.parametrize("source", ["model", "train"])
def test_stop_during_download_is_broadcast_to_other_processes(tmp_path, monkeypatch, source):
    """They wait for rank 0's answer and would wait for ever without one."""
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
