import re

import pytest
from huggingface_hub import ModelCard

from asrkit.runs.card import model_card
from asrkit.runs.events import Event
from asrkit.runs.models import HUB_ID

VERSIONS = {"transformers": "5.23.0", "torch": "2.14.1", "datasets": "5.2.0", "tokenizers": "0.22"}
STARTED = Event("started", 1000.0, 0, data={
    "total_steps": 20, "metric_for_best_model": "wer", "train_utterances": 380, "eval_utterances": 100,
    "train_hours": 0.267, "eval_hours": 0.05, "hardware": "CPU (x86_64)", "precision": "no", "versions": VERSIONS})


def train(step, loss):
    return Event("train", 1000.0 + step, step, step / 10, {"loss": loss})


def scores(step, loss, wer, cer):
    return Event("eval", 1000.0 + step, step, step / 10, {"loss": loss, "wer": wer, "cer": cer, "mer": wer})


HISTORY = [STARTED, scores(0, 4.0, 1.0, 0.98), train(10, 3.21234), scores(10, 2.0, 0.9, 0.5), train(15, 1.0),
           train(18, 0.5), scores(20, 1.25, 0.30331, 0.125)]


@pytest.fixture
def card(make_run):
    run = make_run("20261121-demo", HISTORY, preset="english-xlsr-53", model="facebook/wav2vec2-large-xlsr-53",
                   train="hub:owner/speech:en:train", language="en", learning_rate=1e-4, warmup_steps=1000)
    return model_card(run)


def test_the_hub_can_read_it(card):
    data = ModelCard(card).data
    assert data.license == "apache-2.0" and data.library_name == "transformers"
    assert data.pipeline_tag == "automatic-speech-recognition" and data.language == "en"
    assert data.base_model == "facebook/wav2vec2-large-xlsr-53" and data.datasets == ["owner/speech"]
    found = {result.metric_type: result.metric_value for result in data.eval_results}
    assert found == {"wer": 0.3033, "cer": 0.125}


@pytest.mark.parametrize("train", ["callsigns", "/data/my: speech \"set\" #1", "données/été", "*&!%@`|>"])
def test_odd_names_do_not_break_the_front_matter(make_run, train):
    card = ModelCard(model_card(make_run("one", HISTORY, train=train)))
    assert card.data.eval_results[0].dataset_name == train
    assert card.data.datasets is None


@pytest.mark.parametrize("model", ["starter", "/home/me/base", "./base", "runs/one/model", "~/base"])
def test_a_directory_is_no_base_model_that_the_hub_knows(make_run, model):
    assert not HUB_ID.fullmatch(model)
    assert ModelCard(model_card(make_run("one", HISTORY, model=model))).data.base_model is None


def table(card):
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in card.splitlines() if line.startswith("|")]


def test_the_results_are_the_table_of_the_published_cards(card):
    assert table(card) == [
        ["Training Loss", "Epoch", "Step", "Validation Loss", "Wer", "Cer"],
        [":-------------:", ":-----:", ":----:", ":---------------:", ":------:", ":------:"],
        ["No log", "0.00", "0", "4.0000", "1.0000", "0.9800"],
        ["3.2123", "1.00", "10", "2.0000", "0.9000", "0.5000"],
        ["0.5000", "2.00", "20", "1.2500", "0.3033", "0.1250"],
    ]


def test_the_best_evaluation_stands_on_top(card):
    assert "(step 20, by WER, references and hypotheses through the normaliser `english`)" in card
    assert "- Loss: 1.2500\n- Wer: 0.3033\n- Cer: 0.1250\n" in card


@pytest.mark.parametrize("line", [
    "learning_rate: 0.0001", "train_batch_size: 8", "eval_batch_size: 8", "seed: 42", "lr_scheduler_type: linear",
    "warmup_steps: 1000", "num_epochs: 30.0", "mixed_precision: fp16", "gradient_accumulation_steps: 1",
    "optimizer: AdamW with betas=(0.9,0.999) and epsilon=1e-08", "device: CPU (x86_64), no",
])
def test_hyperparameters(card, line):
    assert f"\n- {line}\n" in card


def test_data_and_versions(card):
    assert "380 clips to train on (0.27 h), 100 to evaluate on (0.05 h), from `hub:owner/speech:en:train`" in card
    assert "- Transformers 5.23.0\n- Pytorch 2.14.1\n- Datasets 5.2.0\n- Tokenizers 0.22\n" in card


def test_the_snippet_is_python(card):
    (snippet,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    compile(snippet, "card", "exec")
    assert 'from_pretrained("model")' in snippet


def test_a_run_that_was_never_evaluated(make_run):
    card = model_card(make_run("one", [STARTED]))
    assert "It was not evaluated." in card and len(table(card)) == 2
    assert ModelCard(card).data.eval_results is None


def test_a_run_that_told_nothing(make_run):
    ModelCard(model_card(make_run("one")))


def test_numbers_that_were_not_finite(make_run):
    told = [STARTED, train(10, None), train(11, 2.0), train(12, None), scores(12, None, 1.0, 1.0)]
    card = model_card(make_run("one", told))
    assert table(card)[2] == ["2.0000", "1.20", "12", "not finite", "1.0000", "1.0000"]
    assert "- Wer: 1.0000" in card and "- Loss" not in card
