"""Checkpoint folders that attack: whatever their files say, they choose neither what is read nor how much is spent."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2ForCTC

from asrkit.config import TrainConfig
from asrkit.data import access
from asrkit.errors import ModelError
from asrkit.hub import credentials
from asrkit.models import checkpoints, frames, processors, vocabularies, weights
from asrkit.training import model as training_model
from asrkit.transcription.engine import Engine
from tests.support.checkpoints import write_checkpoint

SECRET = "HF_TOKEN=hf_of_the_operator"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(f"{SECRET}\nother\n")
    return path


def rewrite(file: Path, **changes: Any) -> None:
    settings = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(settings | changes))


def refusal(folder: Path) -> str:
    """Return the sentence with which a folder is refused for transcription and for training."""
    with pytest.raises(ModelError) as caught:
        Engine(str(folder))
    with pytest.raises(ModelError):
        config = TrainConfig(preset="", model=str(folder), vocabulary="keep")
        training_model.load(str(folder), config, ["ab"])
    message = str(caught.value)
    assert "\n" not in message and SECRET not in message
    return message


@pytest.mark.parametrize("key", ["vocab", "vocab_file", "tokenizer_file", "name_or_path"])
@pytest.mark.parametrize("kind", ["BertTokenizer", "T5Tokenizer", "ParakeetTokenizer", "Wav2Vec2CTCTokenizer"])
def test_tokenizer_config_cannot_name_a_file_or_a_class(folder: Path, secret: Path, kind: str, key: str) -> None:
    rewrite(folder / "tokenizer_config.json", tokenizer_class=kind, **{key: str(secret)})
    tokenizer = processors.load_processor(folder).tokenizer
    assert type(tokenizer).__name__ == "Wav2Vec2CTCTokenizer"
    assert set(tokenizer.get_vocab()) == {"<pad>", "<unk>", "|", *"abcde"}
    (folder / "vocab.json").unlink()
    assert not hasattr(processors.load_processor(folder), "tokenizer"), "without a vocabulary there is no tokenizer"


def test_processor_config_cannot_name_a_class(folder: Path) -> None:
    rewrite(
        folder / "processor_config.json",
        processor_class="LlavaProcessor",
        auto_map={"AutoProcessor": "code.Evil"},
        tokenizer={"tokenizer_class": "BertTokenizer"},
    )
    rewrite(folder / "preprocessor_config.json", feature_extractor_type="CLIPFeatureExtractor", image_processor="x")
    processor = processors.load_processor(folder)
    assert type(processor).__name__ == "Wav2Vec2Processor"
    assert type(processor.feature_extractor).__name__ == "Wav2Vec2FeatureExtractor"


def test_config_cannot_name_code_other_folders_or_libraries(folder: Path) -> None:
    attacks = {
        "auto_map": {"AutoConfig": "code.Evil"},
        "attn_implementation": "someone/kernel",
        "_attn_implementation": "someone/kernel",
        "quantization_config": {"quant_method": "bitsandbytes"},
        "_name_or_path": "/etc",
        "torch_dtype": "float64",
    }
    rewrite(folder / "config.json", **attacks)
    config = weights.load_config(folder)
    assert config._attn_implementation_internal is None and config._name_or_path == ""
    assert not hasattr(config, "auto_map") and not hasattr(config, "quantization_config")
    assert Engine(str(folder)).num_tokens == 8


def test_adapter_of_another_model_is_refused(folder: Path, secret: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(secret.parent)}))
    assert "adapter for another one" in refusal(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 2560, "intermediate_size": 10_240, "num_hidden_layers": 48},
        {"num_hidden_layers": 1_000},
        {"num_hidden_layers": 10**9},
        {"num_conv_pos_embeddings": 10**9},
        {"vocab_size": 900_000},
        {"conv_stride": [1] * 7},
        {"conv_dim": [16] * 100_000},
        {"hidden_size": {"a": 1}},
        {"hidden_act": "x" * 1000},
    ],
)
def test_config_that_its_weights_do_not_fill_is_refused_without_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    built: list[Any] = []
    monkeypatch.setattr(Wav2Vec2ForCTC, "from_pretrained", lambda *args, **options: built.append(args))
    rewrite(folder / "config.json", **changes)
    assert "config.json" in refusal(folder)
    assert not built


def test_file_of_a_few_bytes_does_not_become_gigabytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config alone, with weights that hold nothing of the model: the 1.7 kB that took 4 GB."""
    built: list[Any] = []
    monkeypatch.setattr(Wav2Vec2ForCTC, "from_pretrained", lambda *args, **options: built.append(args))
    rewrite(folder / "config.json", hidden_size=2560, num_hidden_layers=48, intermediate_size=10_240)
    save_file({"x": torch.zeros(1)}, folder / "model.safetensors", metadata={"format": "pt"})
    assert "million more values by its config.json than its weights hold" in refusal(folder)
    assert not built


def test_weights_of_other_shapes_are_named(folder: Path) -> None:
    stored = load_file(folder / "model.safetensors")
    name = next(name for name in stored if name.endswith("layers.0.attention.k_proj.weight"))
    save_file(stored | {name: torch.zeros(32, 16)}, folder / "model.safetensors", metadata={"format": "pt"})
    assert f"{name} has the shape [32, 16], not [32, 32]" in refusal(folder)


@pytest.mark.parametrize("key", ["n_fft", "feature_size", "sampling_rate", "hop_length"])
@pytest.mark.parametrize("value", [10**9, "/etc/passwd", [1]])
def test_feature_extractor_has_plain_settings_of_possible_sizes(tmp_path: Path, key: str, value: Any) -> None:
    folder = write_checkpoint(tmp_path / "model", "parakeet_ctc")
    settings = json.loads((folder / "processor_config.json").read_text())
    settings["feature_extractor"][key] = value
    (folder / "processor_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=f"impossible {key}"):
        processors.load_feature_extractor(folder)


# Files outside the folder


@pytest.mark.parametrize(
    "name", ["config.json", "vocab.json", "tokenizer_config.json", "processor_config.json", "model.safetensors"]
)
def test_links_do_not_lead_out_of_the_folder(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    assert "is a link that leads out of the checkpoint's folder" in refusal(folder)


def test_links_within_the_folder_and_to_the_hub_cache_are_followed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "cache_dir", lambda kind: tmp_path / "hub")
    (tmp_path / "hub").mkdir()
    (folder / "vocab.json").rename(tmp_path / "hub" / "blob")
    (folder / "vocab.json").symlink_to(tmp_path / "hub" / "blob")
    (folder / "config.json").rename(folder / "other.json")
    (folder / "config.json").symlink_to("other.json")
    assert Engine(str(folder)).num_tokens == 8


@pytest.mark.parametrize("name", ["/etc/passwd", "../other/model.safetensors", "a/b", "", "..", 3, "\0"])
def test_index_of_weights_names_files_of_the_folder(folder: Path, name: Any) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    assert ("names weights that are not there" if name == 3 else "is not in it") in refusal(folder)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "a/b"])
def test_language_is_no_path(folder: Path, name: str) -> None:
    with pytest.raises(ModelError, match="is no language"):
        weights.load_model(folder, weights.load_config(folder), target_lang=name)


# Pickles


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_pickle_runs_no_code(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Evil(mark)}, folder / "pytorch_model.bin")
    refusal(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"lm_head.weight": Evil(mark)}))
    refusal(folder)
    assert not mark.exists()


def test_pickles_are_read_for_the_operator_alone(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", lambda *_, **__: pytest.fail("a pickle is read outside the sandbox"))
        assert Engine(str(folder)).num_tokens == 8
    with access.as_visitor("somebody"):
        assert "a pickle, which could run code here" in refusal(folder)
        monkeypatch.setattr(credentials, "cache_dir", lambda kind: tmp_path)  # what the operator has fetched
        assert Engine(str(folder)).num_tokens == 8


# Sizes of the other files


def test_settings_and_vocabulary_have_limits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabularies, "MAX_TOKENS", 100)
    for content in ({"a": -1}, {"a": 10**12}, {"a": "0"}, {"a": True}, {chr(300 + n): n % 9 for n in range(101)}):
        (folder / "vocab.json").write_text(json.dumps(content))
        assert "vocab.json" in refusal(folder)
    (folder / "vocab.json").write_text("[" * 100_000)
    assert "vocab.json" in refusal(folder)
    (folder / "config.json").write_text(" " * (checkpoints.MAX_SETTINGS_BYTES + 1))
    assert "is larger than the 4 MB" in refusal(folder)


@pytest.mark.parametrize("length", [2**60, 2**40, checkpoints.MAX_HEADER_BYTES + 1, 3])
def test_header_of_weights_is_not_read_at_any_length(folder: Path, length: int) -> None:
    weights_file = folder / "model.safetensors"
    assert checkpoints.count_weights(folder) > 10_000
    weights_file.write_bytes(struct.pack("<Q", length) + weights_file.read_bytes()[8:])
    with pytest.raises(ModelError, match="has no readable header"):
        checkpoints.count_weights(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"add_adapter": True, "num_adapter_layers": 10**12},
        {"add_adapter": True, "adapter_stride": 10**400, "num_adapter_layers": 101},
        {"conv_kernel": [1] * 101, "conv_stride": [1] * 101},
    ],
)
def test_frames_of_impossible_configs_are_not_counted(folder: Path, changes: dict[str, Any]) -> None:
    rewrite(folder / "config.json", **changes)
    with pytest.raises(ModelError, match="impossible convolution or window sizes"):
        frames.read(folder)
