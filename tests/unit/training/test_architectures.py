"""Every kind of model and every shipped recipe, through the whole of it: train, save, go on, listen."""

import math

import numpy as np
import pytest

from asrkit import config as configs
from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.config import TrainConfig
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.training.model import load, reload
from asrkit.training.trainer import CtcTrainer
from asrkit.transcription.transcriber import Transcriber

KINDS = {
    "wav2vec2": ("wav2vec2", {}, {}),
    "wav2vec2 with group norm": ("wav2vec2", {"feat_extract_norm": "group", "do_stable_layer_norm": False}, {}),
    "MMS, adapters only": ("wav2vec2", {"adapter_attn_dim": 4}, {"freeze": "all-but-adapters"}),
    "hubert": ("hubert", {}, {}),
    "wavlm": ("wavlm", {}, {}),
    "data2vec-audio": ("data2vec-audio", {}, {}),
    "w2v-BERT": ("wav2vec2-bert", {}, {}),
}
TEXTS = ("ab", "a cab bad", "deed", "c")


def trainer(run, config, parts, rows):
    processor, model = parts
    made = CtcTrainer(run, config, model, processor, rows, rows[:2])
    made.args.dataloader_num_workers = 0
    return made


def losses(run):
    return {told.step: told.data["loss"] for told in run.events()[0] if told.kind == events.TRAIN}


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_resumes_and_transcribes(checkpoint, clips, tmp_path, kind, head):
    family, changes, settings = KINDS[kind]
    base, rows = checkpoint(family, head=head, **changes), clips(0.9, 0.4, 0.7, 0.55, texts=TEXTS)
    values = {
        "preset": "",
        "model": str(base),
        "freeze": "nothing",
        "mixed_precision": "no",
        "train_batch_size": 2,
        "learning_rate": 1e-3,
        "eval_steps": 2,
        "logging_steps": 1,
        "eval_on_start": False,
        "max_steps": 4,
        "mask_time_prob": 0.05,
        "mask_time_length": 2,
        **settings,
    }
    config, run = TrainConfig(**values), RunStore(tmp_path / "runs").create(TrainConfig(**values))
    trainer(run, config, load(str(base), config, TEXTS), rows).train()
    whole = losses(run)
    assert sorted(whole) == [1, 2, 3, 4] and all(map(math.isfinite, whole.values()))
    halfway = run.checkpoints()[0]
    assert halfway.name == "checkpoint-2"
    trainer(run, config, reload(halfway, config), rows).train(resume_from_checkpoint=str(halfway))
    assert losses(run)[4] == pytest.approx(whole[4], rel=1e-3), "resumed, it goes on as if nothing had happened"
    noise = np.random.default_rng(0).standard_normal(SAMPLING_RATE).astype(np.float32)
    heard = Transcriber(str(run.model_dir)).transcribe(Waveform(0.1 * noise))
    assert set(heard.text) <= set("abcde ")


@pytest.mark.parametrize("name", configs.list_presets())
def test_every_preset_trains_for_two_steps(checkpoint, clips, tmp_path, name):
    """On a tiny model of its architecture, with all its settings but the data and the number of steps."""
    shipped = configs.load_preset(name).config
    base = checkpoint("wav2vec2", head=shipped.model == "starter")
    config = shipped.replace({"model": str(base), "max_steps": 2, "logging_steps": 1})
    run = RunStore(tmp_path / "runs").create(config)
    made = trainer(run, config, load(str(base), config, TEXTS), clips(0.9, 0.4, 0.7, 0.55, texts=TEXTS))
    made.train()
    assert sorted(losses(run)) == [1, 2] and all(map(math.isfinite, losses(run).values()))
    assert run.has_model() or not config.eval_on_start
