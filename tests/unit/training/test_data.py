import numpy as np
import pytest
import soundfile
import torch

from asrkit.config import TrainConfig
from asrkit.data.manifest import Utterance
from asrkit.training.augment import STRENGTHS
from asrkit.training.data import IGNORED_LABEL, Collator, SpeechDataset
from asrkit.training.model import load


@pytest.fixture
def processor(checkpoint):
    base = checkpoint()
    return load(str(base), TrainConfig(model=str(base)), [])[0]


def test_item_has_normalised_features_and_labels(processor, clips):
    item = SpeechDataset(clips(0.5), processor)[0]
    assert item["labels"] == [3, 4] and item["duration_s"] == 0.5
    assert item["features"].shape == (8000,)
    assert item["features"].mean() == pytest.approx(0, abs=1e-3)
    assert item["features"].std() == pytest.approx(1, abs=1e-3)


def test_item_reads_segment_of_file(processor, tmp_path):
    samples = np.concatenate([np.zeros(16_000), 0.1 * np.sin(np.arange(8000) / 5)])
    soundfile.write(tmp_path / "long.wav", samples, 16_000)
    item = SpeechDataset([Utterance(str(tmp_path / "long.wav"), "ab", 0.5, start_s=1.0, end_s=1.5)], processor)[0]
    assert len(item["features"]) == 8000 and np.abs(item["features"][:100]).max() > 0.5


def test_augmentation_depends_on_seed_epoch_and_clip(processor, clips):
    dataset = SpeechDataset(clips(0.5, 0.5), processor, STRENGTHS["strong"], seed=3)
    first, again, later, other = (dataset[key]["features"] for key in ((0, 0), (0, 0), (1, 0), (0, 1)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, later) and not np.array_equal(first, other)
    reseeded = SpeechDataset(dataset.utterances, processor, STRENGTHS["strong"], seed=4)
    assert not np.array_equal(reseeded[0, 0]["features"], first)


def test_undecodable_clip_has_an_error(processor, tmp_path):
    (tmp_path / "bad.wav").write_text("a letter")
    item = SpeechDataset([Utterance(str(tmp_path / "bad.wav"), "a", 1.0)], processor)[0]
    assert "bad.wav cannot be read as audio" in item["error"]


def test_batch_is_padded_and_masked(processor, clips):
    dataset = SpeechDataset(clips(0.5, 0.25, texts=("a cab", "b")), processor)
    batch = Collator(processor)([dataset[0], dataset[1]])
    assert batch["input_values"].shape == (2, 8000) and batch["input_values"].dtype == torch.float32
    assert batch["attention_mask"].sum(-1).tolist() == [8000, 4000]
    assert (batch["input_values"][1, 4000:] == 0).all()
    assert torch.equal(batch["input_values"][1, :4000], torch.from_numpy(dataset[1]["features"]))
    assert batch["labels"].tolist() == [[3, 2, 5, 3, 4], [4, *[IGNORED_LABEL] * 4]]
    assert batch["about"] == {"audio_seconds": 0.75, "clips": [0, 1], "bad": {}}


def test_group_norm_models_get_no_mask(checkpoint, clips):
    base = checkpoint(feat_extract_norm="group", do_stable_layer_norm=False)
    processor, _ = load(str(base), TrainConfig(model=str(base)), [])
    dataset = SpeechDataset(clips(0.5, 0.25), processor)
    assert set(Collator(processor)([dataset[0], dataset[1]])) == {"input_values", "labels", "about"}


def test_mel_features_are_padded_and_masked(checkpoint, clips):
    """A second has 98 windows of 10 ms, which are stacked in pairs."""
    base = checkpoint("wav2vec2-bert")
    processor, _ = load(str(base), TrainConfig(model=str(base)), [])
    dataset = SpeechDataset(clips(1.0, 0.5), processor)
    assert dataset[0]["features"].shape == (49, 160) and dataset[0]["duration_s"] == 1.0
    batch = Collator(processor)([dataset[0], dataset[1]])
    assert batch["input_features"].shape == (2, 49, 160) and batch["input_features"].dtype == torch.float32
    assert batch["attention_mask"].sum(-1).tolist() == [49, 24]


@pytest.mark.parametrize(
    ("kind", "shortest"),
    [("wav2vec2", 400 + 320 * 10), ("hubert", 400 + 320 * 10), ("wavlm", 400 + 320 * 10), ("wav2vec2-bert", 11)],
)
def test_min_length_allows_masking(checkpoint, clips, kind, shortest):
    """SpecAugment refuses fewer frames than a mask is long."""
    base = checkpoint(kind)
    settings = TrainConfig(model=str(base), mask_time_prob=0.5, mask_time_length=10)
    processor, model = load(str(base), settings, [])
    items = [SpeechDataset(clips(0.1, texts=("a",)), processor)[0]]
    batch = Collator(processor, shortest)(items)
    batch.pop("about")
    assert torch.isfinite(model.train()(**batch).loss)
