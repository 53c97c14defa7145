import json

import numpy as np
import onnx
import pytest
import soundfile
import torch

from asrkit.audio import load_audio
from asrkit.config import TrainConfig
from asrkit.data import manifest
from asrkit.data.manifest import Utterance
from asrkit.errors import ConfigError, ModelError
from asrkit.jobs import JobCancelled
from asrkit.transcription.export import check, exporter, graph
from asrkit.transcription.transcriber import Transcriber
from tests.support import tiny


def ignore(message, done, total):
    pass


@pytest.fixture
def run_model(store, checkpoint, tmp_path):
    """The model directory of a run with four evaluation clips, whose texts are what the model says of them."""
    run = store.create(TrainConfig())
    checkpoint.rename(run.model_dir)
    rng, transcriber = np.random.default_rng(0), Transcriber(str(run.model_dir), "cpu", torch.float32)
    clips = []
    for number, text in enumerate(("ab", "cab de", "e", "bad ace")):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, tiny.synthesize(text, rng), tiny.RATE)
        heard = transcriber.transcribe(load_audio(path))
        clips.append(Utterance(str(path), heard.text or "e", soundfile.info(path).duration))
    manifest.write(run.manifest_path("eval"), clips)
    yield run.model_dir
    run.model_dir.rename(checkpoint)


@pytest.mark.parametrize("name", ["onnx", "onnx-asr", "sherpa-onnx"])
def test_export_reports_size_difference_and_error_rates_on_the_runs_clips(run_model, tmp_path, name):
    target = tmp_path / "out"
    result = exporter.export_model(run_model, target, name, quantized=True, on_progress=ignore)
    assert (result["clips"], result["clips_from"]) == (4, "run")
    assert result["max_difference"] < 1e-3
    assert result["pytorch"]["wer"] == result["float32"]["wer"] == 0
    assert result["float32"]["changed_texts"] == 0
    assert (result["int8"]["changed_texts"] > 0) == (result["int8"]["wer"] > 0)
    assert result["size_bytes"] == (target / "model.int8.onnx").stat().st_size
    assert not (target / "model.onnx").exists()
    assert result.pop("total_bytes") == sum(path.stat().st_size for path in target.iterdir())
    assert result.pop("path") == str(target)
    assert json.loads((target / "export.json").read_text()) == result
    assert str(run_model.parent) not in json.dumps(result), "others get this file"


def test_float32_export_holds_graph_and_processor(run_model, tmp_path):
    exporter.export_model(run_model, tmp_path / "out", "onnx", quantized=False, on_progress=ignore)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"model.onnx", "config.json", "vocab.json", "tokenizer_config.json"} <= names
    assert "model.int8.onnx" not in names


def test_export_of_a_model_without_a_run_is_checked_on_the_demo(checkpoint):
    clips = check.find_clips(checkpoint)
    assert clips.source == "demo" and 0 < len(clips.clips) <= check.MAX_CLIPS


def test_what_exists_is_not_replaced(run_model, tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(ConfigError, match="exists already"):
        exporter.export_model(run_model, tmp_path, "onnx", quantized=False, on_progress=ignore)
    assert (tmp_path / "kept.txt").read_text() == "kept"


def test_cancelled_export_leaves_nothing(run_model, tmp_path):
    def cancel(message, done, total):
        if done:
            raise JobCancelled

    before = set(tmp_path.iterdir())
    with pytest.raises(JobCancelled):
        exporter.export_model(run_model, tmp_path / "out", "onnx", quantized=False, on_progress=cancel)
    assert set(tmp_path.iterdir()) == before


def test_graph_that_is_not_the_model_is_not_handed_out(run_model, tmp_path, monkeypatch):
    def export_another(model, processor, path, layout, name):
        with torch.no_grad():
            model.lm_head.bias.add_(torch.arange(len(model.lm_head.bias)))
            graph.export_onnx(model, processor, path, layout, name)
            model.lm_head.bias.sub_(torch.arange(len(model.lm_head.bias)))

    monkeypatch.setattr(exporter, "graph", _with(graph, export_onnx=export_another))
    before = set(tmp_path.iterdir())
    with pytest.raises(ModelError, match="not the same as the model"):
        exporter.export_model(run_model, tmp_path / "out", "onnx", quantized=False, on_progress=ignore)
    assert set(tmp_path.iterdir()) == before


def _with(module, **changes):
    """A copy of a module's names with other values."""
    return type("Changed", (), {**vars(module), **changes})


def test_export_leaves_the_model_as_it_was(checkpoint, tmp_path):
    transcriber = Transcriber(str(checkpoint), "cpu", torch.float32)
    clips = [0.1 * np.random.default_rng(0).standard_normal(9_000).astype(np.float32)]
    forwards = [vars(layer).get("forward") for layer in transcriber.engine.model.modules()]
    attention = transcriber.engine.model.config._attn_implementation
    (before,) = transcriber.engine.log_probabilities(clips)
    graph.export_onnx(transcriber.engine.model, transcriber.processor, tmp_path / "model.onnx")
    (after,) = transcriber.engine.log_probabilities(clips)
    np.testing.assert_array_equal(before, after)
    assert not transcriber.engine.model.training
    assert transcriber.engine.model.config._attn_implementation == attention
    assert [vars(layer).get("forward") is None for layer in transcriber.engine.model.modules()] == [
        forward is None for forward in forwards
    ]


def test_weights_in_many_files_are_moved_into_one(checkpoint, tmp_path):
    """As the exporter writes them beside a graph of more than 2 GB."""
    transcriber = Transcriber(str(checkpoint), "cpu", torch.float32)
    whole, draft, path = tmp_path / "whole.onnx", tmp_path / "draft" / "model.onnx", tmp_path / "model.onnx"
    graph.export_onnx(transcriber.engine.model, transcriber.processor, whole)
    draft.parent.mkdir()
    onnx.save_model(
        onnx.load(whole), draft, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0
    )
    graph._move_graph(draft, path)
    assert graph.data_path(path).exists() and graph.size_bytes(path) > path.stat().st_size
    clips = [0.1 * np.random.default_rng(0).standard_normal(9_000).astype(np.float32)]
    (wanted,) = transcriber.engine.log_probabilities(clips)
    (found,) = transcriber.with_graph(path).engine.log_probabilities(clips)
    np.testing.assert_allclose(wanted, found, atol=1e-3)
    graph.delete(path)
    assert not path.exists() and not graph.data_path(path).exists()
