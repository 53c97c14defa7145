"""What the worker does before it trains."""

import pytest

from asrkit.config import TrainConfig
from asrkit.runs.run import STOP
from asrkit.runs.store import RunStore
from asrkit.training import distributed, worker


@pytest.mark.parametrize("hub", ["model", "train"])
def test_a_stop_while_the_first_of_several_fetches_is_told_to_the_others(tmp_path, monkeypatch, hub):
    """They wait for its word; without one they would wait for ever."""
    config = TrainConfig().replace({"train": "hub:owner/name", "model": "owner/name"})
    run = RunStore(tmp_path / "runs").create(config, "one")
    run.set_flag(STOP)
    told = []
    monkeypatch.setattr(distributed, "agreed", lambda word: told.append(word) or word)

    def fetch(*_, **options):
        options["on_progress"]("Fetching", 1, 2)

    monkeypatch.setattr(worker.resolution, "fetch", fetch)
    monkeypatch.setattr(worker.preparation, "prepare_data", fetch)
    with pytest.raises(worker.StopRequested):
        worker._base(run, config) if hub == "model" else worker._data(run, config, None)
    assert told == [True]
