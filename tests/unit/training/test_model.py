import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCTC, AutoProcessor, Wav2Vec2CTCTokenizer

from asrkit.config import TrainConfig
from asrkit.decoding.greedy import GreedyDecoder
from asrkit.decoding.tokens import Speller
from asrkit.errors import ModelError
from asrkit.models import anatomy, features, memory_format
from asrkit.training import data, lora
from asrkit.training.model import load, reload
from asrkit.transcription.engine import Engine
from tests.support.checkpoints import ARCHITECTURES

KINDS = ["wav2vec2", "hubert", "wavlm", "data2vec-audio", "wav2vec2-bert"]
TEXTS = ["a cab", "bad deed"]


def config(base, **changes):
    return TrainConfig(preset="", model=str(base), **changes)


def loaded(base, texts=TEXTS, **changes):
    return load(str(base), config(base, **changes), texts)


def head_of(base):
    """(weight, bias) of the output layer in the checkpoint."""
    stored = load_file(base / "model.safetensors")
    return stored["lm_head.weight"], stored["lm_head.bias"]


def vocabulary(processor):
    return processor.tokenizer.get_vocab()


def batch_of(processor, *samples):
    items = [
        {
            "features": features.extract(processor.feature_extractor, sample),
            "labels": [3, 4],
            "duration_s": len(sample) / 16_000,
            "clip": 0,
        }
        for sample in samples
    ]
    batch = data.Collator(processor)(items)
    batch.pop("about")
    return batch


def noise(samples):
    return torch.randn(samples, generator=torch.Generator().manual_seed(1)).numpy()


# Heads and vocabularies


@pytest.mark.parametrize("kind", KINDS)
def test_encoder_gets_fresh_head(checkpoint, kind):
    """The vocabulary comes from the texts: blank 0, unknown 1, word delimiter 2, letters; the encoder is kept."""
    base = checkpoint(kind, head=False)
    processor, model = loaded(base, vocabulary="keep")
    assert vocabulary(processor) == {"<pad>": 0, "<unk>": 1, "|": 2, "a": 3, "b": 4, "c": 5, "d": 6, "e": 7}
    assert model.lm_head.out_features == model.config.vocab_size == 8
    assert model.config.pad_token_id == processor.tokenizer.pad_token_id == 0
    stored = {
        name.partition(".")[2] if name.startswith(kind[:6]) else name: tensor
        for name, tensor in load_file(base / "model.safetensors").items()
    }
    encoder = dict(model.base_model.named_parameters())
    same = [name for name in encoder if name in stored and torch.equal(encoder[name], stored[name])]
    assert len(same) > 20 and set(encoder) == set(same)
    answer = model(**batch_of(processor, noise(16_000), noise(8_000)))
    assert torch.isfinite(answer.loss) and answer.logits.shape[-1] == 8


@pytest.mark.parametrize("kind", KINDS)
def test_tuned_head_is_kept(checkpoint, kind):
    base = checkpoint(kind)
    processor, model = loaded(base)
    weight, bias = head_of(base)
    assert torch.equal(model.lm_head.weight, weight) and torch.equal(model.lm_head.bias, bias)
    assert processor.tokenizer("a cab").input_ids == [3, 2, 5, 3, 4]


def test_keep_rejects_unknown_characters(checkpoint):
    base = checkpoint(letters="abcd")
    with pytest.raises(ModelError) as caught:
        loaded(base, ["deed", "fed"], vocabulary="keep")
    assert str(caught.value) == (
        f"{base} does not know 'e', 'f'; set Vocabulary to auto, or choose a normaliser that removes them."
    )


@pytest.mark.parametrize("policy", ["keep", "extend"])
def test_uppercase_vocabulary_is_lowercased(checkpoint, tmp_path, policy):
    """As in facebook/wav2vec2-base-960h: the output row of A serves for a, because texts are in lower case."""
    base = checkpoint(letters="ABCDE'", marks=("<s>", "</s>"))
    processor, model = loaded(base, vocabulary=policy)
    assert torch.equal(model.lm_head.weight, head_of(base)[0])
    before = AutoProcessor.from_pretrained(base).tokenizer("A CAB").input_ids
    assert processor.tokenizer("a cab").input_ids == before and processor.tokenizer.decode([before[0]]) == "a"
    processor.save_pretrained(tmp_path / "saved")
    assert AutoProcessor.from_pretrained(tmp_path / "saved").tokenizer("a cab").input_ids == before


def test_mixed_case_vocabulary_is_kept(checkpoint):
    base = checkpoint(letters="abcdeA")
    processor, _ = loaded(base)
    assert vocabulary(processor)["A"] != vocabulary(processor)["a"]


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert"])
def test_extend_keeps_rows_and_adds_new_ones(checkpoint, tmp_path, kind):
    base = checkpoint(kind, letters="abcd")
    processor, model = loaded(base, ["deed", "fed"], vocabulary="extend")
    weight, bias = head_of(base)
    assert vocabulary(processor) == {"<pad>": 0, "<unk>": 1, "|": 2, "a": 3, "b": 4, "c": 5, "d": 6, "e": 7, "f": 8}
    assert model.lm_head.out_features == model.config.vocab_size == 9
    assert torch.equal(model.lm_head.weight[:7], weight) and torch.equal(model.lm_head.bias[:7], bias)
    assert processor.tokenizer("fed").input_ids == [8, 7, 6]
    assert (model.lm_head.bias[7:] < bias.mean() - 1).all(), "new characters must not outweigh the old ones"
    assert not torch.equal(model.lm_head.weight[7], model.lm_head.weight[8])

    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    again = AutoModelForCTC.from_pretrained(tmp_path / "saved")
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)
    assert vocabulary(AutoProcessor.from_pretrained(tmp_path / "saved")) == vocabulary(processor)


def test_extend_drops_sentence_marks_without_row(checkpoint):
    """Many tokenizers on the Hub count <s> and </s>, which have no row in the output layer."""
    base = checkpoint(letters="ab", marks=("<s>", "</s>"))
    processor, model = loaded(base, ["cab"], vocabulary="extend")
    rows = vocabulary(processor)
    assert rows["a"] == 3 and rows["c"] == model.lm_head.out_features - 1
    assert "<s>" not in rows and "</s>" not in rows
    assert torch.equal(model.lm_head.weight[:5], head_of(base)[0])
    assert processor.tokenizer("cab").input_ids == [rows["c"], 3, 4]


def test_extend_keeps_special_token_names(checkpoint):
    """[PAD] and [UNK] are as common on the Hub as <pad> and <unk>; the blank must stay the blank."""
    base = checkpoint(letters="ab", pad="[PAD]", unknown="[UNK]")
    processor, model = loaded(base, ["cab"], vocabulary="extend")
    assert vocabulary(processor) == {"[PAD]": 0, "[UNK]": 1, "|": 2, "a": 3, "b": 4, "c": 5}
    assert processor.tokenizer.pad_token_id == model.config.pad_token_id == 0
    assert processor.tokenizer.unk_token_id == 1
    assert processor.tokenizer.decode([5, 5, 0, 3, 2, 0, 4, 0]) == "ca b"


def test_fresh_replaces_head(checkpoint):
    base = checkpoint(letters="xyz")
    processor, model = loaded(base, vocabulary="fresh")
    assert set(vocabulary(processor)) == {"<pad>", "<unk>", "|", *"abcde"}
    assert model.lm_head.out_features == 8 and model.config.vocab_size == 8
    assert torch.isfinite(model.lm_head.weight).all()


def test_fresh_resets_blank_id(checkpoint):
    """A base whose blank is not token 0."""
    base = checkpoint(letters="xyz")
    settings = json.loads((base / "config.json").read_text()) | {"pad_token_id": 4}
    (base / "config.json").write_text(json.dumps(settings))
    processor, model = loaded(base, vocabulary="fresh")
    assert model.config.pad_token_id == processor.tokenizer.pad_token_id == 0


# Precision, class defaults, freezing


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert"])
@pytest.mark.parametrize("head", [True, False])
def test_half_precision_is_loaded_as_float32(checkpoint, kind, head):
    for dtype in (torch.float16, torch.bfloat16):
        base = checkpoint(kind, head=head, dtype=dtype)
        _, model = loaded(base)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        _, model = reload(base, config(base)) if head else (None, model)
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", [True, False])
def test_harmful_config_defaults_are_overridden(checkpoint, kind, head):
    base = checkpoint(
        kind,
        head=head,
        ctc_loss_reduction="sum",
        ctc_zero_infinity=False,
        layerdrop=0.1,
        hidden_dropout=0.1,
        attention_dropout=0.1,
        mask_time_prob=0.05,
        mask_time_length=10,
    )
    for found in (loaded(base)[1].config, *([reload(base, config(base))[1].config] if head else [])):
        assert (found.ctc_loss_reduction, found.ctc_zero_infinity) == ("mean", True)
        assert found.layerdrop == found.hidden_dropout == found.attention_dropout == found.mask_time_prob == 0
        assert found.mask_time_min_masks == 0


def test_dropout_and_mask_settings_reach_layers(checkpoint):
    _, model = loaded(
        checkpoint(), hidden_dropout=0.2, attention_dropout=0.3, layerdrop=0.1, mask_time_prob=0.4, mask_time_length=3
    )
    layer = model.wav2vec2.encoder.layers[0]
    assert (layer.dropout.p, layer.attention.dropout) == (0.2, 0.3)
    assert (model.config.layerdrop, model.config.mask_time_prob, model.config.mask_time_length) == (0.1, 0.4, 3)


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("kind", KINDS)
def test_freeze_selects_trained_parameters(checkpoint, kind):
    base = checkpoint(kind)
    everything = {name for name, _ in loaded(base, freeze="nothing")[1].named_parameters()}
    encoder = {name for name in everything if ".feature_extractor." in name}
    assert bool(encoder) == (kind != "wav2vec2-bert")  # which reads mel features and has no such part
    for build in (lambda what: loaded(base, freeze=what), lambda what: reload(base, config(base, freeze=what))):
        assert trained(build("nothing")[1]) == everything
        assert trained(build("feature-encoder")[1]) == everything - encoder
        assert trained(build("all-but-head")[1]) == {"lm_head.weight", "lm_head.bias"}


# Graphemes


@pytest.mark.parametrize("settings", [{}, {"vocabulary": "fresh"}])
@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert"])
def test_graphemes_become_tokens_that_transformers_decodes_alike(checkpoint, tmp_path, kind, settings):
    """AutoProcessor loads them and writes what our decoder writes; a resumed run has them without being told."""
    texts = ["cha be", "bɛ̃ chat"] * 20
    base = checkpoint(kind)
    processor, model = loaded(base, texts, graphemes="CH auto", **settings)
    known = vocabulary(processor)
    assert {"ch", "ɛ̃", "t"} <= known.keys() and "h" not in known and "\u0303" not in known
    assert model.config.vocab_size == max(known.values()) + 1
    out = tmp_path / "out"
    model.save_pretrained(out), processor.save_pretrained(out)
    path = [
        label
        for text in texts[:2]
        for token in Speller.from_tokenizer(processor.tokenizer).encode(text)
        for label in (token, token, 0)
    ]
    expected = GreedyDecoder(processor, 0).to_text(path)
    assert expected == "cha bebɛ̃ chat"
    assert AutoProcessor.from_pretrained(out).tokenizer.decode(path) == expected
    again, _ = reload(out, config(base, graphemes="ch auto"))
    assert vocabulary(again) == known
    assert Speller.from_tokenizer(again.tokenizer).encode("chɛ̃") == [known["ch"], known["ɛ̃"]]


def test_kept_vocabulary_gets_no_graphemes(checkpoint):
    with pytest.raises(ModelError, match="does not know 'ba'; set Vocabulary to auto"):
        loaded(checkpoint(), ["bab"], graphemes="ba", vocabulary="keep")


# LoRA


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_lora_matrix_is_in_use(checkpoint, kind):
    """Only LoRA and the output layer are trained, the loss is that of the base model, and each matrix has a gradient.

    Some attention takes the weights of its layers without calling them, past LoRA.
    """
    base = checkpoint(kind)
    processor, plain = loaded(base, [], freeze="nothing")
    _, model = loaded(base, [], freeze="lora", lora_rank=2)
    head = trained(loaded(base, [], freeze="all-but-head")[1])
    matrices = {name for name, _ in model.named_parameters() if ".lora_" in name}
    assert trained(model) == matrices | head and len(matrices) >= 2 * 2 * 2, "two linear layers in each layer"
    batch = batch_of(processor, noise(16_000), noise(12_000))
    expected, found = plain.eval()(**batch).loss, model.eval()(**batch).loss
    torch.testing.assert_close(found, expected)
    found.backward()  # B is zero at first, so that A has no gradient yet
    gradients = {name: part.grad for name, part in model.named_parameters() if ".lora_B." in name}
    assert not [name for name, gradient in gradients.items() if gradient is None or not gradient.any()]


@pytest.mark.parametrize("kind", ["wav2vec2", "granite_speech5_ctc"])
def test_merged_lora_loads_plainly_and_resumes_exactly(checkpoint, tmp_path, kind):
    base = checkpoint(kind)
    processor, model = loaded(base, [], freeze="lora", lora_rank=2)
    with torch.no_grad():
        for name, part in model.named_parameters():
            if ".lora_B." in name:
                part.normal_(std=0.1)  # rounding grows with it
    out = tmp_path / "out"
    model.save_pretrained(out, state_dict=lora.merged_state(model)), processor.save_pretrained(out)
    lora.save(model, out)
    batch = batch_of(processor, noise(16_000))
    expected = model.eval()(**batch).logits
    plain = AutoModelForCTC.from_pretrained(out).eval()
    assert not [name for name in plain.state_dict() if "lora" in name]
    torch.testing.assert_close(plain(**batch).logits, expected, atol=1e-4, rtol=1e-4)
    _, resumed = reload(out, config(base, freeze="lora", lora_rank=2))
    for name, part in model.state_dict().items():
        assert torch.equal(part, resumed.state_dict()[name]), name
    (out / lora.FILE).unlink()
    with pytest.raises(ModelError, match="has no usable lora.safetensors"):
        reload(out, config(base, freeze="lora", lora_rank=2))


def test_lora_of_another_rank_is_refused(checkpoint, tmp_path):
    base = checkpoint()
    processor, model = loaded(base, freeze="lora", lora_rank=2)
    model.save_pretrained(tmp_path / "out", state_dict=lora.merged_state(model))
    processor.save_pretrained(tmp_path / "out")
    lora.save(model, tmp_path / "out")
    with pytest.raises(ModelError, match="belongs to another model"):
        reload(tmp_path / "out", config(base, freeze="lora", lora_rank=3))


# Adapters and MMS


def adapters_of(model):
    return {name for name, _ in model.named_parameters() if ".adapter_layer." in name}


def test_missing_adapters_are_added_and_trained(checkpoint):
    """A model without adapters gets them; they and the output layer alone are trained, now and after a resume."""
    base = checkpoint()
    _, model = loaded(base, freeze="all-but-adapters")
    assert model.config.adapter_attn_dim == 16 and len(adapters_of(model)) == 2 * 6
    wanted = adapters_of(model) | {"lm_head.weight", "lm_head.bias"}
    assert trained(model) == wanted
    model.save_pretrained(base)
    assert trained(reload(base, config(base, freeze="all-but-adapters"))[1]) == wanted


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("hubert", {}),
        ("wav2vec2-bert", {}),
        ("wav2vec2", {"do_stable_layer_norm": False}),
    ],
)
def test_adapters_are_rejected_for_unsupported_models(checkpoint, kind, changes):
    with pytest.raises(ModelError, match="does not support adapters"):
        loaded(checkpoint(kind, **changes), freeze="all-but-adapters")


@pytest.fixture
def mms(checkpoint):
    """A checkpoint like those of MMS: for each language a vocabulary, an adapter and an output layer."""
    base = checkpoint(adapter_attn_dim=4)
    model = AutoModelForCTC.from_pretrained(base)
    nested = {"eng": ["<pad>", "<unk>", "|", *"abcde"], "deu": ["<pad>", "<unk>", "|", *"abcdeäöü"]}
    nested = {name: {letter: number for number, letter in enumerate(letters)} for name, letters in nested.items()}
    for name, letters in nested.items():
        weights = {key: torch.full_like(value, 0.01 * len(letters)) for key, value in model._get_adapters().items()}
        weights |= {"lm_head.weight": torch.randn(len(letters), 32), "lm_head.bias": torch.zeros(len(letters))}
        save_file(weights, base / f"adapter.{name}.safetensors")
    (base / "vocab.json").write_text(json.dumps(nested))
    (base / "tokenizer_config.json").unlink()
    tokenizer = Wav2Vec2CTCTokenizer(
        str(base / "vocab.json"),
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token=None,
        eos_token=None,
        target_lang="eng",
    )
    tokenizer.save_pretrained(base)
    return base


@pytest.mark.parametrize(("language", "rows"), [("eng", 8), ("deu", 11)])
def test_mms_loads_adapter_and_vocabulary_of_language(mms, language, rows):
    stored = load_file(mms / f"adapter.{language}.safetensors")
    processor, model = loaded(mms, adapter_language=language, freeze="all-but-adapters")
    assert len(vocabulary(processor)) == model.lm_head.out_features == model.config.vocab_size == rows
    torch.testing.assert_close(model.lm_head.weight.detach(), stored["lm_head.weight"])
    name = next(name for name in adapters_of(model) if name.endswith("linear_1.weight"))
    torch.testing.assert_close(model.get_parameter(name).detach(), stored[name])


def test_saved_mms_model_is_an_ordinary_checkpoint(mms, tmp_path):
    processor, model = loaded(mms, adapter_language="deu", vocabulary="extend", texts=["a bß"])
    model.save_pretrained(tmp_path / "out"), processor.save_pretrained(tmp_path / "out")
    again = AutoModelForCTC.from_pretrained(tmp_path / "out")
    assert again.lm_head.out_features == 12
    assert AutoProcessor.from_pretrained(tmp_path / "out").tokenizer.vocab["ß"] == 11
    torch.testing.assert_close(again.state_dict()["lm_head.weight"], model.state_dict()["lm_head.weight"])


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("", "has a vocabulary for each of 2 languages"),
        ("fra", "has no language 'fra'"),
    ],
)
def test_mms_rejects_missing_language(mms, language, words):
    with pytest.raises(ModelError, match=f"{words}; set MMS language .* to one of deu, eng, or Vocabulary to fresh"):
        loaded(mms, adapter_language=language)


def test_mms_accepts_fresh_vocabulary(mms):
    processor, model = loaded(mms, vocabulary="fresh", freeze="all-but-adapters")
    assert len(vocabulary(processor)) == model.lm_head.out_features == 8
    assert adapters_of(model) < trained(model)


# Memory order


@pytest.mark.parametrize("format", ["channels-last", "products"])
@pytest.mark.parametrize("changes", [{}, {"feat_extract_norm": "group", "do_stable_layer_norm": False}])
@pytest.mark.parametrize("kind", KINDS)
def test_formats_give_same_logits_and_gradients(checkpoint, tmp_path, kind, changes, format):
    """Logits and gradients agree with Hugging Face's own order, and the saved checkpoint does not contain it."""
    base = checkpoint(kind, **({} if kind == "wav2vec2-bert" else changes))
    processor, straight = loaded(base, freeze="nothing")
    memory_format.use(straight, format)
    if kind != "wav2vec2-bert" and (format == "products" or not changes):  # which have such layers
        assert memory_format.find(straight) == format
    plain = AutoModelForCTC.from_pretrained(base, ctc_zero_infinity=True, ctc_loss_reduction="mean")
    batch, found = batch_of(processor, noise(9000), noise(7000)), []
    for model in (plain.eval(), straight.eval()):
        answer = model(**batch)
        answer.loss.backward()
        gradients = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
        found.append((answer.logits, gradients))
    (logits, gradients), (straight_logits, straight_gradients) = found
    torch.testing.assert_close(straight_logits, logits, rtol=1e-3, atol=1e-4)
    assert set(straight_gradients) == set(gradients) and len(gradients) > 10
    for name, gradient in gradients.items():
        torch.testing.assert_close(straight_gradients[name], gradient, rtol=1e-2, atol=1e-4, msg=name)
    straight.save_pretrained(tmp_path / "saved")
    again = AutoModelForCTC.from_pretrained(tmp_path / "saved").eval()
    assert again.config._attn_implementation == plain.config._attn_implementation
    torch.testing.assert_close(again(**batch).logits, logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("taps", "stride"), [(10, 5), (3, 2), (2, 2), (5, 2), (1, 1), (4, 1)])
def test_products_give_the_convolution_of_any_size(checkpoint, taps, stride):
    """In float32 to rounding; under autocast all of a layer stays in the low precision."""
    base = checkpoint("wav2vec2", conv_kernel=(10, taps), conv_stride=(5, stride), conv_dim=(16, 24))
    model = AutoModelForCTC.from_pretrained(base, ignore_mismatched_sizes=True).eval()
    encoder, audio = model.wav2vec2.feature_extractor, torch.from_numpy(noise(2003)).repeat(3, 1)
    with torch.no_grad():
        expected = encoder(audio)
        memory_format.use(model, "products")
        torch.testing.assert_close(encoder(audio), expected, rtol=1e-4, atol=1e-5)
        with torch.autocast("cpu", torch.bfloat16):
            assert encoder(audio).dtype == torch.bfloat16
        memory_format.use(model, "default")
        assert memory_format.find(model) == "default" and torch.equal(encoder(audio), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_checkpointing_gives_same_gradient(checkpoint, kind):
    base, gradients = checkpoint(kind), []
    for switch in (False, True):
        processor, model = loaded(base, gradient_checkpointing=switch)
        assert any(getattr(part, "gradient_checkpointing", False) for part in model.modules()) == switch
        model.train()(**batch_of(processor, noise(16_000))).loss.backward()
        gradients.append(
            model.base_model.encoder.layers[0].ffn1.intermediate_dense.weight.grad
            if kind == "wav2vec2-bert"
            else model.base_model.encoder.layers[0].feed_forward.intermediate_dense.weight.grad
        )
    assert gradients[0].abs().sum() > 0
    torch.testing.assert_close(gradients[0], gradients[1])


# Frames


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm"])
def test_frame_counts_of_waveforms(checkpoint, kind):
    """400 samples give the first frame, 320 more each further one."""
    processor, model = loaded(checkpoint(kind))
    batch = batch_of(processor, noise(16_000), noise(400), noise(719), noise(720))
    assert anatomy.of(model, processor).count_batch_frames(batch).tolist() == [49, 1, 1, 2]


def test_frame_counts_without_mask_are_those_of_longest_clip(checkpoint):
    """Padding counts as audio without a mask, so every clip has the frames of the longest."""
    processor, model = loaded(checkpoint(feat_extract_norm="group", do_stable_layer_norm=False))
    batch = batch_of(processor, noise(16_000), noise(8_000))
    assert "attention_mask" not in batch and anatomy.of(model, processor).count_batch_frames(batch).tolist() == [49, 49]


@pytest.mark.parametrize("adapter", [False, True])
def test_frame_counts_of_mel_features_match_output(checkpoint, adapter):
    """A second has 98 windows of 10 ms, stacked in pairs; an adapter layer of stride 2 halves them again."""
    changes = {"add_adapter": True, "num_adapter_layers": 1, "output_hidden_size": 32} if adapter else {}
    processor, model = loaded(checkpoint("wav2vec2-bert", **changes))
    batch = batch_of(processor, noise(16_000))
    assert anatomy.of(model, processor).count_batch_frames(batch).tolist() == [25 if adapter else 49]
    assert model(**batch).logits.shape[1] == -(-batch["input_features"].shape[1] // (2 if adapter else 1))


# What cannot be loaded


def test_missing_base_raises_model_error(tmp_path):
    with pytest.raises(ModelError, match="The base model .*gone cannot be loaded"):
        loaded(tmp_path / "gone")


def test_head_without_tokenizer_requires_fresh_vocabulary(checkpoint):
    base = checkpoint()
    for path in [*base.glob("*token*"), base / "vocab.json"]:
        path.unlink()
    with pytest.raises(ModelError, match="has an output layer but its tokenizer cannot be loaded .*to fresh"):
        loaded(base)
    processor, _ = loaded(base, vocabulary="fresh")
    assert len(vocabulary(processor)) == 8


def test_missing_feature_extractor_raises_model_error(checkpoint):
    base = checkpoint(head=False)
    (base / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="preprocessor_config.json"):
        loaded(base)


def test_damaged_weights_raise_model_error(checkpoint):
    base = checkpoint()
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(ModelError, match="The base model .* cannot be loaded for CTC"):
        loaded(base)


@pytest.mark.parametrize("kind", ["wav2vec2", "wav2vec2-bert"])
def test_checkpoint_with_language_model_loads_without_it(checkpoint, kind):
    """The language model is ignored, whether or not the package for it is installed."""
    base = checkpoint(kind)
    plain, _ = loaded(base, vocabulary="keep")
    for name in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        if (base / name).exists():
            settings = json.loads((base / name).read_text())
            (base / name).write_text(json.dumps(settings | {"processor_class": "Wav2Vec2ProcessorWithLM"}))
    processor, _ = loaded(base, vocabulary="keep")
    assert type(processor) is type(plain) and vocabulary(processor) == vocabulary(plain)
    assert Engine(str(base)).log_probabilities([noise(8000)])[0].shape[1] == len(vocabulary(plain))


@pytest.mark.parametrize(("language", "expected"), [("en", "en"), ("sw", ""), ("", "")])
def test_common_words_are_kept_in_the_language_of_the_base_alone(checkpoint, language, expected):
    base = checkpoint("wav2vec2")
    settings = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**settings, "common_words": "en"}))
    assert loaded(base, language=language)[1].config.common_words == expected
