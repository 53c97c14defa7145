"""Estimates of the steps, time and memory of a run before it starts."""

import json
import math
import struct

import numpy as np
import pytest

from asrkit.config import TrainConfig
from asrkit.runs import devices, estimate
from asrkit.runs.events import Event
from asrkit.training.batching import LengthBatchSampler

CLIPS = [2.0, 4.0] * 100


@pytest.fixture
def config(base):
    """A config whose base model has the safetensors header of a hundred million weights."""
    settings = {
        "model_type": "wav2vec2",
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "intermediate_size": 3072,
        "conv_dim": [512] * 7,
        "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    }
    (base / "config.json").write_text(json.dumps(settings))
    head = json.dumps({"__metadata__": {}, "a": {"shape": [10_000, 10_000], "dtype": "F32"}}).encode()
    (base / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head)
    return TrainConfig(preset="", model=str(base), batch_seconds=30)


def test_steps_time_and_memory_of_an_epoch(config, store):
    result = estimate.estimate_run(config, CLIPS, store)
    assert result.steps == 110  # 22 batches of at most 30 s, padding included
    assert estimate.estimate_run(config.replace({"max_steps": 7}), CLIPS, store).steps == 7
    assert 2e9 < result.memory_bytes < 3.5e9  # 1.6 GB for the weights and Adam, 0.8 for the activations of 30 s in bf16


def test_nested_settings_of_the_encoder_are_read(config, store, base):
    """omniASR keeps them in `audio_config`; its frames are those of wav2vec2."""
    before = estimate.estimate_run(config, CLIPS, store)
    settings = json.loads((base / "config.json").read_text())
    nested = {"model_type": "omniasr_ctc", "audio_config": settings}
    (base / "config.json").write_text(json.dumps(nested))
    assert estimate.estimate_run(config, CLIPS, store) == before
    coarse = {"model_type": "parakeet_ctc", "encoder_config": settings}
    (base / "config.json").write_text(json.dumps(coarse))
    assert estimate.estimate_run(config, CLIPS, store).memory_bytes < before.memory_bytes, "a quarter of the frames"


@pytest.mark.parametrize(
    ("change", "less"),
    [
        ({"freeze": "all-but-head"}, True),
        ({"batch_seconds": 60}, False),
        ({"mixed_precision": "no"}, False),
        ({"gradient_checkpointing": True}, True),
        ({"freeze": "nothing"}, False),
        ({"freeze": "lora"}, True),
        ({"optimizer": "adamw-8bit"}, True),
    ],
)
def test_settings_change_the_memory(config, store, change, less):
    before = estimate.estimate_run(config, CLIPS, store).memory_bytes
    after = estimate.estimate_run(config.replace(change), CLIPS, store).memory_bytes
    assert (after < before) == less


def test_memory_follows_the_precision_that_auto_means_here(config, store, monkeypatch):
    monkeypatch.setenv(devices.ALLOWED, "cpu")
    memory = {}
    for native in (True, False):
        monkeypatch.setattr(estimate, "has_native_bf16", lambda native=native: native)
        memory[native] = [
            estimate.estimate_run(config.replace({"mixed_precision": name}), CLIPS, store).memory_bytes
            for name in ("auto", "bf16", "fp16", "no")
        ]
    auto, half, unavailable, full = memory[True]
    assert auto == half < full == unavailable, "fp16 needs a GPU"
    assert memory[False] == [full, half, full, full]
    monkeypatch.setenv(devices.ALLOWED, "cuda:0")
    assert estimate.estimate_run(config, CLIPS, store).memory_bytes == half


def test_batch_with_all_clips_is_described(config, store):
    usual, all_clips = (
        estimate.estimate_run(config.replace({"batch_seconds": seconds}), CLIPS, store) for seconds in (60, 10_000)
    )
    assert "holds all clips" in all_clips.describe() and "holds all clips" not in usual.describe()
    largest = estimate.estimate_run(config.replace({"batch_seconds": 800}), CLIPS, store)
    assert all_clips.memory_bytes == largest.memory_bytes, "200 clips, padded to 4 s"


def test_higher_lora_rank_takes_more_memory(config, store):
    small, large = (
        estimate.estimate_run(config.replace({"freeze": "lora", "lora_rank": rank}), CLIPS, store).memory_bytes
        for rank in (8, 64)
    )
    assert large - small == 12 * 56 * 12 * (8 * 768 + 2 * (768 + 3072))  # 12 bytes a weight of 12 layers


def test_time_comes_from_an_earlier_run(config, store):
    run = store.create(config, "20260101-000000-before")
    run.append(Event("train", 1.0, 1, data={"loss": 1.0, "audio_seconds_per_second": 20.0}))
    run.append(Event("train", 2.0, 2, data={"loss": 1.0, "audio_seconds_per_second": 40.0}))
    result = estimate.estimate_run(config, CLIPS, store)
    assert result.seconds == 5 * 600 / 30 and result.basis == "as in run 20260101-000000-before"


def test_describe_estimate():
    result = [
        estimate.Estimate(2**30, steps, seconds, "as before").describe()
        for steps, seconds in ((1, 20.4), (12_345, 4000.0), (9, 1e6), (9, None))
    ]
    assert [each.partition(" (")[0] for each in result] == [
        "About 1 step, 20 s",
        "About 12,345 steps, 1 h 7 min",
        "About 9 steps, 11 d 13 h",
        "About 9 steps",
    ]
    assert result[0].endswith("(as before), and 1.0 GB of memory for the model and a batch.")


def test_estimate_is_none_without_weights_or_clips(config, store, base):
    assert estimate.estimate_run(config.replace({"model": "facebook/wav2vec2-base"}), CLIPS, store) is None
    assert estimate.estimate_run(config, [], store) is None
    (base / "model.safetensors").unlink()
    (base / "pytorch_model.bin").write_bytes(b"weights")
    assert estimate.estimate_run(config, CLIPS, store) is None


@pytest.mark.parametrize(
    "change",
    [{}, {"batch_seconds": 0, "train_batch_size": 7}, {"gradient_accumulation_steps": 3}, {"num_epochs": 0.5}],
)
def test_forecast_has_the_steps_of_the_run(config, store, change):
    """Clips of several lengths are padded, so that a batch holds fewer of them than their mean length says."""
    clips = [float(length) for length in np.random.default_rng(0).uniform(0.5, 9, 300)]
    config = config.replace(change)
    sampler = LengthBatchSampler(clips, batch_seconds=config.batch_seconds, batch_size=config.train_batch_size, seed=1)
    updates = math.ceil(len(sampler) / config.gradient_accumulation_steps)
    assert estimate.estimate_run(config, clips, store).steps == math.ceil(updates * config.num_epochs)
