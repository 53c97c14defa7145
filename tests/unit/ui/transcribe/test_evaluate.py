"""The evaluation section, the comparison and the endpoint, without a browser."""

import csv
import io
import threading
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.config import load_preset
from asrkit.data import manifest
from asrkit.data.manifest import Utterance
from asrkit.decoding.hints import DecodingHints
from asrkit.errors import AudioError, ConfigError, DataError, ModelError
from asrkit.runs.store import RunStore
from asrkit.transcription import model_cache
from asrkit.ui.transcribe import compare, endpoint
from asrkit.ui.transcribe.evaluate import EvaluateApi, load_evaluation_clips
from tests.support import tiny
from tests.support.tone_transcriber import ToneTranscriber
from tests.support.waiting import wait_for


class Listener(ToneTranscriber):
    """A ToneTranscriber for whole clips; the one called deaf hears an a in each e."""

    def __init__(self, deaf=False):
        self.deaf = deaf

    def transcribe_segments(self, pieces, merger, decoder=None):
        words = super().transcribe_segments(pieces, merger, decoder)
        return [replace(one, word=one.word.replace("e", "a"), confidence=0.4) if self.deaf else one for one in words]

    def transcribe_batch(self, waves, decoder=None):
        return [self.transcribe_blocks([wave.samples]) for wave in waves]


@pytest.fixture
def store(tmp_path, monkeypatch):
    def of_checkpoint(checkpoint):
        return Listener(deaf="deaf" in checkpoint or "checkpoint-1" in checkpoint)

    monkeypatch.setattr(model_cache, "get_transcriber", lambda model, store, on_progress=None: of_checkpoint(model))
    return RunStore(tmp_path / "runs")


@pytest.fixture
def data(tmp_path):
    """Six clips; one transcript holds what could be taken for HTML."""
    folder = tiny.write_dataset(tmp_path / "clips", train=0, held_out=6)
    text = (folder / "metadata.csv").read_text().splitlines()
    text[1] = text[1].split(",")[0] + ",<b>ae</b>,eval"
    (folder / "metadata.csv").write_text("\n".join(text) + "\n")
    return folder


def judged(judge, **asked):
    job = judge.evaluate({"dataset": "", "model": "good", "normaliser": "basic"} | asked)["id"]
    return job, wait_for(
        lambda: (told := judge.progress({"id": job})) and (told["html"] or told["failed"]) and told, "the evaluation"
    )


def test_a_dataset_is_judged_shown_heard_and_written(store, data):
    judge = EvaluateApi(store)
    job, told = judged(judge, dataset=str(data), model="deaf", normaliser="none")
    assert "6 clips" in told["html"] and "Worst clips" in told["html"] and "Calibration" in told["html"]
    assert "&lt;b&gt;ae&lt;/b&gt;" in told["html"] and "<b>ae" not in told["html"]
    rows = list(csv.DictReader(io.StringIO(judge.table({"id": job})["csv"])))
    assert len(rows) == 6 and any(float(row["wer"]) > 0 for row in rows)
    clip = judge.open_clip({"id": job, "index": "0"})
    heard, rate = soundfile.read(io.BytesIO(clip.read(0, clip.size_bytes)))
    assert rate == SAMPLING_RATE and len(heard) > 0.3 * SAMPLING_RATE


def test_what_is_expected_is_listened_for(store, data, monkeypatch):
    asked = []
    monkeypatch.setattr(DecodingHints, "build_decoder", lambda self, ready: asked.append(self))
    told = judged(EvaluateApi(store), dataset=str(data), expect="ae", hot="abc, de")[1]
    assert asked == [DecodingHints("ae", "abc, de")] and "with words to expect" in told["html"]
    assert "with words to expect" not in judged(EvaluateApi(store), dataset=str(data))[1]["html"]
    assert (
        "too long"
        in EvaluateApi(store).evaluate({"dataset": "", "model": "", "normaliser": "basic", "expect": "a " * 200_000})[
            "error"
        ]
    )


def test_the_clips_of_its_own_run(store, data):
    run = store.create(load_preset("demo").config, "20260101-000000-mine")
    rng = np.random.default_rng(0)
    soundfile.write(data / "own.wav", tiny.synthesize("abc", rng), SAMPLING_RATE)
    manifest.write(run.path / "eval.jsonl", [Utterance(str(data / "own.wav"), "abc", 0.6)])
    _, told = judged(EvaluateApi(store), model=run.id)
    assert "1 clip" in told["html"] and "Every clip is right." in told["html"]
    with pytest.raises(DataError, match="which dataset"):
        load_evaluation_clips("", "starter", store)
    with pytest.raises(DataError, match="which dataset"):
        load_evaluation_clips("", "../runs/20260101-000000-mine", store)


def test_what_goes_wrong_is_one_sentence(store):
    judge = EvaluateApi(store)
    assert "which dataset" in judged(judge)[1]["failed"]
    assert judged(judge, dataset="/gone")[1]["failed"]
    assert "no normaliser" in judge.evaluate({"dataset": "", "model": "", "normaliser": "x"})["error"]
    assert "no longer held" in judge.progress({"id": "guess"})["error"]


def test_one_bad_clip_does_not_end_an_evaluation(store, data):
    next(data.rglob("*.wav")).write_text("no sound")
    told = judged(EvaluateApi(store), dataset=str(data))[1]["html"]
    assert "5 clips, " in told and "1 clip could not be read" in told


def test_only_evaluations_that_are_over_go(store, monkeypatch):
    monkeypatch.setattr("asrkit.ui.transcribe.evaluate.MAX_EVALUATIONS", 2)
    judge, gate = EvaluateApi(store), threading.Event()
    done, _ = judged(judge)
    monkeypatch.setattr("asrkit.ui.transcribe.evaluate.load_evaluation_clips", lambda *asked: gate.wait(60) and [])
    waiting = [judge.evaluate({"dataset": "", "model": "good", "normaliser": "basic"})["id"] for _ in range(3)]
    assert all(judge.progress({"id": one})["share"] == 0 for one in waiting)
    assert "no longer held" in judge.progress({"id": done})["error"]
    gate.set()


def test_one_that_waits_for_another_says_so_and_can_be_cancelled(store, data, monkeypatch):
    judge, gate, begun = EvaluateApi(store), threading.Event(), threading.Event()
    monkeypatch.setattr(
        "asrkit.ui.transcribe.evaluate.load_evaluation_clips", lambda *asked: begun.set() or gate.wait(60) and []
    )
    first = judge.evaluate({"dataset": "", "model": "good", "normaliser": "basic"})["id"]
    assert begun.wait(60)
    second = judge.evaluate({"dataset": "", "model": "good", "normaliser": "basic"})["id"]
    assert judge.progress({"id": second})["waits"] and not judge.progress({"id": first})["waits"]
    judge.cancel({"id": second})
    assert judge.progress({"id": second})["failed"] == "Cancelled."
    gate.set()
    wait_for(lambda: judge.progress({"id": first})["failed"], "the first")


def test_an_evaluation_can_be_cancelled(store, data, monkeypatch):
    judge, gate = EvaluateApi(store), threading.Event()
    real = model_cache.get_transcriber

    def slow(model, store, on_progress=None):
        gate.wait(60)
        return real(model, store)

    monkeypatch.setattr(model_cache, "get_transcriber", slow)
    job = judge.evaluate({"dataset": str(data), "model": "good", "normaliser": "basic"})["id"]
    judge.cancel({"id": job})
    gate.set()
    assert wait_for(lambda: judge.progress({"id": job})["failed"], "the end") == "Cancelled."
    assert "not done yet" in judge.table({"id": job})["error"]


def test_a_fetch_is_told(store, data, monkeypatch):
    judge, gate = EvaluateApi(store), threading.Event()

    def far(model, store, on_progress):
        on_progress(f"Fetching {model}: 120 of 360 MB", 120_000_000, 360_000_000)
        gate.wait(60)
        on_progress(f"Fetching {model}: 360 of 360 MB", 360_000_000, 360_000_000)

    monkeypatch.setattr(model_cache, "get_transcriber", far)
    job = judge.evaluate({"dataset": str(data), "model": "far/away", "normaliser": "basic"})["id"]
    wait_for(lambda: judge.progress({"id": job})["words"] == "Fetching far/away: 120 of 360 MB", "the fetch")
    judge.cancel({"id": job})
    gate.set()
    assert wait_for(lambda: judge.progress({"id": job})["failed"], "the end") == "Cancelled."


def test_two_models_side_by_side(store, tmp_path):
    wave = Waveform(tiny.synthesize("abe de", np.random.default_rng(0)))
    for name in ("good", "deaf"):
        tiny.write_checkpoint(tmp_path / name)
    good, deaf = str(tmp_path / "good"), str(tmp_path / "deaf")
    told = compare.compare_models(store, wave, good, deaf, "Abe, de.")
    assert told.count("<tr>") == 3 and "0.0 %" in told and "100.0 %" in told
    assert '<mark title="instead of abe">aba</mark>' in told
    assert "WER" not in compare.compare_models(store, wave, good, good, "")
    assert compare.compare_models(store, wave, good, good, "<i>").count("<tr>") == 2


def test_what_is_expected_counts_for_both(store):
    class Loud:
        def build_decoder(self, ready):
            asked.append(ready)

    asked = []
    compare.compare_models(
        store, Waveform(tiny.synthesize("abe", np.random.default_rng(0))), "good", "deaf", "", Loud()
    )
    assert len(asked) == 2


def test_who_cannot_spell_what_is_expected_says_so_in_its_row(store, monkeypatch):
    def build_decoder(self, ready):
        if ready.deaf:
            raise ConfigError("The model cannot spell the hot word 'é'.")

    monkeypatch.setattr(DecodingHints, "build_decoder", build_decoder)
    wave = Waveform(tiny.synthesize("abe", np.random.default_rng(0)))
    for reference in ("", "abe"):
        html = compare.compare_models(store, wave, "good", "deaf", reference, DecodingHints(hot_words="é"))
        assert "abe" in html and "cannot spell the hot word &#x27;é&#x27;" in html


def test_a_checkpoint_with_broken_weights_says_so_in_its_row(store, monkeypatch):
    def transcribe_segments(self, pieces, merger, decoder=None):
        if self.deaf:
            raise ModelError("The model deaf answers with what is no number (NaN).")
        return ToneTranscriber.transcribe_segments(self, pieces, merger, decoder)

    monkeypatch.setattr(Listener, "transcribe_segments", transcribe_segments)
    html = compare.compare_models(
        store, Waveform(tiny.synthesize("abe", np.random.default_rng(0))), "good", "deaf", "abe"
    )
    assert "0.0 %" in html and "no number (NaN)" in html


def test_the_checkpoints_of_a_run_in_turn(store, tmp_path):
    run = store.create(load_preset("demo").config, "20260101-000000-mine")
    for step in (1, 2):
        tiny.write_checkpoint(run.checkpoints_dir / f"checkpoint-{step}")
    tiny.write_checkpoint(run.model_dir)
    assert {
        "label": f"Every checkpoint of run {run.id}",
        "value": f"checkpoints of {run.id}",
    } in compare.list_alternatives(store)
    told = compare.compare_models(
        store, Waveform(tiny.synthesize("e", np.random.default_rng(0))), "starter", f"checkpoints of {run.id}", "e"
    )
    assert told.index("step 1") < told.index("step 2") < told.index("best")
    assert told.count("100.0 %") == 1 and told.count("0.0 %") == 3  # step 1 alone is deaf


def test_the_endpoint_answers_as_the_command_line_does(store, tmp_path):
    soundfile.write(tmp_path / "a.wav", tiny.synthesize("abc de", np.random.default_rng(0)), SAMPLING_RATE)
    told = endpoint.transcribe_file(store, str(tmp_path / "a.wav"), "good")
    assert told["text"] == "abc de" and list(told["words"][0]) == ["word", "start_s", "end_s", "confidence"]
    assert endpoint.transcribe_file(store, str(tmp_path / "a.wav"), "good", DecodingHints()) == told
    (tmp_path / "b.wav").write_text("no sound")
    with pytest.raises(AudioError, match="cannot be read as audio"):
        endpoint.transcribe_file(store, str(tmp_path / "b.wav"), "")
