"""Estimates of the steps, time and memory of a run before it starts."""

import json
import math
import struct

import numpy as np
import pytest

from asrkit.config import TrainConfig, load_preset
from asrkit.data import sources
from asrkit.runs import devices, estimate, pace
from asrkit.runs.events import Event
from asrkit.training.batching import LengthBatchSampler

CLIPS = [2.0, 4.0] * 100


@pytest.fixture(autouse=True)
def unmeasured_machine(tmp_path, monkeypatch):
    """One without a GPU, of which nothing is known."""
    monkeypatch.setenv(pace.VARIABLE, str(tmp_path / "pace.json"))
    monkeypatch.setenv(devices.ALLOWED, "cpu")


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


def make_pace(**changes):
    values = {"startup_s": 5.0, "train_speed": 30.0, "eval_speed": 100.0, "parameters": 100_000_000}
    return pace.Pace(**{**values, "freeze": "feature-encoder", **changes})


def predict(config, store):
    return estimate.estimate_run(config, CLIPS, store, eval_s=200.0)


def test_time_is_that_of_an_earlier_run_on_this_machine(config, store):
    """5 epochs of 600 s and 6 evaluations of 200 s; another device and another model are no measure.

    Evaluations during training take a tenth of it and the training, and the last one is on all clips.
    """
    pace.remember(make_pace(train_speed=1.0), "cuda:0")
    pace.remember(make_pace(parameters=5_000_000, train_speed=900.0), "cpu")
    pace.remember(make_pace(train_speed=2.0), "cpu")
    pace.remember(make_pace(), "cpu")
    result = predict(config, store)
    training_s, whole_s = 5 * 600 / 30, 200 / 100
    assert result.seconds == pytest.approx((5 + training_s / 0.9 + whole_s,) * 2)
    for values, evaluating_s in (
        ({"eval_max_clips": -1}, 6 * whole_s),
        ({"eval_on_end": False}, training_s / 9),
        ({"eval_max_clips": 10}, 6 * 10 * 3.0 / 100 + whole_s),
    ):
        seconds = predict(config.replace(values), store).seconds
        assert seconds == pytest.approx((5 + training_s + evaluating_s,) * 2)
    assert result.basis == "as measured on this machine" and "2 min (as measured" in result.describe()


def test_time_is_a_range_until_a_run_was_seen(config, store):
    first = predict(config, store)
    assert first.seconds[0] < first.seconds[1] / 3, "with and without AVX-512"
    pace.remember(make_pace(is_calibration=True), "cpu")
    low, high = predict(config, store).seconds
    assert low < 118 < high and high / low == pytest.approx(1.3**2)
    pace.remember(make_pace(train_speed=25.0), "cpu")
    assert predict(config, store).seconds == pytest.approx((5 + 5 * 600 / 25 + 6 * 200 / 100,) * 2), "within a tenth"


def test_model_of_another_size_is_scaled(config, store):
    pace.remember(make_pace(parameters=50_000_000, train_speed=60.0, eval_speed=200.0), "cpu")
    low, high = predict(config, store).seconds
    expected_s = 5 + 100 / 0.9 + 2
    assert low == pytest.approx(expected_s / 2) and high == pytest.approx(expected_s * 2)


@pytest.mark.parametrize(("step_s", "eval_s"), [(0.09, 2.0), (0.36, 7.0)])
def test_forecast_of_the_demo_is_right_within_thirty_percent(store, step_s, eval_s):
    """The run that it is measured by is replayed with timings of processors with and without AVX-512."""
    config = load_preset("demo").config
    source = sources.load("callsigns")
    lengths_s, eval_audio_s = ([row.duration_s for row in rows] for rows in (source.train, source.eval))
    history = [Event("phase", 1.0, data={"phase": "loading", "begins": True}, elapsed_s=0.0)]
    history.append(Event("started", 5.0, 0, data={"parameters": 5_441_821}, elapsed_s=6.0))
    elapsed_s, rng = 6.0, np.random.default_rng(0)
    for step in range(477):
        if step % 100 == 0 or step == 476:
            data = {"audio_seconds": sum(eval_audio_s), "seconds": eval_s}
            elapsed_s += eval_s
            history.append(Event("eval", 5.0, step, data=data, elapsed_s=elapsed_s))
        if step % 5 == 0:
            took_s = 5 * step_s * rng.uniform(0.7, 1.3)
            elapsed_s += took_s
            rate = 5 * sum(lengths_s) / 68 / took_s  # 68 batches in an epoch
            history.append(Event("train", 5.0, step, data={"audio_seconds_per_second": rate}, elapsed_s=elapsed_s))
    pace.remember(pace.measure(history, config.freeze), "cpu")
    low, high = estimate.estimate_run(config, lengths_s, store, sum(eval_audio_s)).seconds
    assert low == high == pytest.approx(elapsed_s, rel=0.3)


def test_describe_estimate():
    result = [
        estimate.Estimate(2**30, steps, seconds, "as before").describe()
        for steps, seconds in ((1, (20.4, 20.4)), (12_345, (4000.0, 4001.0)), (9, (46.0, 187.0)), (9, None))
    ]
    assert [each.partition(" (")[0] for each in result] == [
        "About 1 step, 20 s",
        "About 12,345 steps, 1 h 7 min",
        "About 9 steps, 45 s to 3 min 10 s",
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
