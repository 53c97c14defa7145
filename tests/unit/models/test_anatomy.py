"""The anatomy of every CTC architecture of transformers, on tiny checkpoints that are built from their configs."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCTC, Wav2Vec2FeatureExtractor
from transformers.models.auto.modeling_auto import MODEL_FOR_CTC_MAPPING_NAMES

from asrkit.errors import ModelError
from asrkit.models import anatomy, checkpoints, features, frames, processors
from tests.support.checkpoints import ARCHITECTURES, write_checkpoint

LENGTHS = (16_000, 7_000, 9_123, 8_000, 12_345, 5_000, 6_400, 10_001)
HEADS = {"parakeet_ctc": "conv1d", "lasr_ctc": "conv1d", "granite_speech5_ctc": "tied"}
FRAMES_MS = {"parakeet_ctc": 80, "lasr_ctc": 40, "granite_speech5_ctc": 80}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """build(kind, **changes) -> (folder, model, processor), each made once."""
    made = {}

    def get(kind, **changes):
        key = repr((kind, sorted(changes.items())))
        if key not in made:
            folder = write_checkpoint(tmp_path_factory.mktemp("anatomy") / kind, kind, **changes)
            model = AutoModelForCTC.from_pretrained(folder, dtype=torch.float32).eval()
            made[key] = folder, model, processors.load_processor(folder)
        return made[key]

    return get


def test_every_architecture_of_the_library_is_covered():
    assert set(ARCHITECTURES) == set(MODEL_FOR_CTC_MAPPING_NAMES) == checkpoints.CTC_TYPES


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_head_blank_and_names(build, kind):
    folder, model, processor = build(kind)
    parts = anatomy.of(model, processor, str(folder))
    assert (parts.model_type, parts.head.kind) == (kind, HEADS.get(kind, "linear"))
    assert parts.head_of(model).weight.shape[0] == parts.head.num_rows == model.config.vocab_size
    assert parts.blank_id == {"parakeet_ctc": 16}.get(kind, 0)
    assert parts.inputs.mask_name == ("padding_mask" if kind == "omniasr_ctc" else "attention_mask")
    assert parts.frame_ms == FRAMES_MS.get(kind, 20) and parts.sampling_rate == 16_000
    assert (parts.feature_encoder is None) == (kind in ("wav2vec2-bert", "granite_speech5_ctc"))
    if parts.feature_encoder:
        assert any(True for _ in model.get_submodule(parts.feature_encoder).parameters())


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_frames_are_those_of_the_output_with_and_without_torch(build, kind):
    """One by one, in a batch, by the model's own function, and by the configuration files alone."""
    folder, model, processor = build(kind)
    parts, geometry = anatomy.of(model, processor), frames.read(folder)
    assert geometry == parts.geometry
    rng = np.random.default_rng(0)
    clips = [0.1 * rng.standard_normal(length).astype(np.float32) for length in LENGTHS]
    extracted = [features.extract(processor.feature_extractor, clip) for clip in clips]
    batch = features.pad(parts.inputs, extracted)
    with torch.inference_mode():
        together = model(**batch).logits
        alone = [model(**features.pad(parts.inputs, [one])).logits[0] for one in extracted]
    counts = parts.count_batch_frames(batch).tolist()
    assert counts == [len(one) for one in alone] == [parts.num_frames(length) for length in LENGTHS]
    assert counts == [geometry.num_frames(length) for length in LENGTHS]
    assert counts == [geometry.num_frames_in(length / 16_000) for length in LENGTHS]
    differences = [float((one - row[: len(one)]).abs().max()) for one, row in zip(alone, together, strict=True)]
    assert (max(differences) < 1e-4) == parts.is_batch_invariant, "padding changes the frames of some architectures"


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_shortest_clip_with_a_frame(build, kind):
    folder, model, processor = build(kind)
    parts = anatomy.of(model, processor)
    assert parts.num_frames(parts.min_samples) == 1 and parts.num_frames(parts.min_samples - 1) == 0
    for length in range(0, 9000, 211):
        assert parts.num_frames(length) == parts.geometry.num_frames(length)


@pytest.mark.parametrize(
    ("kind", "changes", "frame_ms"),
    [
        ("wav2vec2-bert", {"num_adapter_layers": 1}, 40),
        ("wav2vec2", {"num_adapter_layers": 2}, 80),
        ("data2vec-audio", {"num_adapter_layers": 1}, 40),
        ("wav2vec2-conformer", {"num_adapter_layers": 1}, 40),
    ],
)
def test_adapter_shortens_the_output(build, kind, changes, frame_ms):
    folder, model, processor = build(kind, add_adapter=True, output_hidden_size=32, **changes)
    parts = anatomy.of(model, processor)
    assert parts.has_adapter and parts.frame_ms == frame_ms and not parts.is_batch_invariant
    for length in (16_000, 12_345, 7_001):
        one = features.extract(processor.feature_extractor, np.ones(length, np.float32) * np.sin(np.arange(length)))
        with torch.inference_mode():
            found = model(**features.pad(parts.inputs, [one])).logits.shape[1]
        assert found == parts.num_frames(length) == frames.read(folder).num_frames(length)


def test_model_of_8_khz_is_given_8_khz(build):
    """A hop of 320 samples is 40 ms there."""
    folder, model, processor = build("wav2vec2")
    extractor = Wav2Vec2FeatureExtractor(sampling_rate=8_000, do_normalize=True, return_attention_mask=True)
    slow = SimpleNamespace(feature_extractor=extractor, tokenizer=processor.tokenizer)
    parts = anatomy.of(model, slow)
    assert (parts.sampling_rate, parts.frame_ms, parts.min_samples) == (8_000, 40.0, 799)
    tone = np.sin(2 * np.pi * 1_000 * np.arange(16_001) / 16_000).astype(np.float32)
    resampled = features.extract(extractor, tone)
    assert len(resampled) == 8_001
    spectrum = np.abs(np.fft.rfft(resampled[:8_000]))
    assert spectrum.argmax() == 1_000, "a second of a tone of 1 kHz"
    assert parts.num_frames(16_001) == (8_001 - 400) // 320 + 1


def test_labels_that_need_more_frames_are_infeasible(build):
    parts = anatomy.of(*build("wav2vec2")[1:])
    labels = torch.tensor([[3, 3, 4], [3, 4, 5], [3, 3, -100], [-100, -100, -100]])
    assert parts.is_infeasible(labels, torch.tensor([3, 3, 3, 0])).tolist() == [True, False, False, False]
    losses = torch.nn.functional.ctc_loss(
        torch.zeros(3, 3, 8).log_softmax(-1),
        torch.tensor([[3, 3, 4], [3, 4, 5], [3, 3, 1]]),
        torch.tensor([3, 3, 3]),
        torch.tensor([3, 3, 2]),
        reduction="none",
    )
    assert torch.isinf(losses).tolist() == [True, False, False]


# What contradicts itself


def test_head_that_contradicts_the_config_is_rejected(build):
    _, model, processor = build("hubert")
    model.config.vocab_size = 99
    try:
        with pytest.raises(ModelError, match="has 8 rows, but its config.json says vocab_size 99"):
            anatomy.of(model, processor, "tiny")
    finally:
        model.config.vocab_size = 8


def test_model_without_a_head_is_rejected(build):
    _, model, processor = build("wav2vec2")
    with pytest.raises(ModelError, match=r"The model tiny \(Wav2Vec2Model\) has no CTC output layer"):
        anatomy.of(model.wav2vec2, processor, "tiny")


@pytest.mark.parametrize("blank_id", [None, 8, -1])
def test_missing_blank_is_rejected(build, blank_id):
    _, model, processor = build("wavlm")
    model.config.pad_token_id, before = blank_id, model.config.pad_token_id
    try:
        with pytest.raises(ModelError, match="The blank of the model tiny is .* none of its 8 outputs; set blank_id"):
            anatomy.of(model, processor, "tiny")
    finally:
        model.config.pad_token_id = before


def test_mask_of_another_model_is_rejected(build):
    _, model, processor = build("omniasr_ctc")
    other = SimpleNamespace(feature_extractor=Wav2Vec2FeatureExtractor(return_attention_mask=True), tokenizer=None)
    with pytest.raises(ModelError, match="gives the mask attention_mask, which OmniASRForCTC does not take"):
        anatomy.of(model, other, "tiny")


def test_impossible_convolutions_are_rejected():
    with pytest.raises(ModelError, match="impossible convolution or window sizes"):
        frames.from_settings({"model_type": "wav2vec2", "conv_kernel": [10], "conv_stride": [0]}, {}, "tiny")
