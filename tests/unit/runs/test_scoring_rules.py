"""The rules of an evaluation are those of the model's run, else by the language of the texts."""

import pytest

from asrkit.config import TrainConfig
from asrkit.models.resolution import STARTER
from asrkit.runs.scoring_rules import ScoringRules, choose

TURKISH = ["IRMAK", "kapı", "İyi"]
AZERI = ["Iki", "kəpənək ı"]


@pytest.fixture
def run(store):
    """A run with German numbers, whose last checkpoint is its model."""
    run = store.create(TrainConfig(preset="", train="x", spell_numbers="de", markup="remove"), "20260101-000000-de")
    folder = run.path / "checkpoints" / "checkpoint-5"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "wav2vec2"}')
    (folder / "model.safetensors").write_bytes(b"x")
    return run


def test_rules_are_those_of_the_run(store, run):
    rules = "basic+markup:remove+numbers:de"
    for name in (run.id, str(run.path), str(run.path / "checkpoints" / "checkpoint-5")):
        assert choose(None, name, store, ["ja"]) == ScoringRules(rules, run.id)
    assert choose(None, run.id, store, TURKISH).rules == "basic+case:tr+markup:remove+numbers:de"


@pytest.mark.parametrize("name", [STARTER, "owner/name", "no such model"])
def test_rules_of_other_models_are_basic_by_the_language_of_the_texts(store, name):
    assert choose(None, name, store, ["ja"]) == ScoringRules("basic")
    assert choose(None, name, store, TURKISH) == ScoringRules("basic+case:tr", language="tr")
    assert choose(None, name, store, AZERI).rules == "basic+case:az"


def test_given_normaliser_stays_and_the_language_is_reported(store, run):
    assert choose("none", run.id, store, TURKISH) == ScoringRules("none")
    assert choose("english", run.id, store, TURKISH) == ScoringRules("english", language="tr")
    assert choose("basic+case:tr", run.id, store, TURKISH) == ScoringRules("basic+case:tr")
