"""RunView + config -> the model card that lies beside the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asrkit.data import manifest
from asrkit.models import resolution
from asrkit.runs import events
from asrkit.runs.preparation import HUB, LEAK
from asrkit.runs.report import picture
from asrkit.runs.run import Run
from asrkit.runs.summary import describe_model_step, get_best_evaluation
from asrkit.runs.view import RunView, load_view

PICTURE = "curve.png"
HYPERPARAMETERS = (
    "learning_rate",
    "head_learning_rate",
    "train_batch_size",
    "batch_seconds",
    "eval_batch_size",
    "seed",
    "gradient_accumulation_steps",
    "lr_scheduler_type",
    "warmup_steps",
    "num_epochs",
    "max_steps",
    "weight_decay",
    "mixed_precision",
    "freeze",
    "head_first_steps",
    "hidden_dropout",
    "attention_dropout",
    "mask_time_prob",
    "mask_time_length",
    "augmentation",
    "normaliser",
    "spell_numbers",
    "character_map",
    "decoding",
)

LICENSES = {
    "starter": "apache-2.0",
    "facebook/wav2vec2-": "apache-2.0",
    "facebook/hubert-": "apache-2.0",
    "facebook/mms-": "cc-by-nc-4.0",
    "facebook/w2v-bert-": "mit",
}
"""What base models of these names come under; of others nothing is claimed."""


def render_card(run: Run, drawn: bool = False, published: str = "") -> str:
    """The card of a run as Markdown with a YAML front matter that the Hub reads.

    drawn: the curves lie beside it. published: the Hub id that the model gets; folders of this machine are then called
    by their last name alone.
    """
    seen, config = load_view(run), run.config().to_dict()
    best = get_best_evaluation(run, seen)
    if published:
        config |= {name: _last_name(config[name]) for name in ("train", "eval")}
        if not resolution.HUB_ID.fullmatch(config["model"]):
            config["model"] = _last_name(config["model"])
    parts = [
        _front_matter(run, best, config),
        _opening(run, seen, best, config),
        _usage(published or run.model_dir.name),
        _limits(best, config),
        _data(run, seen, config, bool(published)),
        _procedure(seen, config),
        _results(seen, best),
        _findings(seen, drawn),
        _versions(seen),
    ]
    return "\n\n".join(parts) + "\n"


def write_card(run: Run) -> None:
    """Put the card and the picture of the curves beside the weights."""
    drawn = picture.draw_curves(load_view(run), run.model_dir / PICTURE)
    (run.model_dir / "README.md").write_text(render_card(run, drawn), encoding="utf-8")


def _front_matter(run: Run, best: events.Event | None, config: dict[str, Any]) -> str:
    # YAML reads JSON, so quoting is left to a library that knows it.
    terms = next((terms for known, terms in LICENSES.items() if config["model"].startswith(known)), None)
    lines = [
        "---",
        *([f"license: {terms}"] if terms else []),
        "library_name: transformers",
        "pipeline_tag: automatic-speech-recognition",
        "tags: [automatic-speech-recognition, ctc, asrkit]",
        "metrics: [wer, cer]",
    ]
    if resolution.HUB_ID.fullmatch(config["model"]):
        lines.append(f"base_model: {json.dumps(config['model'])}")
    if config["language"]:
        lines.append(f"language: {json.dumps(config['language'])}")
    if config["train"].startswith("hub:"):
        lines.append(f"datasets: [{json.dumps(config['train'][4:].split(':')[0])}]")
    if best:
        metrics = [
            {"type": name, "value": round(best.data[name], 4), "name": name.upper()}
            for name in ("wer", "cer")
            if best.data.get(name) is not None
        ]
        result = {
            "task": {"type": "automatic-speech-recognition", "name": "Speech Recognition"},
            "dataset": dict.fromkeys(("type", "name"), config["eval"] or config["train"]),
            "metrics": metrics,
        }
        lines.append(f"model-index: {json.dumps([{'name': run.id, 'results': [result]}])}")
    return "\n".join([*lines, "---"])


def _opening(run: Run, seen: RunView, best: events.Event | None, config: dict[str, Any]) -> str:
    text = f"# {run.id}\n\nA fine-tuned version of `{config['model']}` on `{config['train']}`, made with asrkit."
    if not best:
        return text + "\nIt was not evaluated."
    figures = [
        f"- {name}: {best.data[key]:.4f}"
        for name, key in (("Loss", "loss"), ("Wer", "wer"), ("Cer", "cer"), ("Mer", "mer"))
        if best.data.get(key) is not None
    ]
    return (
        f"{text}\nBest evaluation (step {best.step}, by {seen.metric.upper()}, references and hypotheses "
        f"through the normaliser `{best.data.get('normaliser', run.config().text_rules)}`):\n"
        + "\n".join(figures)
        + "".join(f"\n\n{told}" for told in [describe_model_step(run, seen)] if told)
    )


def _last_name(given: str) -> str:
    """Of a folder or file; what is none stays as it is."""
    return given if given.startswith(HUB) else Path(given).name


def _usage(model: str) -> str:
    return f"""## Use

```python
import soundfile, torch
from transformers import AutoModelForCTC, AutoProcessor

processor = AutoProcessor.from_pretrained("{model}")
model = AutoModelForCTC.from_pretrained("{model}").eval()
speech, sampling_rate = soundfile.read("clip.wav")  # mono, 16 kHz
inputs = processor(speech, sampling_rate=16_000, return_tensors="pt")
with torch.inference_mode():
    ids = model(**inputs).logits.argmax(-1)
print(processor.batch_decode(ids)[0])
```"""


def _limits(best: events.Event | None, config: dict[str, Any]) -> str:
    """What it is for, and where the figures say nothing."""
    language = f" in the language `{config['language']}`" if config["language"] else ""
    lines = [
        f"It turns speech{language} into text, for speech like that of its training data. On other voices, "
        "accents, microphones, rooms and subjects it was not evaluated; try it on your own recordings before you "
        "rely on it, and do not let it decide about people unsupervised."
    ]
    if config["decoding"] == "words":
        lines.append(
            "It was evaluated with `words.txt`, the words of its training transcripts: asrkit hears these "
            "words and no others. The code above ignores that list."
        )
    interval = (best.data.get("wer_interval") if best else None) or ()
    if interval:
        lines.append(
            "The evaluation set is a sample too: with others like it, WER would lie between "
            f"{interval[0]:.3f} and {interval[1]:.3f} in 95 of 100 cases (bootstrap over clips)."
        )
    return "## Intended use and limits\n\n" + "\n\n".join(lines)


def _data(run: Run, seen: RunView, config: dict[str, Any], published: bool) -> str:
    told = seen.started
    text = (
        f"## Data\n\n{told.get('train_utterances', '?')} clips to train on ({told.get('train_hours', 0):.2f} h), "
        f"{told.get('eval_utterances', '?')} to evaluate on ({told.get('eval_hours', 0):.2f} h), "
        f"from `{config['train']}`" + (f" and `{config['eval']}`." if config["eval"] else ".")
    )
    return " ".join([text, *_speakers(run), *_audited(run, published)])


def _speakers(run: Run) -> list[str]:
    paths = [run.manifest_path(split) for split in ("train", "eval")]
    if not all(path.exists() for path in paths):
        return []
    train, held_out = ({row.speaker for row in manifest.read(path) if row.speaker} for path in paths)
    if not train or not held_out:
        return ["Speakers are not known."]
    shared = len(train & held_out)
    apart = "none of them in both" if not shared else f"{shared} of them in both"
    return [f"{len(train)} speakers to train on and {len(held_out)} to evaluate on, {apart}."]


def _audited(run: Run, published: bool) -> list[str]:
    if not run.audit_path.exists():
        return []
    told = json.loads(run.audit_path.read_text(encoding="utf-8"))
    chosen = _chosen(told.get("selection"), published)
    shared = [found["effect"] for found in told["findings"] if found["code"].startswith(LEAK)]
    reasons = ", ".join(
        f"{found['code']} {found['count']}" for found in told["findings"] if not found["code"].startswith(LEAK)
    )
    if not told["dropped"]:
        return [*chosen, "The audit left no clip out.", *shared]
    return [*chosen, f"The audit left {told['dropped']} clips out ({reasons}).", *shared]


def _chosen(selection: dict[str, Any] | None, published: bool) -> list[str]:
    """What somebody left out before the run, where its data is a selection."""
    if not selection:
        return []
    reasons = ", ".join(f"{left['code']} {left['count']}" for left in selection["left_out"])
    data = _last_name(selection["data"]) if published else selection["data"]
    return [f"It is a selection from `{data}`: {selection['kept']} clips stayed; left out were {reasons or 'none'}."]


def _procedure(seen: RunView, config: dict[str, Any]) -> str:
    lines = [f"- {name}: {config[name]}" for name in HYPERPARAMETERS if config[name] != ""]
    adam = f"({config['adam_beta1']},{config['adam_beta2']}) and epsilon={config['adam_epsilon']:g}"
    lines.insert(HYPERPARAMETERS.index("lr_scheduler_type"), f"- optimizer: AdamW with betas={adam}")
    lines.append(f"- device: {seen.started.get('hardware', 'unknown')}, {seen.started.get('precision', 'no')}")
    return "## Training procedure\n\n### Training hyperparameters\n\n" + "\n".join(lines)


def _results(seen: RunView, best: events.Event | None) -> str:
    """The table of the published cards: training loss, epoch, step, validation loss, WER, CER."""
    rows = [
        "| Training Loss | Epoch | Step | Validation Loss | Wer | Cer |",
        "|:-------------:|:-----:|:----:|:---------------:|:------:|:------:|",
    ]
    losses = seen.series.get("train/loss", [])
    for told in seen.evaluations:
        before = [point.value for point in losses if point.step <= (told.step or 0) and point.value is not None]
        cells = [
            f"{before[-1]:.4f}" if before else "No log",
            f"{told.epoch or 0:.2f}",
            str(told.step),
            *(_figure(told, name) for name in ("loss", "wer", "cer")),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "### Training results\n\n" + "\n".join(rows) + _without_words(best)


def _without_words(best: events.Event | None) -> str:
    """What the acoustic model does alone, where a word list did the decoding."""
    if not best or best.data.get("greedy_wer") is None:
        return ""
    return (
        "\n\nDecoded with the words of the training transcripts (`words.txt`). Without that list, greedily, the "
        f"best model's WER is {best.data['greedy_wer']:.4f} and its CER {best.data['greedy_cer']:.4f}."
    )


def _figure(told: events.Event, name: str) -> str:
    value = told.data.get(name)
    return "not finite" if value is None else f"{value:.4f}"


def _findings(seen: RunView, drawn: bool) -> str:
    """What asrkit said was going wrong, and the curves to see it by."""
    told = [f"- `{found['code']}` at step {found.get('step') or 0}: {found['cause']}" for found in seen.findings]
    text = "\n".join(told) if told else "The checks that ran during training found nothing wrong."
    curve = f"\n\n![Loss and error rates over steps]({PICTURE})" if drawn else ""
    return f"### Findings\n\n{text}{curve}"


def _versions(seen: RunView) -> str:
    names = {
        "asrkit": "asrkit",
        "transformers": "Transformers",
        "torch": "Pytorch",
        "datasets": "Datasets",
        "tokenizers": "Tokenizers",
    }
    versions = seen.started.get("versions", {})
    return "### Framework versions\n\n" + "\n".join(
        f"- {title} {versions[name]}" for name, title in names.items() if versions.get(name)
    )
