"""The lines that a model card gives for other programs run as they are."""

import contextlib
import io
import shlex
import zipfile

import numpy as np
import onnx_asr
import pytest
import soundfile
import torch
from transformers import Wav2Vec2ForCTC, Wav2Vec2Processor

from asrkit import cli
from asrkit.runs.report import usage
from asrkit.transcription.export import check, web_runtime
from tests.support import onnx_asr_models, tiny

OUTLETS = {outlet.name: outlet for outlet in usage.list_outlets("model", "model")}


@pytest.fixture
def folder(checkpoint, tmp_path, monkeypatch):
    """A working directory with `model` and `clip.wav`."""
    (tmp_path / "model").symlink_to(checkpoint)
    soundfile.write(tmp_path / "clip.wav", tiny.synthesize("bad cab", np.random.default_rng(0)), tiny.RATE)
    runtime = tmp_path / "cache" / f"{web_runtime.PACKAGE}-{web_runtime.VERSION}"
    runtime.mkdir(parents=True)
    for name in web_runtime.FILES:
        (runtime / name).write_text(name)
    monkeypatch.setenv("ASRKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(check, "MAX_CLIPS", 2)
    monkeypatch.setattr(
        onnx_asr, "load_model", lambda _, folder, quantization: onnx_asr_models.load(folder, quantization)
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_commands(text):
    for line in text.splitlines():
        python, m, module, *arguments = shlex.split(line)
        assert (python, m) == ("python", "-m")
        if module == "asrkit":
            assert cli.main(arguments) == 0
        elif module == "zipfile":
            zipfile.main(arguments)
        else:
            assert module == "http.server" and arguments[:2] == ["--directory", "page"]


@pytest.mark.parametrize("name", ["transformers", "transformers with a language model", "onnx-asr", "sherpa-onnx"])
def test_library_prints_a_text(folder, name):
    if "language model" in name:
        pytest.importorskip("kenlm")
        pytest.importorskip("pyctcdecode")
        (folder / "sentences.txt").write_text("bad cab\nbad ace\n")
    run_commands(OUTLETS[name].commands)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(OUTLETS[name].code, {})
    assert set(output.getvalue().strip()) <= set("abcde ") and output.getvalue().strip()


def test_page_is_unpacked_where_it_is_served(folder):
    run_commands(OUTLETS["A web page without a server"].commands)
    names = {path.name for path in (folder / "page").iterdir()}
    assert {"index.html", "worker.js", "model.int8.onnx", "model.json", "runtime"} <= names


def test_whisperx_gets_a_model_that_it_can_align_with(folder):
    """whisperX needs other versions of torch and huggingface_hub. These are its steps with what `--align_model` names:
    classes of transformers, letters in lower case with the blank by its name, posteriors without normalisation."""
    program, _, flag, name = shlex.split(OUTLETS["whisperX"].commands)
    assert (program, flag) == ("whisperx", "--align_model")
    processor, model = Wav2Vec2Processor.from_pretrained(name), Wav2Vec2ForCTC.from_pretrained(name)
    letters = {token.lower(): number for token, number in processor.tokenizer.get_vocab().items()}
    speech, _ = soundfile.read("clip.wav", dtype="float32")
    with torch.inference_mode():
        emissions = torch.log_softmax(model(torch.from_numpy(speech)[None]).logits, dim=-1)[0]
    assert emissions.shape[1] == len(letters) and set("abcde|") <= set(letters)
    assert letters["<pad>"] == model.config.pad_token_id


def test_models_are_offered_only_what_runs_them():
    names = [
        outlet.name for outlet in usage.list_outlets("owner/model", "owner/model", is_wav2vec2=False, takes_audio=False)
    ]
    assert names == ["transformers"]
    assert "whisperX" in OUTLETS and "--align_model model" in OUTLETS["whisperX"].commands
