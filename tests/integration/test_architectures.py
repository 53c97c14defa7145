"""Every model family from training to transcription, and compiled training."""

import functools
import math

import numpy as np
import pytest
from safetensors.torch import load_file
from transformers import TrainingArguments

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.config import TrainConfig
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.training import arguments
from asrkit.training.model import load, reload
from asrkit.training.trainer import CtcTrainer
from asrkit.transcription.transcriber import Transcriber
from tests.support.checkpoints import write_checkpoint, write_noise_clips

GROUP_NORM = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
ARCHITECTURES = {
    "wav2vec2": ("wav2vec2", {}, {}),
    "wav2vec2 with group norm": ("wav2vec2", GROUP_NORM, {}),
    "MMS, adapters only": ("wav2vec2", {"adapter_attn_dim": 4}, {"freeze": "all-but-adapters"}),
    "hubert": ("hubert", {}, {}),
    "wavlm": ("wavlm", {}, {}),
    "data2vec-audio": ("data2vec-audio", {}, {}),
    "w2v-BERT": ("wav2vec2-bert", {}, {}),
}
TEXTS = ("ab", "a cab bad", "deed", "c")


@pytest.fixture
def rows(tmp_path):
    return write_noise_clips(tmp_path, 0.9, 0.4, 0.7, 0.55, texts=TEXTS)


def make_config(base, **changes):
    settings = {
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
    }
    return TrainConfig(**settings | changes)


def make_trainer(run, config, loaded, rows):
    processor, model = loaded
    trainer = CtcTrainer(run, config, model, processor, rows, rows[:2])
    trainer.args.dataloader_num_workers = 0
    return trainer


def train_losses(run):
    return {event.step: event.data["loss"] for event in run.events()[0] if event.kind == events.TRAIN}


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architecture_trains_resumes_and_transcribes(rows, tmp_path, architecture, head):
    kind, changes, settings = ARCHITECTURES[architecture]
    base = write_checkpoint(tmp_path / "base", kind, head=head, **changes)
    config = make_config(base, mask_time_prob=0.05, mask_time_length=2, **settings)
    run = RunStore(tmp_path / "runs").create(config)
    make_trainer(run, config, load(str(base), config, TEXTS), rows).train()
    losses = train_losses(run)
    assert sorted(losses) == [1, 2, 3, 4] and all(map(math.isfinite, losses.values()))
    halfway = run.checkpoints()[0]
    assert halfway.name == "checkpoint-2"
    resumed = make_trainer(run, config, reload(halfway, config), rows)
    resumed.train(resume_from_checkpoint=str(halfway))
    assert train_losses(run)[4] == pytest.approx(losses[4], rel=1e-3), "a resumed run continues the same curve"
    noise = np.random.default_rng(0).standard_normal(SAMPLING_RATE).astype(np.float32)
    transcript = Transcriber(str(run.model_dir)).transcribe(Waveform(0.1 * noise))
    assert set(transcript.text) <= set("abcde ")


@pytest.mark.parametrize("freeze", ["nothing", "feature-encoder"])
def test_compiled_training_gives_the_same_losses_and_plain_checkpoints(rows, tmp_path, monkeypatch, freeze):
    """Traced by torch.compile but run eagerly: compiling for the processor would take a minute."""
    base = write_checkpoint(tmp_path / "base")
    store = RunStore(tmp_path / "runs")
    changes = {"freeze": freeze, "head_first_steps": 1, "save_steps": 2, "max_steps": 3, "train_batch_size": 4}

    def train(run=None, checkpoint=None, **more):
        config = make_config(base, **changes, **more)
        trainer = make_trainer(run or store.create(config), config, load(str(base), config, TEXTS), rows)
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer

    def losses(trainer):
        return [event.data["loss"] for event in trainer.run.events()[0] if event.kind in (events.TRAIN, events.EVAL)]

    plain = train()
    traced = functools.partial(TrainingArguments, torch_compile_backend="eager")
    monkeypatch.setattr(arguments, "TrainingArguments", traced)
    compiled = train(torch_compile=True)
    assert type(compiled.model_wrapped).__name__ == "OptimizedModule"
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-3)
    for folder in (compiled.run.model_dir, compiled.run.checkpoints()[0]):
        names = set(load_file(folder / "model.safetensors"))
        assert names == {name.removeprefix("_orig_mod.") for name in compiled.model.state_dict()}
    resumed = train(compiled.run, str(compiled.run.checkpoints()[0]), torch_compile=True)
    assert losses(resumed)[-1] == pytest.approx(losses(plain)[-1], rel=1e-3)
