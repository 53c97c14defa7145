"""Every shipped preset trains."""

import math

import pytest

from asrkit import config as configs
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.training.model import load
from asrkit.training.trainer import CtcTrainer
from tests.support.checkpoints import PIECE_FAMILIES

ARCHITECTURES = {"omniasr": "omniasr_ctc", "parakeet": "parakeet_ctc", "w2v-bert": "wav2vec2-bert"}
TEXTS = ("ab", "a cab bad", "deed", "c")


@pytest.mark.parametrize("name", configs.list_presets())
def test_preset_trains_for_two_steps(checkpoint, clips, tmp_path, name):
    """On a tiny model of its architecture, with all its settings but the data and the number of steps."""
    preset = configs.load_preset(name).config
    kind = ARCHITECTURES.get(name, "wav2vec2")
    base = checkpoint(kind, head=preset.model == "starter" or kind in PIECE_FAMILIES)
    config = preset.replace({"model": str(base), "max_steps": 2, "logging_steps": 1})
    run = RunStore(tmp_path / "runs").create(config)
    processor, model = load(str(base), config, TEXTS)
    rows = clips(1.4, 0.9, 1.2, 1.05, texts=TEXTS)
    trainer = CtcTrainer(run, config, model, processor, rows, rows[:2])
    trainer.args.dataloader_num_workers = 0
    trainer.train()
    losses = {event.step: event.data["loss"] for event in run.events()[0] if event.kind == events.TRAIN}
    assert sorted(losses) == [1, 2] and all(map(math.isfinite, losses.values()))
    assert run.has_model() or not config.eval_on_start
