"""Every CTC architecture of transformers from training to transcription and export, and compiled training."""

import functools
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.config import TrainConfig
from asrkit.decoding.alignment import align
from asrkit.errors import ModelError
from asrkit.models import anatomy
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.training import compilation
from asrkit.training.data import Collator, SpeechDataset
from asrkit.training.model import load, reload
from asrkit.training.trainer import CtcTrainer
from asrkit.transcription.export import graph
from asrkit.transcription.transcriber import Transcriber
from tests.support.checkpoints import ARCHITECTURES as TYPES
from tests.support.checkpoints import FAMILIES, PIECE_FAMILIES, write_checkpoint, write_noise_clips

GROUP_NORM = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
ADAPTER = {"num_adapter_layers": 1, "output_hidden_size": 32}
ARCHITECTURES = {kind: (kind, {}, {}) for kind in TYPES} | {
    "wav2vec2 with group norm": ("wav2vec2", GROUP_NORM, {}),
    "MMS, adapters only": ("wav2vec2", {"adapter_attn_dim": 4}, {"freeze": "all-but-adapters"}),
    "w2v-BERT with an adapter": ("wav2vec2-bert", ADAPTER, {"add_adapter": True}),
}
KINDS_OF_INPUT = ("wav2vec2", "wav2vec2-bert", "omniasr_ctc")
TEXTS = ("ab", "a cab fad", "deef", "c")
"""With an f that the checkpoints do not know."""


@pytest.fixture
def rows(tmp_path):
    return write_noise_clips(tmp_path, 0.9, 0.4, 0.7, 0.55, texts=TEXTS)


def make_config(base, **changes):
    settings = {
        "preset": "",
        "model": str(base),
        "vocabulary": "extend",
        "freeze": "nothing",
        "mixed_precision": "no",
        "train_batch_size": 2,
        "learning_rate": 1e-3,
        "eval_steps": 2,
        "logging_steps": 1,
        "eval_on_start": False,
        "max_steps": 3,
    }
    return TrainConfig(**settings | changes)


def make_trainer(run, config, loaded, rows):
    processor, model = loaded
    trainer = CtcTrainer(run, config, model, processor, rows, rows[:2])
    trainer.args.dataloader_num_workers = 0
    return trainer


def events_of(run, kind):
    return {event.step: event.data for event in run.events()[0] if event.kind == kind}


def train_losses(run):
    return {step: data["loss"] for step, data in events_of(run, events.TRAIN).items()}


class Trained:
    """A tiny model of an architecture, trained for three steps on texts with a new character."""

    def __init__(self, folder, architecture, head):
        kind, changes, settings = ARCHITECTURES[architecture]
        folder.mkdir()
        self.base = write_checkpoint(folder / "base", kind, head=head, **changes)
        # The coarsest frames are 80 ms.
        self.rows = write_noise_clips(folder, *(1.8, 1.4, 1.7, 1.55), texts=TEXTS)
        masks = {} if kind in PIECE_FAMILIES else {"mask_time_prob": 0.05, "mask_time_length": 2}
        self.config = make_config(self.base, **masks, **settings)
        self.processor, self.model = load(str(self.base), self.config, TEXTS)
        self.run = RunStore(folder / "runs").create(self.config)
        make_trainer(self.run, self.config, (self.processor, self.model), self.rows).train()
        self.transcriber = Transcriber(str(self.run.model_dir))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """trained(architecture, head) -> Trained, each once."""
    folder = tmp_path_factory.mktemp("architectures")
    make = functools.cache(lambda name, head: Trained(folder / f"{name} {head}", name, head))
    return lambda name, head=True: make(name, head)


def noise_clips(*lengths):
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(length).astype(np.float32) for length in lengths]


@pytest.mark.parametrize(
    ("architecture", "head"), [(name, True) for name in ARCHITECTURES] + [(k, False) for k in FAMILIES]
)
def test_architecture_trains_evaluates_and_resumes(trained, architecture, head):
    made = trained(architecture, head)
    losses, evaluations = train_losses(made.run), events_of(made.run, events.EVAL)
    assert sorted(losses) == [1, 2, 3] and all(map(math.isfinite, losses.values()))
    assert sorted(evaluations) == [2, 3] and all(math.isfinite(data["loss"]) for data in evaluations.values())
    assert not any("infinite_losses" in data for data in evaluations.values())
    halfway = made.run.checkpoints()[0]
    assert halfway.name == "checkpoint-2"
    resumed = make_trainer(made.run, made.config, reload(halfway, made.config), made.rows)
    resumed.train(resume_from_checkpoint=str(halfway))
    assert train_losses(made.run)[3] == pytest.approx(losses[3], rel=1e-3), "a resumed run continues the same curve"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_extended_vocabulary_keeps_known_outputs(trained, architecture):
    made = trained(architecture)
    processor, model = load(str(made.base), made.config, TEXTS)
    parts, stored = anatomy.of(model, processor), load_file(made.base / "model.safetensors")
    path = "encoder.out" if parts.head.kind == "tied" and "ctc_head.weight" not in stored else parts.head.path
    old = {name: stored[f"{path}.{name}"] for name in ("weight", "bias")}
    rows = len(old["bias"])
    head = parts.head_of(model)
    assert parts.head.num_rows == len(head.bias) == rows + 1
    assert torch.equal(head.weight[:rows], old["weight"]) and torch.equal(head.bias[:rows], old["bias"])
    dataset = SpeechDataset(made.rows, processor)
    labels = [dataset.speller.encode(text) for text in TEXTS]
    assert all(label is not None and label != parts.blank_id for row in labels for label in row)
    assert rows in labels[1] and rows in labels[2] and rows not in labels[0]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loss_is_the_ctc_loss_of_the_logits(trained, architecture):
    """torch's own, on the same logits: with the right blank, frames and labels."""
    made = trained(architecture)
    processor, model = reload(made.run.checkpoints()[-1], made.config)
    parts, dataset = anatomy.of(model, processor), SpeechDataset(made.rows, processor)
    batch = Collator(processor)([dataset[index] for index in range(len(made.rows))])
    del batch["about"]
    with torch.inference_mode():
        output = model.eval()(**batch)
    labels = [[token for token in row if token >= 0] for row in batch["labels"].tolist()]
    wanted = torch.nn.functional.ctc_loss(
        output.logits.log_softmax(-1).transpose(0, 1),
        torch.tensor([token for row in labels for token in row]),
        parts.count_batch_frames(batch),
        torch.tensor([len(row) for row in labels]),
        blank=parts.blank_id,
    )
    assert torch.isfinite(wanted)
    assert float(output.loss) == pytest.approx(float(wanted), rel=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_batch_of_eight_equals_one_by_one(trained, architecture):
    engine = trained(architecture).transcriber.engine
    clips = noise_clips(16_000, 9_000, 9_123, 16_000, 14_345, 15_001, 13_400, 12_900)
    together = engine.log_probabilities(clips)
    for clip, scores in zip(clips, together, strict=True):
        (alone,) = engine.log_probabilities([clip])
        assert len(scores) == engine.anatomy.num_frames(len(clip))
        np.testing.assert_allclose(scores, alone, atol=2e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_transcription_and_alignment_time_words_in_order(trained, architecture):
    transcriber = trained(architecture).transcriber
    wave = Waveform(noise_clips(2 * SAMPLING_RATE)[0])
    with torch.no_grad():  # an untrained model says little: louder outputs write letters
        head = transcriber.engine.anatomy.head_of(transcriber.engine.model)
        before = head.weight.clone(), head.bias.clone()
        head.weight.normal_(0, 3, generator=torch.Generator().manual_seed(4)), head.bias.zero_()
    try:
        transcript, aligned = transcriber.transcribe(wave), align(transcriber, wave, "a fad cab")
    finally:
        with torch.no_grad():
            head.weight.copy_(before[0]), head.bias.copy_(before[1])
    assert transcript.text and set(transcript.text) <= set("abcdef ")
    assert [word.word for word in aligned.words] == ["a", "fad", "cab"] and aligned.unknown == []
    for words in (transcript.words, aligned.words):
        edges = [edge for word in words for edge in (word.start_s, word.end_s)]
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= 2.0 + 1e-6
        assert all(word.end_s > word.start_s for word in words)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_exported_graphs_give_the_log_posteriors_of_the_model(trained, architecture, tmp_path):
    """Batches of mixed lengths, raw audio where the model takes audio, and single clips of some models."""
    transcriber = trained(architecture).transcriber
    engine = transcriber.engine
    clips = noise_clips(16_000, 9_000, 9_123, 14_345, 37_001)
    wanted = engine.log_probabilities(clips)
    takes_audio = engine.anatomy.inputs.input_name == "input_values"
    for layout in ("batch", "raw", *(["clip"] if architecture in KINDS_OF_INPUT else [])):
        path = tmp_path / f"{layout}.onnx"
        if layout == "raw" and not takes_audio:
            with pytest.raises(ModelError, match="mel features"):
                graph.export_onnx(engine.model, transcriber.processor, path, layout)
            continue
        graph.export_onnx(engine.model, transcriber.processor, path, layout)
        found = transcriber.with_graph(path, layout).engine.log_probabilities(clips)
        for one, other in zip(wanted, found, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("freeze", ["nothing", "feature-encoder"])
def test_compiled_training_gives_the_same_losses_and_plain_checkpoints(rows, tmp_path, monkeypatch, freeze):
    """Traced by torch.compile but run eagerly: compiling for the processor would take a minute."""
    base = write_checkpoint(tmp_path / "base", letters="abcdef")
    store = RunStore(tmp_path / "runs")
    changes = {"freeze": freeze, "head_first_steps": 1, "save_steps": 2, "max_steps": 3, "train_batch_size": 4}

    def train(run=None, checkpoint=None, **more):
        config = make_config(base, **changes, **more)
        trainer = make_trainer(run or store.create(config), config, load(str(base), config, TEXTS), rows)
        trainer.train(resume_from_checkpoint=checkpoint)
        return trainer

    def losses(trainer):
        return [event.data["loss"] for event in trainer.run.events()[0] if event.kind in (events.TRAIN, events.EVAL)]

    plain = train()
    monkeypatch.setattr(compilation, "BACKEND", "eager")
    compiled = train(torch_compile=True)
    assert all(layer._compiled_call_impl for layer in compiled.model.wav2vec2.encoder.layers)
    assert losses(compiled) == pytest.approx(losses(plain), rel=1e-3)
    for folder in (compiled.run.model_dir, compiled.run.checkpoints()[0]):
        names = set(load_file(folder / "model.safetensors"))
        assert names == set(compiled.model.state_dict())
    resumed = train(compiled.run, str(compiled.run.checkpoints()[0]), torch_compile=True)
    assert losses(resumed)[-1] == pytest.approx(losses(plain)[-1], rel=1e-3)
