"""Caches do not change results."""

import numpy as np
import pytest
import torch

from asrkit.audio.confined import AudioReader
from asrkit.config import TrainConfig
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.training.cache import ByteLimitedCache
from asrkit.training.data import SpeechDataset
from asrkit.training.model import load
from asrkit.training.trainer import CtcTrainer

TEXTS = ("ab", "a cab bad", "deed", "c")


@pytest.fixture
def build(checkpoint, clips, tmp_path):
    rows, store = clips(0.9, 0.4, 0.7, 0.55, texts=TEXTS), RunStore(tmp_path / "runs")

    def make(base, **changes):
        config = TrainConfig(
            **{
                "preset": "",
                "model": str(base),
                "freeze": "feature-encoder",
                "mixed_precision": "no",
                "max_steps": 6,
                "train_batch_size": 2,
                "learning_rate": 1e-2,
                "logging_steps": 1,
                "eval_on_start": False,
                "eval_steps": 3,
                "mask_time_prob": 0.05,
                "mask_time_length": 2,
                "cache_gb": 1,
                **changes,
            }
        )
        trainer = CtcTrainer(store.create(config), config, *reversed(load(str(base), config, TEXTS)), rows, rows[:2])
        trainer.args.dataloader_num_workers = 0
        return trainer

    return make


def curve(trainer):
    trainer.train()
    return [event.data["loss"] for event in trainer.run.events()[0] if event.kind in (events.TRAIN, events.EVAL)]


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "data2vec-audio"])
def test_encoder_cache_keeps_the_loss_curve(checkpoint, build, kind):
    base = checkpoint(kind)
    trainer, computed = build(base), []
    convolve = trainer.encoder_cache.convolve
    trainer.encoder_cache.convolve = lambda values: computed.append(values.shape) or convolve(values)
    assert curve(trainer) == pytest.approx(curve(build(base, cache_gb=0)), rel=1e-4)
    training, evaluated = ([shape for shape in computed if shape[0] == size] for size in (2, 1))
    assert len(training) == 2, "two batches of the first epoch"
    assert len(evaluated) == 4, "two evaluations of two clips, whose lengths differ too much for a batch"


def test_full_encoder_cache_keeps_the_loss_curve(checkpoint, build):
    base = checkpoint()
    trainer = build(base)
    trainer.encoder_cache.frames.free_bytes = (
        50 * 16 * 4
    )  # a second of 16 channels at 50 frames a second: two of four clips at most
    assert curve(trainer) == pytest.approx(curve(build(base, cache_gb=0)), rel=1e-4)
    assert 1 <= len(trainer.encoder_cache.frames.entries) <= 2


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({}, {"freeze": "nothing"}),
        ({}, {"augmentation": "light"}),
        ({}, {"cache_gb": 0}),
        ({"feat_extract_norm": "group", "do_stable_layer_norm": False}, {}),
        ({"add_adapter": True}, {}),
    ],
)
def test_encoder_cache_is_off_where_it_is_not_exact(checkpoint, build, changes, settings):
    """A trained encoder, another waveform at every epoch, a norm over the padded clip, frames that are joined later."""
    assert build(checkpoint(**changes), **settings).encoder_cache is None


def test_encoder_cache_is_off_for_mel_features(checkpoint, build):
    assert build(checkpoint("wav2vec2-bert")).encoder_cache is None


@pytest.mark.parametrize("freeze", ["feature-encoder", "all-but-head"])
def test_frozen_encoder_computes_no_gradient(checkpoint, freeze):
    """transformers asks for one at the waveform unless this is disabled: a backward pass through every layer for
    nothing."""
    base = checkpoint()
    _, model = load(str(base), TrainConfig(preset="", model=str(base), freeze=freeze), TEXTS)
    trainer = model.train().base_model.feature_extractor(torch.zeros(1, 4000))
    assert not trainer.requires_grad


def test_cached_audio_is_decoded_once(checkpoint, build, clips, monkeypatch):
    decoded, real = [], AudioReader.load

    def load_and_count(reader, path, **part):
        decoded.append(path)
        return real(reader, path, **part)

    monkeypatch.setattr(AudioReader, "load", load_and_count)
    trainer = build(checkpoint())
    rows, room = trainer.train_rows, 4 * 16_000
    for kept, times in ((0, 8), (room, 7), (10 * room, 4)):  # a second: the first clip, of 0.9 s
        dataset = SpeechDataset(rows, trainer.processor, cache_bytes=kept)
        decoded.clear()
        first, second = ([dataset[index]["features"] for index in range(4)] for _ in range(2))
        assert all(map(np.array_equal, first, second))
        assert len(decoded) == times


def test_full_cache_keeps_first_entries():
    kept = ByteLimitedCache(24)
    for key in "abc":
        kept.get_or_compute(key, lambda: np.zeros(4, np.float32))
    assert list(kept.entries) == ["a"] and kept.free_bytes == 8
