"""Base models in all their forms: whatever is missing or odd is made up for, or named in one sentence."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from asrkit.audio import SAMPLING_RATE, Waveform
from asrkit.config import TrainConfig
from asrkit.decoding.alignment import align
from asrkit.decoding.tokens import Speller
from asrkit.errors import ModelError
from asrkit.models import anatomy, compatibility, frames, vocabularies
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.training.data import SpeechDataset
from asrkit.training.model import load, reload
from asrkit.training.trainer import CtcTrainer
from asrkit.transcription.transcriber import Transcriber

TEXTS = ("ab", "a cab", "bad", "deed")


def rewrite_vocabulary(base, tokens, **tokenizer_settings):
    (base / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    path = base / "tokenizer_config.json"
    settings = json.loads(path.read_text()) | tokenizer_settings
    settings.pop("added_tokens_decoder", None)
    path.write_text(json.dumps(settings))
    return base


def make_config(base, **changes):
    return TrainConfig(**{"preset": "", "model": str(base), "freeze": "nothing", "vocabulary": "keep"} | changes)


def labels_of(processor, rows):
    return [Speller.from_tokenizer(processor.tokenizer).encode(row.text) for row in rows]


def train(tmp_path, base, rows, **changes):
    config = make_config(base, max_steps=2, logging_steps=1, train_batch_size=2, mixed_precision="no", **changes)
    run = RunStore(tmp_path / "runs").create(config)
    processor, model = load(str(base), config, [row.text for row in rows])
    trainer = CtcTrainer(run, config, model, processor, rows, rows[:2])
    trainer.args.dataloader_num_workers = 0
    trainer.train()
    return run


@pytest.fixture
def spaced(checkpoint):
    """The delimiter is a space, which transformers loads as "|"."""
    return rewrite_vocabulary(checkpoint(), ["<pad>", "<unk>", " ", *"abcde"], word_delimiter_token=" ")


@pytest.fixture
def unspaced(checkpoint):
    return rewrite_vocabulary(checkpoint(vocab_size=7), ["<pad>", "<unk>", *"abcde"])


def test_space_as_word_delimiter(spaced, clips, tmp_path):
    rows = clips(1.0, 1.0, 1.0, 1.0, texts=TEXTS)
    processor, _ = load(str(spaced), make_config(spaced), TEXTS)
    assert labels_of(processor, rows)[1] == [3, 2, 5, 3, 4]
    run = train(tmp_path, spaced, rows)
    processor, _ = reload(run.checkpoints()[-1], run.config())
    assert labels_of(processor, rows)[1] == [3, 2, 5, 3, 4]
    wave = Waveform(0.1 * np.random.default_rng(0).standard_normal(SAMPLING_RATE).astype(np.float32))
    assert [word.word for word in align(Transcriber(str(run.model_dir)), wave, "a cab").words] == ["a", "cab"]
    assert Speller.from_tokenizer(Transcriber(str(spaced)).processor.tokenizer).delimiter_id == 2


def test_missing_word_delimiter_is_added_or_asked_for(unspaced, clips, tmp_path):
    with pytest.raises(ModelError, match="does not know ' '; set Vocabulary to auto"):
        load(str(unspaced), make_config(unspaced), TEXTS)
    with pytest.raises(ModelError, match="has no token for the space between words; set Vocabulary to auto"):
        compatibility.check_delimiter(unspaced, make_config(unspaced), TEXTS)
    processor, model = load(str(unspaced), make_config(unspaced), ["ab", "deed"])
    assert anatomy.of(model, processor).delimiter_id is None
    rows = clips(1.0, 1.0, 1.0, 1.0, texts=TEXTS)
    processor, model = load(str(unspaced), make_config(unspaced, vocabulary="extend"), TEXTS)
    assert anatomy.of(model, processor).delimiter_id == 7 and model.config.vocab_size == 8
    assert labels_of(processor, rows)[1] == [2, 7, 4, 2, 3]
    run = train(tmp_path, unspaced, rows, vocabulary="extend")
    assert labels_of(reload(run.checkpoints()[-1], run.config())[0], rows)[1] == [2, 7, 4, 2, 3]


def test_missing_unknown_token(checkpoint, clips, tmp_path):
    base = rewrite_vocabulary(checkpoint(vocab_size=7), ["<pad>", "|", *"abcde"])
    rows = clips(1.0, 1.0, 1.0, 1.0, texts=(*TEXTS[:3], "fed"))
    with pytest.raises(ModelError, match="does not know 'f'"):
        load(str(base), make_config(base), [row.text for row in rows])
    run = train(tmp_path, base, rows, vocabulary="extend")
    processor, model = reload(run.checkpoints()[-1], run.config())
    assert labels_of(processor, rows)[3] == [7, 6, 5] and model.config.vocab_size == 8
    assert anatomy.of(model, processor).unknown_id in (None, *range(8))
    assert all(
        evaluation.data["unknown_share"] == 0 for evaluation in run.events()[0] if evaluation.kind == events.EVAL
    )


def test_outputs_beyond_the_vocabulary_stay(checkpoint, clips, tmp_path):
    """Some heads are padded to a multiple of eight: a new character never takes one of those outputs."""
    base = rewrite_vocabulary(checkpoint(vocab_size=16), ["<pad>", "<unk>", "|", *"abcde"])
    before = load(str(base), make_config(base), TEXTS)[1].lm_head.weight.detach().clone()
    processor, model = load(str(base), make_config(base, vocabulary="extend"), [*TEXTS, "fed"])
    assert Speller.from_tokenizer(processor.tokenizer).encode("fed") == [16, 7, 6]
    assert model.config.vocab_size == 17 and torch.equal(model.lm_head.weight[:16], before)
    run = train(tmp_path, base, clips(1.0, 1.0, texts=("fed", "a cab")), vocabulary="extend")
    with torch.no_grad():
        transcriber = Transcriber(str(run.model_dir))
        transcriber.engine.model.lm_head.bias[12] += 50
    wave = Waveform(np.ones(SAMPLING_RATE, np.float32))
    assert transcriber.transcribe(wave).text == "", "an output without a token writes nothing"


def test_tokens_beyond_the_outputs_are_unknown(checkpoint):
    base = rewrite_vocabulary(checkpoint(), ["<pad>", "<unk>", "|", *"abcdefg"])
    with pytest.raises(ModelError, match="does not know 'f'"):
        load(str(base), make_config(base), ["fed"])
    assert "f" not in (vocabularies.known_characters(base) or ())
    processor, model = load(str(base), make_config(base, vocabulary="extend"), ["fed"])
    assert Speller.from_tokenizer(processor.tokenizer).encode("fed") == [8, 7, 6] and model.config.vocab_size == 9


def test_model_of_8_khz_trains_and_transcribes(checkpoint, clips, tmp_path):
    base = checkpoint()
    path = base / "processor_config.json"
    settings = json.loads(path.read_text())
    settings["feature_extractor"]["sampling_rate"] = 8_000
    path.write_text(json.dumps(settings))
    rows = clips(1.0, 0.5, 0.8, texts=TEXTS)
    item = SpeechDataset(rows, load(str(base), make_config(base), TEXTS)[0])[0]
    assert len(item["features"]) == 8_000 and item["duration_s"] == 1.0
    assert frames.read(base).num_frames_in(1.0) == 24, "one frame every 40 ms"
    run = train(tmp_path, base, rows)
    scores = Transcriber(str(run.model_dir)).log_probabilities(Waveform(np.ones(SAMPLING_RATE, np.float32)))
    assert len(scores) == 24


# What is missing or damaged: one sentence, before the start


def problem(base, **changes):
    with pytest.raises(ModelError) as caught:
        compatibility.check(base, make_config(base, **changes))
    return str(caught.value).removeprefix(f"The base model {base} ")


def test_missing_files_are_named_before_the_start(checkpoint):
    base = checkpoint()
    compatibility.check(base, make_config(base))
    (base / "vocab.json").unlink()
    assert problem(base) == "has an output layer but no vocab.json or tokenizer.json; set Vocabulary to fresh."
    compatibility.check(base, make_config(base, vocabulary="fresh"))
    (base / "processor_config.json").unlink()
    assert problem(base) == "has no usable preprocessor_config.json; copy all files of the model."


def test_impossible_settings_are_named_before_the_start(checkpoint):
    base, bert = checkpoint("omniasr_ctc"), checkpoint("hubert")
    assert problem(base, mask_time_prob=0.1) == (
        "(omniasr_ctc) has no time masking; set Time masking (mask_time_prob) to 0."
    )
    assert problem(bert, add_adapter=True) == (
        "(hubert) cannot have an adapter behind its encoder; switch add_adapter off."
    )
    assert problem(bert, blank_id=8) == "has the outputs 0 to 7, but blank_id is 8; set it to its CTC blank."
    for kind in (base, bert):
        for changes in ({"mask_time_prob": 0.1}, {"add_adapter": True}):
            try:
                compatibility.check(kind, make_config(kind, **changes))
            except ModelError:
                with pytest.raises(ModelError):
                    load(str(kind), make_config(kind, **changes), ["ab"])
            else:
                load(str(kind), make_config(kind, **changes), ["ab"])


@pytest.mark.parametrize("rate", [0, 1_000_000, "fast"])
def test_impossible_sampling_rate_is_named(checkpoint, rate):
    base = checkpoint()
    (base / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": rate}))
    assert problem(base).startswith(f"expects audio of {rate} Hz by its preprocessor_config.json; choose one of 4000")


def test_damaged_tokenizer_is_one_sentence(checkpoint):
    base = checkpoint("parakeet_ctc")
    (base / "tokenizer.json").write_text('{"version": "1.0"}')
    for act in (
        lambda: vocabularies.read_speller(base),
        lambda: load(str(base), make_config(base), ["ab"]),
        lambda: Transcriber(str(base)),
    ):
        with pytest.raises(ModelError) as caught:
            act()
        assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


@pytest.mark.parametrize("kind", ["wav2vec2", "parakeet_ctc", "granite_speech5_ctc"])
def test_weights_without_the_output_layer_are_refused(checkpoint, kind):
    """transformers would take a random one and only warn."""
    base = checkpoint(kind)
    weights = load_file(base / "model.safetensors")
    kept = {
        name: tensor for name, tensor in weights.items() if not name.startswith(("lm_head", "ctc_head", "encoder.out."))
    }
    assert len(kept) < len(weights)
    save_file(kept, base / "model.safetensors", {"format": "pt"})
    for act in (lambda: load(str(base), make_config(base), ["ab"]), lambda: Transcriber(str(base))):
        with pytest.raises(ModelError, match="The weights of the model .* lack its output layer .*Vocabulary to fresh"):
            act()
    load(str(base), make_config(base, vocabulary="fresh"), ["ab"])


@pytest.mark.parametrize("kind", ["wav2vec2", "parakeet_ctc"])
def test_vocabulary_size_that_contradicts_the_weights_is_one_sentence(checkpoint, kind):
    base = checkpoint(kind)
    settings = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(settings | {"vocab_size": settings["vocab_size"] + 3}))
    for act in (lambda: load(str(base), make_config(base), ["ab"]), lambda: Transcriber(str(base))):
        with pytest.raises(ModelError) as caught:
            act()
        assert "\n" not in str(caught.value) and "cannot be loaded" in str(caught.value)


# Labels that do not fit into the frames


def test_infinite_losses_are_counted_and_reported(checkpoint, clips, tmp_path):
    """zero_infinity makes them 0; the finding names the clip, and the evaluation leaves it out of its mean."""
    base = checkpoint("parakeet_ctc")
    rows = clips(1.5, 0.3, texts=("ab", "a b c d e a b"))
    run = train(tmp_path, base, rows)
    (finding,) = [event for event in run.events()[0] if event.data.get("code") == "infinite-loss"]
    assert rows[1].id in finding.data["cause"] and rows[0].id not in finding.data["cause"]
    assert finding.data["clips"] == 1
    trained = [event.data for event in run.events()[0] if event.kind == events.TRAIN]
    assert all(data["infinite_losses"] == 1 for data in trained)
    evaluated = [event.data for event in run.events()[0] if event.kind == events.EVAL]
    assert all(data["infinite_losses"] == 1 and data["loss"] > 0.5 for data in evaluated)


def test_torch_free_spelling_equals_the_tokenizers(checkpoint):
    for kind in ("wav2vec2", "omniasr_ctc", "parakeet_ctc", "lasr_ctc", "granite_speech5_ctc"):
        base = checkpoint(kind)
        processor, _ = load(str(base), make_config(base), TEXTS)
        wanted, found = Speller.from_tokenizer(processor.tokenizer), vocabularies.read_speller(base)
        for text in (*TEXTS, "fed cab"):
            assert found.encode(text) == wanted.encode(text), kind
        assert found.delimiter_id == wanted.delimiter_id and vocabularies.known_characters(base) == set("abcde")
