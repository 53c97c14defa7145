"""Export with a language model: the layout that transformers reads, and transformers reading it."""

import json

import numpy as np
import pytest
import torch

from asrkit.config import TrainConfig
from asrkit.data import manifest
from asrkit.data.manifest import Utterance
from asrkit.decoding.hints import DecodingHints
from asrkit.decoding.kenlm_model import read_words
from asrkit.errors import ConfigError, ModelError
from asrkit.transcription.export import exporter, language_model
from asrkit.transcription.transcriber import Transcriber


def ignore(message, done, total):
    pass


def export(checkpoint, target, **hints):
    return exporter.export_model(
        checkpoint, target, "transformers-lm", quantized=False, hints=DecodingHints(**hints), on_progress=ignore
    )


def test_layout_has_alphabet_words_weights_and_n_grams(checkpoint, tmp_path):
    result = export(checkpoint, tmp_path / "out", text="Bad cab\nbad ace\nzoo bad")
    assert result["format"] == "transformers-lm" and result["total_bytes"] > 0
    alphabet = json.loads((tmp_path / "out/alphabet.json").read_text())
    assert alphabet == {"labels": ["", "⁇", " ", "a", "b", "c", "d", "e"], "is_bpe": False}
    folder = tmp_path / "out/language_model"
    assert {path.name for path in folder.iterdir()} == {"attrs.json", "unigrams.txt", "model.arpa"}
    assert folder.joinpath("unigrams.txt").read_text().split() == ["ace", "bad", "cab"], "the model has no z"
    assert {"ace", "bad", "cab"} <= set(read_words(folder / "model.arpa"))
    settings = json.loads((tmp_path / "out/processor_config.json").read_text())
    assert settings["processor_class"] == "Wav2Vec2ProcessorWithLM"


def test_language_model_of_a_run_is_that_of_its_training_transcripts(store, checkpoint, tmp_path):
    with pytest.raises(ConfigError, match="has no training transcripts to estimate a language model from; give a text"):
        export(checkpoint, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    run = store.create(TrainConfig())
    manifest.write(run.manifest_path("train"), [Utterance("a.wav", "bad cab", 1.0), Utterance("b.wav", "ace", 1.0)])
    checkpoint.rename(run.model_dir)
    try:
        export(run.model_dir, tmp_path / "out")
    finally:
        run.model_dir.rename(checkpoint)
    assert (tmp_path / "out/language_model/unigrams.txt").read_text().split() == ["ace", "bad", "cab"]


def test_model_of_another_blank_is_refused(checkpoint):
    model = Transcriber(str(checkpoint), "cpu", torch.float32)
    model.processor.tokenizer.pad_token = "a"
    with pytest.raises(ModelError, match="takes the padding token for the blank"):
        language_model.list_labels(model)


def test_transformers_decodes_with_the_language_model(checkpoint, tmp_path):
    pytest.importorskip("kenlm")
    pytest.importorskip("pyctcdecode")
    from transformers import AutoProcessor

    export(checkpoint, tmp_path / "out", text="bad cab\nbad ace\ncab bad")
    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    assert type(processor).__name__ == "Wav2Vec2ProcessorWithLM"
    ids = [processor.tokenizer.convert_tokens_to_ids(token) for token in ("c", "<pad>", "e", "b", "|", "b", "e", "d")]
    logits = np.eye(len(processor.tokenizer), dtype=np.float32)[ids] * 10
    logits[[2, 6], processor.tokenizer.convert_tokens_to_ids("a")] = 9.5  # nearly as likely as the "e"
    assert processor.tokenizer.decode(logits.argmax(-1)) == "ceb bed"
    assert processor.decode(logits).text == "cab bad"
