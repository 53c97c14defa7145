import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import parametrize

from asrkit.audio import SAMPLING_RATE
from asrkit.data.batch_cuts import fill_batches
from asrkit.models import memory_format, weights
from asrkit.transcription import inference_threads
from asrkit.transcription.engine import Engine
from asrkit.transcription.transcriber import Transcriber
from tests.support import tiny
from tests.support.noise import make_noise


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_batching_does_not_change_scores(tmp_path, norm):
    """Padding changes nothing, whether the model was trained with a mask or not."""
    folder = tiny.write_checkpoint(tmp_path / norm, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer")
    if norm == "group":
        data = json.loads((folder / "processor_config.json").read_text())
        data["feature_extractor"]["return_attention_mask"] = False
        (folder / "processor_config.json").write_text(json.dumps(data))
    engine = Engine(str(folder))
    clips = [
        make_noise(length, seed).samples
        for seed, length in enumerate([16_000, 399, 15_999, 14_000, 90_000, 400, 14_000, 0, 13_000, 88_123])
    ]
    together = engine.log_probabilities(clips)
    for clip, found in zip(clips, together, strict=True):
        (alone,) = engine.log_probabilities([clip])
        assert found.shape == alone.shape
        np.testing.assert_allclose(found, alone, atol=1e-4)
    assert [len(found) for found in together][1:8:6] == [0, 0]


@pytest.mark.parametrize("length", [400, 8_000, 8_001, 15_999, 21_000])
def test_padding_of_a_clip_that_is_alone_changes_nothing(checkpoint, length):
    """Such a clip is padded in bfloat16, where two of the same length are not."""
    engine, clip = Engine(str(checkpoint), "cpu", torch.bfloat16), make_noise(length).samples
    (alone,), (together, _) = engine.log_probabilities([clip]), engine.log_probabilities([clip, clip])
    assert len(alone) == engine.anatomy.num_frames(length)
    np.testing.assert_allclose(alone, together, atol=0.02)


@given(st.lists(st.integers(0, 30 * SAMPLING_RATE), max_size=30))
def test_batches_hold_every_clip_once_with_similar_lengths(lengths):
    groups = fill_batches(lengths, 24 * SAMPLING_RATE, 0.8, min_length=400)
    assert sorted(index for group in groups for index in group) == [
        index for index, length in enumerate(lengths) if length >= 400
    ]
    for group in groups:
        inside = [lengths[index] for index in group]
        assert min(inside) >= 0.8 * max(inside)
        assert len(inside) == 1 or len(inside) * max(inside) <= 24 * SAMPLING_RATE


class FullGpuEngine(Engine):
    """Pretends to be on a GPU that is full at every batch."""

    def _place_model(self, device):
        super()._place_model("cpu")
        self.device = torch.device(device)

    def _infer(self, batch, num_threads):
        if self.device.type == "cuda":
            raise torch.OutOfMemoryError("full")
        return super()._infer(batch, num_threads)


def test_full_gpu_falls_back_to_the_cpu(checkpoint, monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    engine = FullGpuEngine(str(checkpoint), "cuda")
    (there,), (here,) = (
        one.log_probabilities([make_noise(SAMPLING_RATE).samples]) for one in (engine, Engine(str(checkpoint)))
    )
    assert engine.device.type == "cpu"
    np.testing.assert_array_equal(there, here)


class SmallGpuEngine(FullGpuEngine):
    """Pretends to be on a GPU with memory for two clips."""

    def __init__(self, *arguments):
        self.sizes = []
        super().__init__(*arguments)

    def _infer(self, batch, num_threads):
        self.sizes.append(len(batch.clips))
        if len(batch.clips) > 2:
            raise torch.OutOfMemoryError("full")
        self.device = torch.device("cpu")
        scores = super()._infer(batch, num_threads)
        self.device = torch.device("cuda")
        return scores


def test_batch_that_does_not_fit_is_divided_and_the_model_stays_on_the_gpu(checkpoint, monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    engine = SmallGpuEngine(str(checkpoint), "cuda")
    clips = [make_noise(SAMPLING_RATE, seed).samples for seed in range(8)]
    found = engine.log_probabilities(clips)
    assert engine.sizes == [8, 4, 2, 2, 4, 2, 2] and engine.device.type == "cuda"
    for scores, expected in zip(found, Engine(str(checkpoint)).log_probabilities(clips), strict=True):
        np.testing.assert_allclose(scores, expected, atol=1e-4)
    engine.sizes.clear()
    engine.log_probabilities(clips)
    assert engine.sizes == [2, 2, 2, 2], "the next batches are smaller from the start"


def test_model_that_returns_to_the_gpu_uses_its_own_format(checkpoint, monkeypatch):
    moved = []
    monkeypatch.setattr(
        torch.nn.Module, "to", lambda self, device, dtype: moved.append(torch.device(device).type) or self
    )
    engine = Engine(str(checkpoint), "cuda")

    def describe():
        num_replaced = sum("forward" in vars(one) for one in engine.model.modules())
        return memory_format.find(engine.model), engine.model.config._attn_implementation, num_replaced

    own = describe()
    assert own == ("products", "sdpa", 7)
    engine.move_to("cpu")
    assert describe() == ("channels-last", "eager", 7)
    engine.move_to("cuda")
    assert describe() == own and moved == ["cuda", "cpu", "cuda"]


def test_model_too_large_for_the_gpu_stays_on_the_cpu(checkpoint, monkeypatch):
    real = torch.nn.Module.to

    def to(self, device, *others):
        if torch.device(device).type == "cuda":
            raise torch.OutOfMemoryError("full")
        return real(self, device, *others)

    monkeypatch.setattr(torch.nn.Module, "to", to)
    engine = Engine(str(checkpoint), "cuda")
    assert engine.device.type == "cpu" and len(engine.log_probabilities([make_noise(SAMPLING_RATE).samples])[0])


def test_weights_are_calculated_once_not_at_every_batch(checkpoint):
    """The convolution over positions has its weights as direction and length; the scores are the same."""
    engine, clip = Engine(str(checkpoint), "cpu", torch.float32), make_noise(SAMPLING_RATE).samples
    plain, missing = weights.load_model(checkpoint, weights.load_config(checkpoint))
    assert any(map(parametrize.is_parametrized, plain.modules())) and not missing
    assert not any(map(parametrize.is_parametrized, engine.model.modules()))
    (found,) = engine.log_probabilities([clip])
    engine.model = plain.eval()
    (expected,) = engine.log_probabilities([clip])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_half_precision_weights_load_as_float32(tmp_path):
    folder = tiny.write_checkpoint(tmp_path / "half")
    from transformers import AutoModelForCTC

    AutoModelForCTC.from_pretrained(folder).half().save_pretrained(folder)
    transcriber = Transcriber(str(folder))
    assert {part.dtype for part in transcriber.engine.model.parameters()} == {torch.float32}
    assert not transcriber.engine.model.training


def test_one_thread_runs_all_single_batches(transcriber, monkeypatch):
    """Each thread that calculates keeps memory of its own as long as it lives."""
    seen, real = set(), Engine._infer

    def infer(self, batch, num_threads):
        seen.add(threading.get_ident())
        return real(self, batch, num_threads)

    monkeypatch.setattr(Engine, "_infer", infer)
    callers = [
        threading.Thread(target=transcriber.transcribe, args=[make_noise(SAMPLING_RATE, seed)]) for seed in range(3)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(seen) == 1 and not seen & {caller.ident for caller in callers}
    monkeypatch.setattr(Engine, "_infer", lambda self, batch, num_threads: 1 / 0)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
        pool.submit(transcriber.transcribe, make_noise(SAMPLING_RATE)).result()


def test_batches_on_the_cpu_run_side_by_side_on_a_thread_each(checkpoint, monkeypatch):
    """Two batches meet in the model; one alone uses all threads, if it is worth it."""
    engine, meeting, used, real = Engine(str(checkpoint)), threading.Barrier(2, timeout=60), [], Engine._infer
    monkeypatch.setattr(inference_threads, "_pools", {})
    monkeypatch.setattr("asrkit.transcription.engine.ALL_THREADS", 2)
    engine.num_threads = 2
    clips = [make_noise(SAMPLING_RATE, seed).samples for seed in range(2)]
    expected = engine.log_probabilities(clips[:1])

    def infer(self, batch, num_threads):
        used.append(num_threads)
        if num_threads == 1:
            meeting.wait()
        return real(self, batch, num_threads)

    monkeypatch.setattr(Engine, "_infer", infer)
    together = engine.log_probabilities(clips)
    assert used == [1, 1] and not meeting.broken
    np.testing.assert_allclose(together[0], expected[0], atol=1e-4)
    monkeypatch.setattr("asrkit.transcription.engine.MIN_SHARED_WORK", engine.num_parameters)
    engine.log_probabilities(clips[:1])
    assert used[2:] == [2]
    monkeypatch.undo()
    monkeypatch.setattr(
        Engine, "_infer", lambda self, batch, num_threads: used.append(num_threads) or real(self, batch, 1)
    )
    engine.log_probabilities(clips[:1])
    assert used[3:] == [1]


class OverlappingEngine(Engine):
    """Pretends to be on a GPU; a batch is computed only once the next is prepared and the last one is decoded."""

    def __init__(self, *arguments):
        self.is_prepared = [threading.Event() for _ in range(4)]
        self.is_decoded = [threading.Event() for _ in range(4)]
        self.num_prepared = self.num_computed = 0
        super().__init__(*arguments)

    def _place_model(self, device):
        super()._place_model("cpu")
        self.device, self.max_batch_s = torch.device("cuda"), 1.0

    def _prepare(self, indices, clips):
        batch = super()._prepare(indices, clips)
        self.is_prepared[self.num_prepared].set()
        self.num_prepared += 1
        return batch

    def _infer(self, batch, num_threads):
        number, self.num_computed = self.num_computed, self.num_computed + 1
        assert number == 3 or self.is_prepared[number + 1].wait(60), "the next batch is prepared meanwhile"
        assert number == 0 or self.is_decoded[number - 1].wait(60), "the last batch is decoded meanwhile"
        return [np.full((1, self.num_tokens), number, np.float32)]


def test_next_batch_is_prepared_and_last_one_decoded_while_a_gpu_computes(checkpoint):
    engine = OverlappingEngine(str(checkpoint), "cuda")
    found = []
    for number, (_, scores) in enumerate(engine.iter_log_probabilities([make_noise(SAMPLING_RATE).samples] * 4)):
        found.append(scores[0, 0])
        engine.is_decoded[number].set()
    assert found == [0, 1, 2, 3]
