import gc
import json
import os
import threading
import types
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.decoding import alignment
from asrkit.decoding.hints import DecodingHints
from asrkit.errors import ModelError
from asrkit.runs.store import RunStore
from asrkit.transcription import gpu, model_cache
from asrkit.transcription.engine import Engine, make_batches
from asrkit.transcription.model_cache import get_transcriber
from asrkit.transcription.transcriber import MAX_CLIP_S, OVERLAP_S, Transcriber, split_windows
from tests.support import tiny
from tests.support.waiting import wait_for

SIZE, OVERLAP = int(MAX_CLIP_S * SAMPLING_RATE), int(OVERLAP_S * SAMPLING_RATE)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A random model whose output layer is scaled up, so that it emits many letters."""
    folder = tiny.write_checkpoint(tmp_path_factory.mktemp("base") / "tiny")
    from transformers import AutoModelForCTC

    model = AutoModelForCTC.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight.normal_(0, 20, generator=torch.Generator().manual_seed(2))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def transcriber(checkpoint):
    return Transcriber(str(checkpoint))


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(model_cache, "_cached", {})
    return RunStore(tmp_path / "runs")


def noise(samples, seed=0):
    return Waveform((0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32))


# Windows


@given(st.integers(0, 40 * SIZE))
@example(399)
@example(400)
@example(SIZE)
@example(SIZE + 1)
@example(2 * SIZE - OVERLAP)
@example(2 * SIZE - OVERLAP + 1)
def test_windows_cover_every_sample_once(samples):
    spans = list(split_windows(samples))
    if samples < 400:
        assert spans == []
        return
    edges = [(keep_from, keep_to) for _, _, keep_from, keep_to in spans]
    assert edges[0][0] == 0 and edges[-1][1] == samples
    assert all(before[1] == after[0] for before, after in zip(edges, edges[1:], strict=False))
    for start, stop, keep_from, keep_to in spans:
        assert 0 <= start <= keep_from < keep_to <= stop <= samples
        assert stop - start <= SIZE
        assert keep_from - start == (OVERLAP // 2 if start else 0), "kept samples have context before them"
        assert stop - keep_to == (0 if stop == samples else OVERLAP // 2)


def test_windows_of_a_minute():
    second = SAMPLING_RATE
    assert list(split_windows(60 * second)) == [
        (0, 24 * second, 0, 22 * second),
        (20 * second, 44 * second, 22 * second, 42 * second),
        (40 * second, 60 * second, 42 * second, 60 * second),
    ]


# Transcribing


def test_clip_without_a_frame_has_no_words(transcriber):
    for samples in (1, 100, 399):
        transcript = transcriber.transcribe(noise(samples))
        assert (transcript.text, transcript.words) == ("", []) and transcript.duration_s == samples / SAMPLING_RATE


@pytest.mark.parametrize("samples", [400, 719, 16_000, 5 * SAMPLING_RATE, SIZE + SAMPLING_RATE, 2 * SIZE + 12_345])
def test_words_are_in_order_within_the_recording(transcriber, samples):
    transcript = transcriber.transcribe(noise(samples))
    assert transcript.text == " ".join(word.word for word in transcript.words)
    assert transcript.duration_s == samples / SAMPLING_RATE
    for word in transcript.words:
        assert word.word and 0 <= word.start_s < word.end_s <= transcript.duration_s + 1e-6 and 0 < word.confidence <= 1
    for before, after in zip(transcript.words, transcript.words[1:], strict=False):
        assert before.end_s <= after.start_s


def test_long_recording_is_transcribed_to_its_end(transcriber):
    whole = noise(3 * SIZE)
    loudness = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * np.arange(3 * SIZE) / SAMPLING_RATE)  # a steady level is background
    transcript = transcriber.transcribe(Waveform((whole.samples * loudness).astype(np.float32)))
    starts = np.array([word.start_s for word in transcript.words])
    assert np.histogram(starts, bins=9, range=(0, transcript.duration_s))[0].min() > 10


def test_window_scores_equal_those_of_the_window_alone(transcriber):
    """The first of three windows gives the scores of 22 s; they equal those of the first 24 s alone."""
    whole = noise(3 * SIZE)
    first, early = (
        transcriber.log_probabilities(Waveform(whole.samples[:SIZE])),
        transcriber.log_probabilities(whole),
    )
    frames = round(21.9 / 24 * len(first))
    np.testing.assert_allclose(early[:frames], first[:frames], atol=1e-4)


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
        noise(length, seed).samples
        for seed, length in enumerate([16_000, 399, 15_999, 14_000, 90_000, 400, 14_000, 0, 13_000, 88_123])
    ]
    together = engine.log_probabilities(clips)
    for clip, found in zip(clips, together, strict=True):
        (alone,) = engine.log_probabilities([clip])
        assert found.shape == alone.shape
        np.testing.assert_allclose(found, alone, atol=1e-4)
    assert [len(found) for found in together][1:8:6] == [0, 0]


@given(st.lists(st.integers(0, 30 * SAMPLING_RATE), max_size=30))
def test_batches_hold_every_clip_once_with_similar_lengths(lengths):
    groups = make_batches(lengths, 24.0, 0.8)
    assert sorted(place for group in groups for place in group) == [
        place for place, length in enumerate(lengths) if length >= 400
    ]
    for group in groups:
        inside = [lengths[place] for place in group]
        assert min(inside) >= 0.8 * max(inside)
        assert len(inside) == 1 or len(inside) * max(inside) <= 24 * SAMPLING_RATE


def test_transcription_is_deterministic(transcriber):
    assert transcriber.transcribe(noise(2 * SAMPLING_RATE)) == transcriber.transcribe(noise(2 * SAMPLING_RATE))
    assert (
        transcriber.transcribe(noise(2 * SAMPLING_RATE, seed=1)).text
        != transcriber.transcribe(noise(2 * SAMPLING_RATE)).text
    )


class ScriptedModel(torch.nn.Module):
    """A model that emits one given token for each frame of 320 samples, with a given probability."""

    def __init__(self, tokens, certainty):
        super().__init__()
        self.tokens, self.certainty = tokens, certainty

    def forward(self, input_values, attention_mask=None):
        logits = torch.zeros(1, len(self.tokens), 8)
        for frame, (token, sure) in enumerate(zip(self.tokens, self.certainty, strict=True)):
            logits[0, frame, token] = np.log(7 * sure / (1 - sure))  # softmax against seven zeros
        return types.SimpleNamespace(logits=logits)


def test_words_times_and_confidence(checkpoint):
    """Blank 0, delimiter 2, a 3, b 4: "aab" in frames 1 to 5, "b" in frame 8; ten frames of a tenth of a second."""
    transcriber = Transcriber(str(checkpoint))
    tokens = [0, 3, 0, 3, 3, 4, 2, 2, 4, 0]
    sure = [0.9, 0.9, 0.9, 0.5, 0.7, 0.8, 0.9, 0.9, 0.6, 0.9]
    transcriber.engine.model = ScriptedModel(tokens, sure)
    transcript = transcriber.transcribe(noise(SAMPLING_RATE))
    assert transcript.text == "aab b"
    data = transcript.to_dict()
    assert [(word["word"], word["start_s"], word["end_s"]) for word in data["words"]] == [
        ("aab", 0.1, 0.65),
        ("b", 0.8, 0.95),
    ], "a word ends 50 ms after its last frame"
    # Letters at their best frames: 0.9, 0.7 and 0.8 for aab, 0.6 for b; then all frames of the word.
    expected = [(0.9 * 0.7 * 0.8) ** 2 * (0.9 * 0.9 * 0.5 * 0.7 * 0.8) ** 0.25, 0.6**2 * 0.6**0.25]
    assert [word["confidence"] for word in data["words"]] == pytest.approx(expected, abs=1e-4)
    assert data["text"] == "aab b" and data["duration_s"] == 1.0
    json.dumps(data)


@pytest.mark.parametrize("tokens", [[0] * 10, [2] * 10, [2, 0, 2, 2, 0, 0, 2, 0, 2, 2]])
def test_blanks_and_delimiters_have_no_words(checkpoint, tokens):
    transcriber = Transcriber(str(checkpoint))
    transcriber.engine.model = ScriptedModel(tokens, [0.9] * 10)
    assert transcriber.transcribe(noise(SAMPLING_RATE)).to_dict() == {"text": "", "words": [], "duration_s": 1.0}


# Loading


def test_replaced_checkpoint_is_loaded_again(store, checkpoint):
    first = get_transcriber(str(checkpoint), store)
    assert get_transcriber(str(checkpoint), store) is first
    config = checkpoint / "config.json"
    os.utime(config, ns=(0, config.stat().st_mtime_ns + 10**9))
    second = get_transcriber(str(checkpoint), store)
    assert second is not first and get_transcriber(str(checkpoint), store) is second


def test_least_recently_used_model_is_dropped(store, tmp_path, checkpoint):
    folders = [tiny.write_checkpoint(tmp_path / name) for name in ("one", "two", "three")]
    first, second = (get_transcriber(str(folder), store) for folder in folders[:2])
    assert get_transcriber(str(folders[0]), store) is first
    third = get_transcriber(str(folders[2]), store)
    assert len(model_cache._cached) == 2
    assert get_transcriber(str(folders[0]), store) is first and get_transcriber(str(folders[2]), store) is third
    assert get_transcriber(str(folders[1]), store) is not second


def test_dropped_model_is_freed(store, tmp_path):
    folders = [tiny.write_checkpoint(tmp_path / name) for name in ("one", "two", "three")]
    first = weakref.ref(get_transcriber(str(folders[0]), store))
    for folder in folders[1:]:
        get_transcriber(str(folder), store)
    gc.collect()
    assert first() is None


def test_one_thread_is_used_while_a_run_is_active(store, checkpoint, monkeypatch):
    assert get_transcriber(str(checkpoint), store).engine.num_threads == model_cache.ALL_THREADS
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: object())
    busy = get_transcriber(str(checkpoint), store)
    before = torch.get_num_threads()
    try:
        busy.transcribe(noise(SAMPLING_RATE))
        assert busy.engine.num_threads == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_gpu_is_yielded_while_a_run_is_active(store, checkpoint, monkeypatch):
    """Fake transcribers claim to be on the GPU; one that the cache has dropped is moved too."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)

    class FakeTranscriber:
        def __init__(self, checkpoint, device):
            self.engine = types.SimpleNamespace(device=torch.device(device), move_to=self.move_to)

        def move_to(self, device):
            self.engine.device = torch.device(device)

    monkeypatch.setattr(model_cache, "Transcriber", FakeTranscriber)
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: None)
    first = get_transcriber(str(checkpoint), store)
    assert get_transcriber(str(checkpoint), store) is first and first.engine.device.type == "cuda"
    model_cache._cached.clear()  # other models came; this one is still in use
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: object())
    monkeypatch.setattr(gpu, "POLL_S", 0.01)
    threading.Thread(target=gpu.yield_gpu, args=[store], daemon=True).start()
    wait_for(lambda: first.engine.device.type == "cpu", "the model to move to the CPU")
    assert (second := get_transcriber(str(checkpoint), store)).engine.device.type == "cpu"
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", lambda store: None)
    assert get_transcriber(str(checkpoint), store) is second and second.engine.device.type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # ends the thread


class FullGpuEngine(Engine):
    """Pretends to be on a GPU that is full at every batch."""

    def _place_model(self, device):
        super()._place_model("cpu")
        self.device = torch.device(device)

    def _infer(self, clips):
        if self.device.type == "cuda":
            raise torch.OutOfMemoryError("full")
        return super()._infer(clips)


def test_full_gpu_falls_back_to_the_cpu(checkpoint, monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    engine = FullGpuEngine(str(checkpoint), "cuda")
    (there,), (here,) = (
        one.log_probabilities([noise(SAMPLING_RATE).samples]) for one in (engine, Engine(str(checkpoint)))
    )
    assert engine.device.type == "cpu"
    np.testing.assert_array_equal(there, here)


def test_model_too_large_for_the_gpu_stays_on_the_cpu(checkpoint, monkeypatch):
    real = torch.nn.Module.to

    def to(self, device, *others):
        if torch.device(device).type == "cuda":
            raise torch.OutOfMemoryError("full")
        return real(self, device, *others)

    monkeypatch.setattr(torch.nn.Module, "to", to)
    engine = Engine(str(checkpoint), "cuda")
    assert engine.device.type == "cpu" and len(engine.log_probabilities([noise(SAMPLING_RATE).samples])[0])


def test_yield_gpu_survives_disk_errors(store, monkeypatch):
    polls = []

    def active(store):
        polls.append(1)
        raise OSError("no disk")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: len(polls) < 3)
    monkeypatch.setattr(model_cache, "transcribers_on_gpu", lambda: [object()])
    monkeypatch.setattr(model_cache.lifecycle, "find_active_run", active)
    monkeypatch.setattr(gpu, "POLL_S", 0.0)
    gpu.yield_gpu(store)
    assert len(polls) == 3


def test_loading_one_model_does_not_block_another(store, checkpoint, tmp_path, monkeypatch):
    other, release, begun = tiny.write_checkpoint(tmp_path / "slow"), threading.Event(), threading.Event()
    real = model_cache.Transcriber

    def load(name, device):
        if name == str(other):
            begun.set()
            release.wait(60)
        return real(name, device)

    monkeypatch.setattr(model_cache, "Transcriber", load)
    slow = threading.Thread(target=get_transcriber, args=[str(other), store], daemon=True)
    slow.start()
    begun.wait(60)
    quick = threading.Thread(target=get_transcriber, args=[str(checkpoint), store], daemon=True)
    quick.start()
    quick.join(20)
    stuck = quick.is_alive()
    release.set()
    slow.join(60)
    assert not stuck


def test_half_precision_weights_load_as_float32(tmp_path):
    folder = tiny.write_checkpoint(tmp_path / "half")
    from transformers import AutoModelForCTC

    AutoModelForCTC.from_pretrained(folder).half().save_pretrained(folder)
    transcriber = Transcriber(str(folder))
    assert {part.dtype for part in transcriber.engine.model.parameters()} == {torch.float32}
    assert not transcriber.engine.model.training


def broken_weights(folder):
    (folder / "model.safetensors").write_bytes(b"half of it")


def no_tokenizer(folder):
    for path in [*folder.glob("*token*"), folder / "vocab.json"]:
        path.unlink()


def nothing_but_weights(folder):
    for path in folder.glob("*.json"):
        if path.name != "config.json":
            path.unlink()


@pytest.mark.parametrize("damage", [broken_weights, no_tokenizer, nothing_but_weights])
def test_broken_checkpoints_raise(store, tmp_path, damage):
    folder = tiny.write_checkpoint(tmp_path / "mine")
    damage(folder)
    with pytest.raises(ModelError, match=f"{folder} ") as caught:
        get_transcriber(str(folder), store)
    assert "\n" not in str(caught.value)


def test_encoder_without_output_layer_raises(store, tmp_path):
    folder = tiny.write_checkpoint(tmp_path / "mine")
    no_tokenizer(folder)
    data = json.loads((folder / "config.json").read_text()) | {"architectures": ["Wav2Vec2Model"]}
    (folder / "config.json").write_text(json.dumps(data))
    with pytest.raises(ModelError):
        get_transcriber(str(folder), store)


@pytest.mark.parametrize(
    "expect",
    [DecodingHints(), DecodingHints(text="ab cd"), DecodingHints(hot_words="abc")],
    ids=["greedy", "text", "hot words"],
)
def test_nan_scores_raise(tmp_path, expect):
    from transformers import AutoModelForCTC

    folder = tiny.write_checkpoint(tmp_path / "broken")
    model = AutoModelForCTC.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.bias[0] = float("nan")
    model.save_pretrained(folder)
    transcriber, wave = Transcriber(str(folder)), noise(SAMPLING_RATE)
    with pytest.raises(ModelError, match="broken answers with what is no number .NaN.: its weights are broken"):
        transcriber.transcribe(wave, expect.build_decoder(transcriber))
    with pytest.raises(ModelError, match="weights are broken"):
        alignment.align(transcriber, wave, "ab")


def test_one_thread_runs_all_inference(transcriber, monkeypatch):
    """Each thread that calculates keeps memory of its own as long as it lives."""
    seen, real = set(), Engine._infer

    def hear(self, clips):
        seen.add(threading.get_ident())
        return real(self, clips)

    monkeypatch.setattr(Engine, "_infer", hear)
    callers = [threading.Thread(target=transcriber.transcribe, args=[noise(SAMPLING_RATE, seed)]) for seed in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(seen) == 1 and not seen & {caller.ident for caller in callers}
    monkeypatch.setattr(Engine, "_infer", lambda self, clips: 1 / 0)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ZeroDivisionError):
        pool.submit(transcriber.transcribe, noise(SAMPLING_RATE)).result()
