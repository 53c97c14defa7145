"""What is kept for the next epoch changes nothing but the time."""

import numpy as np
import pytest
import torch

from asrkit.audio import load_audio
from asrkit.config import TrainConfig
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.training import data
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
        made = CtcTrainer(store.create(config), config, *reversed(load(str(base), config, TEXTS)), rows, rows[:2])
        made.args.dataloader_num_workers = 0
        return made

    return make


def curve(made):
    made.train()
    return [told.data["loss"] for told in made.run.events()[0] if told.kind in (events.TRAIN, events.EVAL)]


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "data2vec-audio"])
def test_remembered_convolutions_give_the_same_curve(checkpoint, build, kind):
    base = checkpoint(kind)
    made, heard = build(base), []
    convolve = made.encoder_cache.convolve
    made.encoder_cache.convolve = lambda values: heard.append(values.shape) or convolve(values)
    assert curve(made) == pytest.approx(curve(build(base, cache_gb=0)), rel=1e-4)
    training = [shape for shape in heard if shape[0] == 2]
    assert len(training) == 2 + 2, "two batches of the first epoch and two evaluations"


def test_a_memory_that_is_too_small_changes_nothing_either(checkpoint, build):
    base = checkpoint()
    made = build(base)
    made.encoder_cache.frames.free_bytes = (
        50 * 16 * 4
    )  # a second of 16 channels at 50 frames a second: two of four clips at most
    assert curve(made) == pytest.approx(curve(build(base, cache_gb=0)), rel=1e-4)
    assert 1 <= len(made.encoder_cache.frames.entries) <= 2


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
def test_nothing_is_remembered_where_it_would_not_be_the_same(checkpoint, build, changes, settings):
    """A trained encoder, another waveform at every epoch, a norm over the padded clip, frames that are joined later."""
    assert build(checkpoint(**changes), **settings).encoder_cache is None


def test_mel_features_have_no_convolutions_to_remember(checkpoint, build):
    assert build(checkpoint("wav2vec2-bert")).encoder_cache is None


@pytest.mark.parametrize("freeze", ["feature-encoder", "all-but-head"])
def test_no_gradient_is_computed_for_what_is_frozen(checkpoint, freeze):
    """transformers asks for one at the waveform unless told otherwise: a backward pass through every layer for
    nothing."""
    base = checkpoint()
    _, model = load(str(base), TrainConfig(preset="", model=str(base), freeze=freeze), TEXTS)
    made = model.train().base_model.feature_extractor(torch.zeros(1, 4000))
    assert not made.requires_grad


def test_audio_is_decoded_once(checkpoint, build, clips, monkeypatch):
    decoded, real = [], load_audio
    monkeypatch.setattr(data, "load_audio", lambda path, **where: decoded.append(path) or real(path, **where))
    made = build(checkpoint())
    rows, room = made.train_rows, 4 * 16_000
    for kept, times in ((0, 8), (room, 7), (10 * room, 4)):  # a second: the first clip, of 0.9 s
        dataset = SpeechDataset(rows, made.processor, cache_bytes=kept)
        decoded.clear()
        first, second = ([dataset[index]["features"] for index in range(4)] for _ in range(2))
        assert all(map(np.array_equal, first, second))
        assert len(decoded) == times


def test_what_came_first_stays():
    kept = ByteLimitedCache(24)
    for key in "abc":
        kept.get_or_compute(key, lambda: np.zeros(4, np.float32))
    assert list(kept.entries) == ["a"] and kept.free_bytes == 8
