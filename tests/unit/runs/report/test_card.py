import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from asrkit.data import manifest
from asrkit.files import write_json
from asrkit.models.resolution import HUB_ID
from asrkit.runs import summary, view
from asrkit.runs.events import Event
from asrkit.runs.report import card
from asrkit.runs.report.card import render_card
from asrkit.runs.store import RunStore
from asrkit.ui.common import verdict
from asrkit.ui.runs.api import RunsApi
from asrkit.ui.train.api import TrainApi

VERSIONS = {"transformers": "5.23.0", "torch": "2.14.1", "datasets": "5.2.0", "tokenizers": "0.22"}
STARTED = Event(
    "started",
    1000.0,
    0,
    data={
        "total_steps": 20,
        "metric_for_best_model": "wer",
        "train_utterances": 380,
        "eval_utterances": 100,
        "train_hours": 0.267,
        "eval_hours": 0.05,
        "hardware": "CPU (x86_64)",
        "precision": "no",
        "versions": VERSIONS,
    },
)


def train(step, loss):
    return Event("train", 1000.0 + step, step, step / 10, {"loss": loss})


def scores(step, loss, wer, cer):
    return Event("eval", 1000.0 + step, step, step / 10, {"loss": loss, "wer": wer, "cer": cer, "mer": wer})


HISTORY = [
    STARTED,
    scores(0, 4.0, 1.0, 0.98),
    train(10, 3.21234),
    scores(10, 2.0, 0.9, 0.5),
    train(15, 1.0),
    train(18, 0.5),
    scores(20, 1.25, 0.30331, 0.125),
]


@pytest.fixture(name="card")
def card_of_a_run(make_run):
    run = make_run(
        "20261121-demo",
        HISTORY,
        preset="english-xlsr-53",
        model="facebook/wav2vec2-large-xlsr-53",
        train="hub:owner/speech:en:train",
        language="en",
        learning_rate=1e-4,
        warmup_steps=1000,
    )
    return render_card(run)


def test_metadata_is_valid_for_the_hub(card):
    data = ModelCard(card).data
    assert data.license == "apache-2.0" and data.library_name == "transformers"
    assert data.pipeline_tag == "automatic-speech-recognition" and data.language == "en"
    assert data.base_model == "facebook/wav2vec2-large-xlsr-53" and data.datasets == ["owner/speech"]
    metrics = {result.metric_type: result.metric_value for result in data.eval_results}
    assert metrics == {"wer": 0.3033, "cer": 0.125}


@pytest.mark.parametrize(
    ("model", "terms"),
    [
        ("starter", "apache-2.0"),
        ("facebook/mms-1b-all", "cc-by-nc-4.0"),
        ("somebody/else", None),
    ],
)
def test_license_is_that_of_the_base_model_if_known(make_run, model, terms):
    assert ModelCard(render_card(make_run("one", HISTORY, model=model))).data.license == terms


def test_text_rules_are_listed(make_run):
    text = render_card(make_run("one", HISTORY[:1] + HISTORY[2:3], spell_numbers="en", character_map="ß=ss"))
    assert "- spell_numbers: en" in text and "- character_map: ß=ss" in text


@pytest.mark.parametrize("train", ["callsigns", '/data/my: speech "set" #1', "données/été", "*&!%@`|>"])
def test_special_characters_in_names_are_escaped_in_the_metadata(make_run, train):
    card = ModelCard(render_card(make_run("one", HISTORY, train=train)))
    assert card.data.eval_results[0].dataset_name == Path(train).name
    assert card.data.datasets is None


@pytest.mark.parametrize("model", ["starter", "/home/me/base", "./base", "runs/one/model", "~/base"])
def test_local_base_model_is_left_out_of_the_metadata(make_run, model):
    assert not HUB_ID.fullmatch(model)
    assert ModelCard(render_card(make_run("one", HISTORY, model=model))).data.base_model is None


def table(card):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in card.splitlines() if line.startswith("|")]


def test_results_table_has_the_format_of_published_cards(card):
    assert table(card) == [
        ["Training Loss", "Epoch", "Step", "Validation Loss", "Wer", "Cer"],
        [":-------------:", ":-----:", ":----:", ":---------------:", ":------:", ":------:"],
        ["No log", "0.00", "0", "4.0000", "1.0000", "0.9800"],
        ["3.2123", "1.00", "10", "2.0000", "0.9000", "0.5000"],
        ["0.5000", "2.00", "20", "1.2500", "0.3033", "0.1250"],
    ]


def test_several_datasets_have_a_table_of_their_own(make_run, card):
    assert "| Dataset |" not in card
    rates = {"wer": 0.25, "cer": 0.125, "mer": 0.25, "utterances": 1_200}
    event = scores(20, 1.25, 0.30331, 0.125)
    event.data["datasets"] = {"/home/ann/mine": rates, "hub:a/b": rates | {"wer": 0.5}}
    run = make_run("several", [STARTED, event])
    assert "| `/home/ann/mine` | 1,200 | 0.2500 | 0.1250 |" in render_card(run)
    published = render_card(run, published_id="ann/model")
    assert "| `mine` | 1,200 | 0.2500 | 0.1250 |\n| `hub:a/b` | 1,200 | 0.5000 |" in published
    assert list(summary.summarize_run(run)["last_eval"]["datasets"]) == ["/home/ann/mine", "hub:a/b"]


def test_best_evaluation_is_above_the_table(card):
    assert "(step 20, by WER, references and hypotheses through the normaliser `english`)" in card
    assert "- Loss: 1.2500\n- Wer: 0.3033\n- Cer: 0.1250\n" in card


@pytest.mark.parametrize(
    "line",
    [
        "learning_rate: 0.0001",
        "train_batch_size: 8",
        "eval_batch_size: 8",
        "seed: 42",
        "lr_scheduler_type: linear",
        "warmup_steps: 1000",
        "num_epochs: 30.0",
        "mixed_precision: fp16",
        "gradient_accumulation_steps: 1",
        "optimizer: AdamW with betas=(0.9,0.999) and epsilon=1e-08",
        "device: CPU (x86_64), no",
    ],
)
def test_hyperparameters(card, line):
    assert f"\n- {line}\n" in card


def test_data_and_versions(card):
    assert "380 clips to train on (0.27 h), 100 to evaluate on (0.05 h), from `hub:owner/speech:en:train`" in card
    assert "- Transformers 5.23.0\n- Pytorch 2.14.1\n- Datasets 5.2.0\n- Tokenizers 0.22\n" in card


def test_snippets_are_valid_python(card):
    snippets = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    for snippet in snippets:
        compile(snippet, "card", "exec")
    assert 'from_pretrained("model")' in snippets[0]


def test_run_without_evaluations_has_no_results(make_run):
    card = render_card(make_run("one", [STARTED]))
    assert "It was not evaluated." in card and len(table(card)) == 2
    assert ModelCard(card).data.eval_results is None


def test_run_without_events_has_a_valid_card(make_run):
    ModelCard(render_card(make_run("one")))


def test_non_finite_loss_is_named_in_the_table(make_run):
    record = [STARTED, train(10, None), train(11, 2.0), train(12, None), scores(12, None, 1.0, 1.0)]
    card = render_card(make_run("one", record))
    assert table(card)[2] == ["2.0000", "1.20", "12", "not finite", "1.0000", "1.0000"]
    assert "- Wer: 1.0000" in card and "- Loss" not in card


def test_card_has_no_placeholders(make_run):
    """Intended use, limits, speakers, audit, findings and the curves: what published cards leave open."""
    finding = Event("finding", 1015.0, 15, 1.5, {"code": "plateau", "cause": "WER stands still.", "remedy": "Wait."})
    best = Event(
        "eval",
        1020.0,
        20,
        2.0,
        {"loss": 1.0, "wer": 0.2, "cer": 0.1, "wer_interval": [0.15, 0.26], "greedy_wer": 0.7, "greedy_cer": 0.3},
    )
    run = make_run("one", [*HISTORY, finding, best], language="sw", decoding="words")
    rows = [manifest.Utterance(f"{speaker}.wav", "a", 1.0, speaker) for speaker in ("ann", "bob", "ann")]
    manifest.write(run.manifest_path("train"), rows)
    manifest.write(run.manifest_path("eval"), [manifest.Utterance("c.wav", "a", 1.0, "cyd")])
    write_json(run.audit_path, {"dropped": 4, "findings": [{"code": "silent", "count": 4}]})
    run.model_dir.mkdir()
    card.write_card(run)
    text = (run.model_dir / "README.md").read_text()
    assert "## Intended use and limits" in text and "in the language `sw`" in text
    assert "between 0.150 and 0.260 in 95 of 100 cases" in text and "asrkit decodes only these words" in text
    assert "2 speakers to train on and 1 to evaluate on, none of them in both." in text
    assert "The audit left 4 clips out (silent 4)." in text
    assert "- `plateau` at step 15: WER stands still." in text
    assert "Without that list, greedily, the best model's WER is 0.7000" in text
    with Image.open(run.model_dir / "curve.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(180, 83, 9), (37, 99, 235), (15, 118, 110), (148, 163, 184)} <= colours, "all four curves are drawn"
    assert "(curve.png)" in text and ModelCard(text).data.language == "sw"


@pytest.mark.parametrize("record", [[], [STARTED, train(10, None)]])
def test_run_without_finite_values_has_no_curve_image(make_run, record):
    run = make_run("one", record)
    run.model_dir.mkdir()
    card.write_card(run)
    assert not (run.model_dir / "curve.png").exists() and "curve.png" not in (run.model_dir / "README.md").read_text()


def test_selection_before_the_run_is_described(make_run):
    run = make_run("one", HISTORY)
    selection = {
        "data": "clips.zip",
        "kept": 90,
        "left_out": [{"code": "noisy", "count": 7}, {"code": "silent", "count": 3}],
    }
    write_json(run.audit_path, {"dropped": 0, "findings": [], "selection": selection})
    assert (
        "It is a selection from `clips.zip`: 90 clips stayed; left out were noisy 7, silent 3. The audit left no "
        "clip "
        "out."
    ) in render_card(run)


def test_card_names_the_language_of_the_transcripts_and_the_data_without_its_path(make_run):
    """The preset that the run was started with was made for English."""
    run = make_run("one", HISTORY, language="en", train="/home/ana/clips")
    texts = ["el perro es de las niñas y los niños", "como por una calle con las casas", "las tardes del sur"]
    manifest.write(run.manifest_path("train"), [manifest.Utterance("a.wav", text, 1.0) for text in texts])
    text = render_card(run)
    data = ModelCard(text).data
    assert data.language == "es" and "in the language `es`" in text
    assert [result.dataset_name for result in data.eval_results] == ["clips", "clips"]
    manifest.write(run.manifest_path("train"), [manifest.Utterance("a.wav", "alpha bravo", 1.0)])
    assert ModelCard(render_card(run)).data.language == "en"


def test_published_card_has_no_local_paths(make_run):
    run = make_run("one", HISTORY, model="/home/ana/models/tiny", train="/home/ana/clips", eval="/home/ana/more")
    write_json(
        run.audit_path,
        {"dropped": 0, "findings": [], "selection": {"data": "/home/ana/all", "kept": 3, "left_out": []}},
    )
    assert "/home/ana/clips" in render_card(run)
    card = render_card(run, published_id="ana/tiny")
    assert "/home" not in card and "`clips`" in card and "`all`" in card and 'from_pretrained("ana/tiny")' in card


def test_run_without_gain_is_no_success(make_run):
    finding = Event(
        "finding", 1020.0, 20, data={"code": "no-gain", "cause": "Training has not improved it.", "remedy": ""}
    )
    history = [STARTED, scores(0, 1.0, 0.216, 0.1), scores(20, 3.0, 0.955, 0.9), finding]
    run = make_run("one", [*history, Event("finished", 1021.0, 20, data={"saved": True})])
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    outcome = verdict.describe_outcome(run, "finished", view.load_view(run))
    assert (
        outcome == "Finished. Training has not improved the model: WER 21.6 % before the first step is still the best."
    )
    assert "Training has not improved it." in render_card(run)
    gained = make_run("two", [*HISTORY, Event("finished", 1021.0, 20, data={"saved": True})])
    outcome = verdict.describe_outcome(gained, "finished", view.load_view(gained))
    assert outcome.endswith("(best at step 20). It now gets 70 of 100 words right (0 before).")


def test_gain_over_a_start_that_was_scored_on_a_sample_says_so(make_run):
    start, best = scores(0, 1.0, 0.24, 0.2), scores(20, 3.0, 0.05, 0.04)
    start.data.update(utterances=64, of=100)
    best.data.update(utterances=100, of=100)
    run = make_run("one", [STARTED, start, best, Event("finished", 1021.0, 20, data={"saved": True})])
    outcome = verdict.describe_outcome(run, "finished", view.load_view(run))
    assert outcome.endswith("It now gets 95 of 100 words right (about 76 before, on 64 of 100 clips).")


def test_model_newer_than_the_resumed_run_is_described(make_run):
    """It was killed after step 20, resumed from 10 and stopped at 15: `model/` is that of step 20."""
    again = Event("started", 2000.0, 10, data=STARTED.data)
    run = make_run("one", [*HISTORY, again, train(15, 1.0), Event("stopped", 2001.0, 15, data={"saved": True})])
    assert view.load_view(run).best.step == 10
    run.model_dir.mkdir()
    (run.model_dir / "config.json").write_text("{}")
    assert "step 10, by WER" in render_card(run), "made before evaluations were kept with the weights"
    run.evaluation_path.write_text(HISTORY[-1].to_line())
    text = render_card(run)
    assert "Best evaluation (step 20, by WER" in text and "- Wer: 0.3033" in text
    assert "The model is that of step 20, which the run had reached before it was resumed." in text
    assert ModelCard(text).data.eval_results[0].metric_value == 0.3033
    outcome = verdict.describe_outcome(run, "stopped", view.load_view(run))
    assert outcome.startswith(
        "Stopped and saved at step 15. WER 30.3 % (best at step 20). The model is that of step 20, "
        "which the run had reached before it was resumed."
    )
    assert summary.summarize_run(run)["best"]["step"] == 20, "the command line shows the same"
    assert TrainApi(RunStore(run.path.parent)).poll({"run": run.id})["best"] == {"step": 20, "text": "WER 30.3 %"}
    assert RunsApi(RunStore(run.path.parent)).poll({})["rows"][0]["best_step"] == 20
    run.append(train(20, 1.0))
    assert summary.describe_model_step(run, view.load_view(run)) == ""


def test_card_has_the_terms_of_recorded_data(make_run):
    run = make_run("spoken", HISTORY)
    values = {"dataset": "me", "licence": "CC BY 4.0", "consents": {"Ann": "May be used <freely>.", "": "Yes."}}
    audit = {"verdict": "ready", "utterances": 1, "hours": 0.1, "dropped": 0, "findings": [], "terms": [values]}
    write_json(run.audit_path, audit)
    text = render_card(run)
    assert "## Terms of the recordings\n\n`me`:\n\n- Licence of the data: CC BY 4.0\n" in text
    assert "- Consent of Ann: May be used &lt;freely&gt;.\n- Consent of the speaker: Yes.\n" in text
