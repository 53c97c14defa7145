import types
from dataclasses import replace

import pytest
import torch
from transformers import Wav2Vec2Config

from asrkit.config import TrainConfig
from asrkit.decoding.lexicon import LexiconDecoder
from asrkit.training import evaluation
from asrkit.training.clip_decoding import Interrupted
from asrkit.training.model import load
from tests.support.evaluation import evaluate

LENGTHS = (0.31, 1.0, 0.52, 0.77, 0.9)


@pytest.fixture
def verbose_model(checkpoint):
    """(processor, model): random weights whose output layer is scaled up, so that it outputs many letters."""

    def make(kind="wav2vec2", **changes):
        base = checkpoint(kind, **changes)
        processor, model = load(str(base), TrainConfig(model=str(base)), [])
        with torch.no_grad():
            model.lm_head.weight.normal_(0, 20, generator=torch.Generator().manual_seed(3))
            model.lm_head.bias.zero_()
        return processor, model

    return make


def run(processor, model, rows, size, **more):
    return evaluate(model, processor, rows, batch_size=size, **more)


def hypotheses(monkeypatch, *arguments):
    """Return the hypotheses of all clips in the order of the manifest, and the evaluation."""
    scored_texts = []
    real = evaluation.metrics.score
    with monkeypatch.context() as patched:
        patched.setattr(evaluation.metrics, "score", lambda refs, hyps: scored_texts.append(hyps) or real(refs, hyps))
        found = run(*arguments)
    return scored_texts[0], found


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "wav2vec2-bert"])
def test_results_do_not_depend_on_batch_size(verbose_model, clips, monkeypatch, kind):
    processor, model = verbose_model(kind)
    rows = clips(*LENGTHS)
    alone, one = hypotheses(monkeypatch, processor, model, rows, 1)
    assert len(set(alone)) >= 4 and len("".join(alone)) > 20, "the model outputs some letters"
    for size in (2, 4, 5):
        together, found = hypotheses(monkeypatch, processor, model, rows, size)
        assert together == alone
        assert found.loss == pytest.approx(one.loss, rel=1e-4)
        assert found.blank_share == pytest.approx(one.blank_share, abs=1e-9)
        assert (found.scores.wer.rate, found.scores.cer.rate) == (one.scores.wer.rate, one.scores.cer.rate)


def test_model_without_mask_is_evaluated_clip_by_clip(verbose_model, clips, monkeypatch):
    processor, model = verbose_model(feat_extract_norm="group", do_stable_layer_norm=False)
    rows = clips(*LENGTHS)
    alone, _ = hypotheses(monkeypatch, processor, model, rows, 1)
    assert hypotheses(monkeypatch, processor, model, rows, 4)[0] == alone and len("".join(alone)) > 20


def test_out_of_memory_halves_the_batch_and_keeps_results(verbose_model, clips, monkeypatch):
    processor, model = verbose_model()
    rows, forward, sizes = clips(0.5, 1.2, 0.8, 0.3, 0.9), model.forward, []
    wanted = evaluate(model, processor, rows, batch_size=5).to_event_data()

    def limited_forward(*args, **batch):
        sizes.append(len(batch["labels"]))
        if sizes[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(*args, **batch)

    monkeypatch.setattr(model, "forward", limited_forward)
    found = evaluate(model, processor, rows, batch_size=5).to_event_data()
    assert sizes == [5, 2, 1, 1, 1, 1, 1]
    assert found.pop("loss") == pytest.approx(wanted.pop("loss"), rel=1e-5)
    assert found | {"seconds": 0} == wanted | {"seconds": 0}
    monkeypatch.setattr(model, "forward", lambda **batch: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA")))
    with pytest.raises(torch.OutOfMemoryError):
        evaluate(model, processor, rows, batch_size=5)


class FakeModel(torch.nn.Module):
    """A model that outputs `letter` on true frames and `after` on padding; the loss of a clip is its duration."""

    def __init__(self, letter=3, after=0):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.letter, self.after = letter, after
        self.lm_head = torch.nn.Linear(1, 8)
        self.config = Wav2Vec2Config(pad_token_id=0, vocab_size=8)
        self.base_model, self.base_model_prefix = None, "wav2vec2"
        self.batches = []

    def _get_feat_extract_output_lengths(self, lengths):
        return (lengths - 400) // 320 + 1

    def forward(self, input_values, attention_mask, labels):
        samples = attention_mask.sum(-1)
        self.batches.append(samples.tolist())
        frames = self._get_feat_extract_output_lengths(samples)
        ids = torch.full((len(samples), int(self._get_feat_extract_output_lengths(input_values.shape[1]))), self.after)
        for row, count in zip(ids, frames, strict=True):
            row[:count] = self.letter
        return types.SimpleNamespace(logits=torch.nn.functional.one_hot(ids, 8).float(), loss=(samples / 16_000).mean())


@pytest.fixture
def processor(checkpoint):
    base = checkpoint()
    return load(str(base), TrainConfig(model=str(base)), [])[0]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_blank_share_counts_true_frames_only(processor, clips, size):
    rows = clips(1.0, 0.5, 0.25)
    assert run(processor, FakeModel(letter=3, after=0), rows, size).blank_share == 0.0
    assert run(processor, FakeModel(letter=0, after=3), rows, size).blank_share == 1.0


def test_unknown_tokens_are_counted_but_not_decoded(processor, clips):
    found = run(processor, FakeModel(letter=processor.tokenizer.unk_token_id), clips(1.0, 0.5), 2)
    assert found.unknown_share == 1.0 and {row["hypothesis"] for row in found.samples} == {""}
    assert run(processor, FakeModel(letter=3), clips(1.0, 0.5), 2).unknown_share == 0.0


def test_padding_frames_are_not_decoded(processor, clips):
    found = run(processor, FakeModel(letter=3, after=4), clips(1.0, 0.5, texts=("a",)), 2)
    assert found.scores.wer.rate == 0


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_loss_is_mean_over_clips(processor, clips, size):
    """Five clips of 1, 2, 3, 4 and 5 tenths of a second: 0.3 on average, however they are batched."""
    model = FakeModel()
    found = run(processor, model, clips(0.1, 0.2, 0.3, 0.4, 0.5), size)
    assert found.loss == pytest.approx(0.3) and found.audio_seconds == pytest.approx(1.5)
    assert [samples for batch in model.batches for samples in batch] == [8000, 6400, 4800, 3200, 1600]
    assert found.utterances == 5


def test_batches_are_filled_by_seconds_with_clips_of_like_lengths(processor, clips):
    """24 s of padded audio on a CPU; clips share a batch if the shortest has 0.8 of the longest."""
    model = FakeModel()
    run(processor, model, clips(0.5, *[4.0] * 7, 0.45, 0.3), 0)
    assert [[samples / 16_000 for samples in batch] for batch in model.batches] == [
        [4.0] * 6,
        [4.0],
        [0.5, 0.45],
        [0.3],
    ]


def test_references_and_hypotheses_are_normalised(processor, clips):
    rows = clips(0.5, texts=("A!",))
    assert evaluate(FakeModel(), processor, rows, batch_size=1, normaliser="basic").scores.wer.rate == 0
    assert evaluate(FakeModel(), processor, rows, batch_size=1).scores.wer.rate == 1


def test_samples_are_fixed_clips_and_the_worst(processor, clips):
    """Of 20 clips 0, 5, 10, 14 and 19; then those of CER 3/4, 2/3 and 1/2."""
    texts = ["a"] * 20
    texts[3], texts[7], texts[8], texts[5] = "ab", "abcd", "abc", "abcde"
    rows = clips(*[0.1] * 20, texts=tuple(texts))
    found = run(processor, FakeModel(), rows, 8)
    assert [sample["id"] for sample in found.samples] == [rows[index].id for index in (0, 5, 10, 14, 19, 7, 8, 3)]
    assert [sample["worst"] for sample in found.samples] == [False] * 5 + [True] * 3
    assert found.samples[1] == {
        "id": rows[5].id,
        "audio": rows[5].audio,
        "reference": "abcde",
        "hypothesis": "a",
        "worst": False,
    }


def test_small_sets_have_fewer_samples(processor, clips):
    assert len(run(processor, FakeModel(), clips(0.1, 0.2, texts=("a", "b")), 8).samples) == 2
    assert len(run(processor, FakeModel(), clips(0.1, texts=("a",)), 8).samples) == 1


def test_event_data_has_all_metrics(processor, clips):
    data = run(processor, FakeModel(), clips(0.5, 0.5, texts=("a", "b a")), 2).to_event_data()
    assert set(data) == {
        "loss",
        "wer",
        "cer",
        "mer",
        "counts",
        "blank_share",
        "unknown_share",
        "length_ratio",
        "utterances",
        "of",
        "audio_seconds",
        "seconds",
        "samples",
        "wer_interval",
    }
    assert data["wer"] == pytest.approx(1 / 3) and data["cer"] == pytest.approx(2 / 4)
    assert data["counts"]["wer"] == {"substitutions": 0, "deletions": 1, "insertions": 0, "reference_length": 3}


def test_several_datasets_are_scored_each(processor, clips):
    rows = clips(0.5, 0.4, 0.3)
    assert "datasets" not in run(processor, FakeModel(), rows, 2).to_event_data()
    rows = [replace(row, dataset=name) for row, name in zip(rows, ["mine", "hub:a/b", "mine"], strict=True)]
    data = run(processor, FakeModel(), rows, 2).to_event_data()
    assert {name: rates["utterances"] for name, rates in data["datasets"].items()} == {"hub:a/b": 1, "mine": 2}
    alone = run(processor, FakeModel(), [rows[0], rows[2]], 2).to_event_data()
    assert data["datasets"]["mine"]["wer"] == alone["wer"]


def test_progress_callback_can_interrupt(processor, clips):
    model, calls = FakeModel().train(), []
    run(processor, model, clips(*[0.1] * 5), 2, on_progress=lambda done, total: not calls.append((done, total)))
    assert calls == [(0, 5), (2, 5), (4, 5)] and model.training
    with pytest.raises(Interrupted):
        run(processor, model, clips(*[0.1] * 5), 2, on_progress=lambda done, total: done < 2)
    assert model.training, "training goes on as before"


def test_evaluation_disables_dropout(verbose_model, clips, monkeypatch):
    processor, model = verbose_model()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.9
    rows = clips(0.5, 0.6)
    first, second = (hypotheses(monkeypatch, processor, model.train(), rows, 2)[0] for _ in range(2))
    assert first == second


def test_lexicon_decoding_also_reports_greedy_scores(verbose_model, clips):
    """`wer` is that of lexicon decoding, `greedy_wer` that of greedy decoding of the same frames."""
    processor, model = verbose_model()
    rows = clips(*LENGTHS)
    free = run(processor, model, rows, 2).to_event_data()
    assert "greedy_wer" not in free
    listed = run(
        processor, model, rows, 2, lexicon_decoder=LexiconDecoder.from_processor(["ab", "cab", "deed"], processor)
    ).to_event_data()
    assert (listed["greedy_wer"], listed["greedy_cer"]) == (free["wer"], free["cer"])
    assert listed["wer"] != listed["greedy_wer"]
    assert all(set(sample["hypothesis"].split()) <= {"ab", "cab", "deed"} for sample in listed["samples"])
