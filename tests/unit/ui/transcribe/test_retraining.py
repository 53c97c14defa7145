"""Training a model a little more, on what was corrected."""

import pytest

from asrkit.config import TrainConfig
from asrkit.data import dataset_names
from asrkit.runs.store import RunStore
from asrkit.ui.transcribe.retraining import propose_settings


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def test_run_goes_on_with_its_data_and_the_corrections(store):
    values = {"train": "callsigns", "learning_rate": 1e-3, "num_epochs": 7, "vocabulary": "fresh", "decoding": "words"}
    run = store.create(TrainConfig().replace(values), "one")
    settings = propose_settings(store, run.id, "/data/my words")
    TrainConfig().replace(settings)  # they can be started
    assert settings["model"] == "one" and dataset_names.separate(settings["train"]) == ["callsigns", "/data/my words"]
    assert (settings["learning_rate"], settings["num_epochs"], settings["vocabulary"]) == (0.0003, 4, "auto")
    assert settings["decoding"] == "words", "as the run decodes"
    again = store.create(TrainConfig().replace(settings), "two")
    assert propose_settings(store, again.id, "/data/my words")["train"] == settings["train"], "each dataset once"


def test_other_models_are_trained_on_the_corrections_alone(store):
    settings = propose_settings(store, "starter", "/data/my words")
    assert (settings["model"], settings["train"], settings["preset"]) == ("starter", "/data/my words", "few-clips")
