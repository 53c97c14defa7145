"""The blank of converted checkpoints: the starter, a real recogniser, with its outputs in the orders of other tools."""

import csv
import json

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCTC,
    AutoProcessor,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
)

from asrkit.audio import load_audio
from asrkit.config import TrainConfig
from asrkit.errors import ModelError
from asrkit.models import blanks, features, processors
from asrkit.models.features import InputFormat
from asrkit.models.resolution import STARTER_DIR
from asrkit.training.model import load, reload
from asrkit.transcription import engine
from asrkit.transcription.transcriber import Transcriber
from tests.support.checkpoints import write_checkpoint

DEMO = STARTER_DIR.parent / "demo" / "callsigns"
FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>"]
UNUSED_BIAS = -30.0


@pytest.fixture(scope="module")
def wave():
    with open(DEMO / "metadata.csv", encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["split"] == "eval" and " " in row["text"])
    return load_audio(DEMO / row["file_name"])


@pytest.fixture(scope="module", autouse=True)
def full_precision():
    """The texts of two conversions are compared, which bfloat16 rounds differently."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "choose_dtype", lambda device, num_parameters: torch.float32)
        yield


@pytest.fixture(scope="module")
def text(wave):
    """What the starter writes."""
    found = Transcriber(str(STARTER_DIR)).transcribe(wave).text
    assert len(found) > 5
    return found


def convert(folder, tokens, blank_row, pad_token_id, pad_token, loudness=1.0):
    """Write the starter with its outputs in the order of `tokens`, None for one without a token.

    blank_row: the row that gets the starter's blank. loudness: factor of all scores.
    """
    model = AutoModelForCTC.from_pretrained(STARTER_DIR, dtype=torch.float32)
    known = json.loads((STARTER_DIR / "vocab.json").read_text())
    old, rows = model.lm_head, len(tokens)
    head = torch.nn.Linear(old.in_features, rows)
    with torch.no_grad():
        head.weight.zero_(), head.bias.fill_(UNUSED_BIAS)
        for row, token in enumerate(tokens):
            source = known["<pad>"] if row == blank_row else known.get({" ": "|"}.get(token, token))
            if source is not None and (row == blank_row or token not in ("<pad>", "<s>", "</s>")):
                head.weight[row], head.bias[row] = loudness * old.weight[source], loudness * old.bias[source]
    model.lm_head = head
    model.config.vocab_size, model.config.pad_token_id = rows, pad_token_id
    model.save_pretrained(folder)
    vocabulary = {token: row for row, token in enumerate(tokens) if token is not None}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"),
        pad_token=pad_token,
        unk_token="<unk>",
        word_delimiter_token=" " if " " in vocabulary else "|",
        bos_token="<s>" if "<s>" in vocabulary else None,
        eos_token="</s>" if "</s>" in vocabulary else None,
    )
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(STARTER_DIR)
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return folder


def starter_letters():
    known = json.loads((STARTER_DIR / "vocab.json").read_text())
    return [token for token in known if len(token) == 1 and token != "|"]


@pytest.fixture
def conversions():
    """Name -> arguments of `convert` and the blank."""
    letters = starter_letters()
    nemo = [" ", *letters, None]
    return {
        "fairseq": ([*FAIRSEQ, "|", *letters], 0, 1, "<pad>"),
        "nemo": (nemo, len(nemo) - 1, 0, "<pad>"),
        "named": (["<pad>", "<unk>", "|", *letters, "<blank>"], 3 + len(letters), 0, "<pad>"),
        "no padding token": ([*FAIRSEQ, "|", *letters], 0, None, "<pad>"),
        "tokenizer disagrees": (["<unk>", "<pad>", "|", *letters], 1, 0, "<pad>"),
    }


NAMES = ["fairseq", "nemo", "named", "no padding token", "tokenizer disagrees"]


@pytest.mark.parametrize("name", NAMES)
def test_conversion_is_decoded_by_its_own_blank(tmp_path, conversions, wave, text, name):
    folder = convert(tmp_path / "model", *conversions[name])
    transcriber = Transcriber(str(folder))
    assert transcriber.blank_id == conversions[name][1]
    assert transcriber.transcribe(wave).text == text


@pytest.mark.parametrize("name", NAMES)
def test_conversion_is_trained_and_saved_with_its_own_blank(tmp_path, conversions, wave, text, name):
    """What other tools make of the saved model is right too: they take the padding token for the blank."""
    folder = convert(tmp_path / "model", *conversions[name])
    config = TrainConfig(preset="", model=str(folder), vocabulary="keep")
    processor, model = load(str(folder), config, ["alpha two"])
    blank_id = conversions[name][1]
    assert model.config.pad_token_id == processor.tokenizer.pad_token_id == blank_id
    model.save_pretrained(tmp_path / "saved"), processor.save_pretrained(tmp_path / "saved")
    again, plain = reload(tmp_path / "saved", config)[1], AutoProcessor.from_pretrained(tmp_path / "saved")
    assert again.config.pad_token_id == plain.tokenizer.pad_token_id == blank_id
    extractor = processor.feature_extractor
    inputs = features.pad(InputFormat.of(extractor), [features.extract(extractor, wave.samples)])
    with torch.inference_mode():
        ids = again.eval()(**inputs).logits.argmax(-1)
    processors.repair_delimiter(plain.tokenizer)
    assert plain.batch_decode(ids)[0] == text


@pytest.mark.parametrize("name", ["fairseq", "nemo", "no padding token", "tokenizer disagrees"])
def test_unclear_blank_is_refused_until_it_is_set(tmp_path, conversions, wave, text, name):
    """So quiet scores that no output stands out in silence: the blank is asked for, never guessed."""
    folder = convert(tmp_path / "model", *conversions[name], loudness=0.02)
    blank_id = conversions[name][1]
    with pytest.raises(ModelError, match=r"The CTC blank of the model .* cannot be determined: .*set blank_id"):
        Transcriber(str(folder))
    config = TrainConfig(preset="", model=str(folder))
    with pytest.raises(ModelError, match="set blank_id"):
        load(str(folder), config, ["alpha two"])
    _, model = load(str(folder), config.replace({"blank_id": blank_id}), ["alpha two"])
    assert model.config.pad_token_id == blank_id
    settings = json.loads((folder / "config.json").read_text()) | {"blank_token_id": blank_id}
    (folder / "config.json").write_text(json.dumps(settings))
    assert Transcriber(str(folder)).transcribe(wave).text == text


def test_named_blank_decides_where_silence_is_unclear(tmp_path, conversions, wave, text):
    folder = convert(tmp_path / "model", *conversions["named"], loudness=0.02)
    transcriber = Transcriber(str(folder))
    assert transcriber.blank_id == conversions["named"][1] and transcriber.transcribe(wave).text == text


def test_blank_that_is_no_output_is_refused(tmp_path):
    base = write_checkpoint(tmp_path / "base")
    with pytest.raises(ModelError, match=r"The blank \(blank_id\) is 9, but the model has the outputs 0 to 7"):
        load(str(base), TrainConfig(preset="", model=str(base), blank_id=9), ["ab"])
    settings = json.loads((base / "config.json").read_text()) | {"blank_token_id": 12}
    (base / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="The blank_token_id in the config.json of .* is 12, but the model has"):
        Transcriber(str(base))


def test_untrained_model_keeps_its_padding_token(tmp_path):
    """Random outputs are not clear, so the convention holds."""
    base = write_checkpoint(tmp_path / "base")
    model, processor = AutoModelForCTC.from_pretrained(base), processors.load_processor(base)
    assert not blanks.measure_silence(model, processor).is_clear
    assert blanks.find(model, processor, "tiny") == 0


def test_silence_is_measured_without_changing_the_model(tmp_path):
    base = write_checkpoint(tmp_path / "base", layerdrop=0.1)
    model, processor = AutoModelForCTC.from_pretrained(base).train(), processors.load_processor(base)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        model.lm_head.bias[5] += 20
    before["lm_head.bias"] = model.lm_head.bias.detach().clone()
    heard = blanks.measure_silence(model, processor)
    assert (heard.token, heard.share) == (5, 1.0) and heard.probability > 0.99 and model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert blanks.find(model, processor, "tiny") == 0, "a letter is no blank, however often it is said"
    assert np.isclose(heard.probability, 1.0, atol=1e-2)
