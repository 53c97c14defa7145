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
from asrkit.transcription import model_cache, writers
from asrkit.ui.transcribe import compare, endpoint
from asrkit.ui.transcribe.evaluate import EvaluateApi, load_evaluation_clips
from tests.support import tiny
from tests.support.tone_transcriber import ToneTranscriber
from tests.support.waiting import wait_for


class ToneModel(ToneTranscriber):
    """A ToneTranscriber for whole clips; an inaccurate one writes an a for each e."""

    def __init__(self, inaccurate=False):
        self.inaccurate = inaccurate

    def transcribe_segments(self, pieces, merger, decoder=None):
        words = super().transcribe_segments(pieces, merger, decoder)
        return [
            replace(one, word=one.word.replace("e", "a"), confidence=0.4) if self.inaccurate else one for one in words
        ]

    def transcribe_batch(self, waves, decoder=None):
        return [self.transcribe_blocks([wave.samples]) for wave in waves]


@pytest.fixture
def store(tmp_path, monkeypatch):
    def load(checkpoint):
        return ToneModel(inaccurate="inaccurate" in checkpoint or "checkpoint-1" in checkpoint)

    monkeypatch.setattr(model_cache, "get_transcriber", lambda model, store, on_progress=None: load(model))
    return RunStore(tmp_path / "runs")


@pytest.fixture
def data(tmp_path):
    """Write six clips; one transcript contains HTML."""
    folder = tiny.write_dataset(tmp_path / "clips", train=0, held_out=6)
    text = (folder / "metadata.csv").read_text().splitlines()
    text[1] = text[1].split(",")[0] + ",<b>ae</b>,eval"
    (folder / "metadata.csv").write_text("\n".join(text) + "\n")
    return folder


def run_evaluation(api, **fields):
    job = api.evaluate({"dataset": "", "model": "good", "normaliser": "basic"} | fields)["id"]
    return job, wait_for(
        lambda: (reply := api.poll({"id": job})) and (reply["html"] or reply["failed"]) and reply, "the evaluation"
    )


def test_report_table_and_clips_of_an_evaluation(store, data):
    api = EvaluateApi(store)
    job, reply = run_evaluation(api, dataset=str(data), model="inaccurate", normaliser="none")
    assert "6 clips" in reply["html"] and "Worst clips" in reply["html"] and "Calibration" in reply["html"]
    assert "&lt;b&gt;ae&lt;/b&gt;" in reply["html"] and "<b>ae" not in reply["html"]
    rows = list(csv.DictReader(io.StringIO(api.make_csv({"id": job})["csv"])))
    assert len(rows) == 6 and any(float(row["wer"]) > 0 for row in rows)
    clip = api.open_clip({"id": job, "index": "0"})
    samples, rate = soundfile.read(io.BytesIO(clip.read(0, clip.size_bytes)))
    assert rate == SAMPLING_RATE and len(samples) > 0.3 * SAMPLING_RATE


def test_evaluation_uses_decoding_hints(store, data, monkeypatch):
    hints = []
    monkeypatch.setattr(DecodingHints, "build_decoder", lambda self, ready: hints.append(self))
    reply = run_evaluation(EvaluateApi(store), dataset=str(data), expect="ae", hot="abc, de")[1]
    assert hints == [DecodingHints("ae", "abc, de")] and "with words to expect" in reply["html"]
    assert "with words to expect" not in run_evaluation(EvaluateApi(store), dataset=str(data))[1]["html"]
    assert (
        "too long"
        in EvaluateApi(store).evaluate({"dataset": "", "model": "", "normaliser": "basic", "expect": "a " * 200_000})[
            "error"
        ]
    )


def test_evaluation_clips_of_the_run_are_the_default(store, data):
    run = store.create(load_preset("demo").config, "20260101-000000-one")
    rng = np.random.default_rng(0)
    soundfile.write(data / "own.wav", tiny.synthesize("abc", rng), SAMPLING_RATE)
    manifest.write(run.path / "eval.jsonl", [Utterance(str(data / "own.wav"), "abc", 0.6)])
    _, reply = run_evaluation(EvaluateApi(store), model=run.id)
    assert "1 clip" in reply["html"] and "Every clip was transcribed correctly." in reply["html"]
    with pytest.raises(DataError, match="which dataset"):
        load_evaluation_clips("", "starter", store)
    with pytest.raises(DataError, match="which dataset"):
        load_evaluation_clips("", "../runs/20260101-000000-one", store)


def test_errors_are_returned_as_one_sentence(store):
    api = EvaluateApi(store)
    assert "which dataset" in run_evaluation(api)[1]["failed"]
    assert run_evaluation(api, dataset="/gone")[1]["failed"]
    assert "no normaliser" in api.evaluate({"dataset": "", "model": "", "normaliser": "x"})["error"]
    assert "no longer available" in api.poll({"id": "guess"})["error"]


def test_unreadable_clip_is_left_out_of_the_evaluation(store, data):
    next(data.rglob("*.wav")).write_text("no sound")
    reply = run_evaluation(EvaluateApi(store), dataset=str(data))[1]["html"]
    assert "5 clips, " in reply and "1 clip could not be read" in reply


def test_only_ended_evaluations_are_dropped(store, monkeypatch):
    monkeypatch.setattr("asrkit.ui.transcribe.evaluate.MAX_EVALUATIONS", 2)
    api, gate = EvaluateApi(store), threading.Event()
    done, _ = run_evaluation(api)
    monkeypatch.setattr("asrkit.ui.transcribe.evaluate.load_evaluation_clips", lambda *args: gate.wait(60) and [])
    waiting = [api.evaluate({"dataset": "", "model": "good", "normaliser": "basic"})["id"] for _ in range(3)]
    assert all(api.poll({"id": one})["share"] == 0 for one in waiting)
    assert "no longer available" in api.poll({"id": done})["error"]
    gate.set()


def test_waiting_evaluation_can_be_cancelled(store, data, monkeypatch):
    api, gate, begun = EvaluateApi(store), threading.Event(), threading.Event()
    monkeypatch.setattr(
        "asrkit.ui.transcribe.evaluate.load_evaluation_clips", lambda *args: begun.set() or gate.wait(60) and []
    )
    first = api.evaluate({"dataset": "", "model": "good", "normaliser": "basic"})["id"]
    assert begun.wait(60)
    second = api.evaluate({"dataset": "", "model": "good", "normaliser": "basic"})["id"]
    assert api.poll({"id": second})["waits"] and not api.poll({"id": first})["waits"]
    api.cancel({"id": second})
    assert api.poll({"id": second})["failed"] == "Cancelled."
    gate.set()
    wait_for(lambda: api.poll({"id": first})["failed"], "the first")


def test_running_evaluation_can_be_cancelled(store, data, monkeypatch):
    api, gate = EvaluateApi(store), threading.Event()
    real = model_cache.get_transcriber

    def slow(model, store, on_progress=None):
        gate.wait(60)
        return real(model, store)

    monkeypatch.setattr(model_cache, "get_transcriber", slow)
    job = api.evaluate({"dataset": str(data), "model": "good", "normaliser": "basic"})["id"]
    api.cancel({"id": job})
    gate.set()
    assert wait_for(lambda: api.poll({"id": job})["failed"], "the end") == "Cancelled."
    assert "not done yet" in api.make_csv({"id": job})["error"]


def test_fetch_of_the_model_is_reported(store, data, monkeypatch):
    api, gate = EvaluateApi(store), threading.Event()

    def far(model, store, on_progress):
        on_progress(f"Fetching {model}: 120 of 360 MB", 120_000_000, 360_000_000)
        gate.wait(60)
        on_progress(f"Fetching {model}: 360 of 360 MB", 360_000_000, 360_000_000)

    monkeypatch.setattr(model_cache, "get_transcriber", far)
    job = api.evaluate({"dataset": str(data), "model": "far/away", "normaliser": "basic"})["id"]
    wait_for(lambda: api.poll({"id": job})["words"] == "Fetching far/away: 120 of 360 MB", "the fetch")
    api.cancel({"id": job})
    gate.set()
    assert wait_for(lambda: api.poll({"id": job})["failed"], "the end") == "Cancelled."


def test_comparison_shows_both_models_with_errors(store, tmp_path):
    wave = Waveform(tiny.synthesize("abe de", np.random.default_rng(0)))
    for name in ("good", "inaccurate"):
        tiny.write_checkpoint(tmp_path / name)
    good, inaccurate = str(tmp_path / "good"), str(tmp_path / "inaccurate")
    reply = compare.compare_models(store, wave, good, inaccurate, "Abe, de.")
    assert reply.count("<tr>") == 3 and "0.0 %" in reply and "100.0 %" in reply
    assert '<mark title="instead of abe">aba</mark>' in reply
    assert "WER" not in compare.compare_models(store, wave, good, good, "")
    assert compare.compare_models(store, wave, good, good, "<i>").count("<tr>") == 2


def test_comparison_passes_hints_to_both_models(store):
    class RecordingHints:
        def build_decoder(self, ready):
            models.append(ready)

    models = []
    compare.compare_models(
        store, Waveform(tiny.synthesize("abe", np.random.default_rng(0))), "good", "inaccurate", "", RecordingHints()
    )
    assert len(models) == 2


def test_model_that_cannot_spell_the_hints_shows_the_error_in_its_row(store, monkeypatch):
    def build_decoder(self, ready):
        if ready.inaccurate:
            raise ConfigError("The model cannot spell the hot word 'é'.")

    monkeypatch.setattr(DecodingHints, "build_decoder", build_decoder)
    wave = Waveform(tiny.synthesize("abe", np.random.default_rng(0)))
    for reference in ("", "abe"):
        html = compare.compare_models(store, wave, "good", "inaccurate", reference, DecodingHints(hot_words="é"))
        assert "abe" in html and "cannot spell the hot word &#x27;é&#x27;" in html


def test_broken_checkpoint_shows_the_error_in_its_row(store, monkeypatch):
    def transcribe_segments(self, pieces, merger, decoder=None):
        if self.inaccurate:
            raise ModelError("The model inaccurate answers with what is no number (NaN).")
        return ToneTranscriber.transcribe_segments(self, pieces, merger, decoder)

    monkeypatch.setattr(ToneModel, "transcribe_segments", transcribe_segments)
    html = compare.compare_models(
        store, Waveform(tiny.synthesize("abe", np.random.default_rng(0))), "good", "inaccurate", "abe"
    )
    assert "0.0 %" in html and "no number (NaN)" in html


def test_checkpoints_of_a_run_are_compared_in_order(store, tmp_path):
    run = store.create(load_preset("demo").config, "20260101-000000-one")
    for step in (1, 2):
        tiny.write_checkpoint(run.checkpoints_dir / f"checkpoint-{step}")
    tiny.write_checkpoint(run.model_dir)
    assert {
        "label": f"Every checkpoint of run {run.id}",
        "value": f"checkpoints of {run.id}",
    } in compare.list_alternatives(store)
    reply = compare.compare_models(
        store, Waveform(tiny.synthesize("e", np.random.default_rng(0))), "starter", f"checkpoints of {run.id}", "e"
    )
    assert reply.index("step 1") < reply.index("step 2") < reply.index("best")
    assert reply.count("100.0 %") == 1 and reply.count("0.0 %") == 3  # step 1 alone is inaccurate


def test_endpoint_replies_like_the_command_line(store, tmp_path):
    soundfile.write(tmp_path / "a.wav", tiny.synthesize("abc de", np.random.default_rng(0)), SAMPLING_RATE)
    reply = endpoint.transcribe_file(store, str(tmp_path / "a.wav"), "good")
    assert reply["text"] == "abc de" and list(reply["words"][0]) == ["word", "start_s", "end_s", "confidence"]
    assert endpoint.transcribe_file(store, str(tmp_path / "a.wav"), "good", DecodingHints()) == reply
    (tmp_path / "b.wav").write_text("no sound")
    with pytest.raises(AudioError, match="cannot be read as audio"):
        endpoint.transcribe_file(store, str(tmp_path / "b.wav"), "")


@pytest.mark.parametrize("name", [*writers.WRITERS])
def test_endpoint_writes_every_format(store, tmp_path, name):
    soundfile.write(tmp_path / "a.wav", tiny.synthesize("abc de", np.random.default_rng(0)), SAMPLING_RATE)
    plain = endpoint.transcribe_file(store, str(tmp_path / "a.wav"), "good")
    reply = endpoint.transcribe_file(store, str(tmp_path / "a.wav"), "good", format_name=name)
    assert {key: reply[key] for key in plain} == plain
    assert reply["file_name"] == writers.file_name("a", name) and "abc" in reply["content"]


def test_endpoint_refuses_an_unknown_format_before_it_transcribes(store):
    with pytest.raises(DataError, match="There is no format 'doc'; choose one of txt, json"):
        endpoint.transcribe_file(store, "gone.wav", "no such model", format_name="doc")
