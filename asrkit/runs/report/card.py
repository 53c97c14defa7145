"""RunView + config -> the model card that lies beside the weights."""

from __future__ import annotations

import json
from typing import Any

from asrkit.data import dataset_names, manifest
from asrkit.data.manifest import Column
from asrkit.data.readers.hub_names import PREFIX
from asrkit.languages import guess_language
from asrkit.models import catalogue, checkpoints, frames, resolution
from asrkit.runs import events
from asrkit.runs.report import card_data, picture, usage
from asrkit.runs.run import Run
from asrkit.runs.summary import count_clips, describe_model_step, get_best_evaluation
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
    "mix",
    "weight_decay",
    "mixed_precision",
    "freeze",
    "lora_rank",
    "lora_alpha",
    "optimizer",
    "head_first_steps",
    "hidden_dropout",
    "attention_dropout",
    "mask_time_prob",
    "mask_time_length",
    "augmentation",
    "normaliser",
    "markup",
    "spell_numbers",
    "character_map",
    "graphemes",
    "decoding",
)


def render_card(run: Run, has_picture: bool = False, published_id: str = "") -> str:
    """Render the card of a run as Markdown with a YAML front matter that the Hub reads.

    has_picture: the curves are beside it. published_id: the Hub id that the model gets; local folders are then given by
    their names alone.
    """
    run_view, config = load_view(run), run.config().to_dict()
    config["language"] = _find_language(run) or config["language"]
    best = get_best_evaluation(run, run_view)
    if published_id:
        config |= {name: dataset_names.strip_paths(config[name]) for name in ("train", "eval")}
        if not resolution.HUB_ID.fullmatch(config["model"]):
            config["model"] = dataset_names.strip_paths(config["model"])
    parts = [
        _render_front_matter(run, best, config),
        _render_introduction(run, run_view, best, config),
        _render_usage(published_id or run.model_dir.name, checkpoints.read_config(run.model_dir)),
        _render_limits(best, config),
        card_data.render_data(run, run_view, config, bool(published_id)),
        *card_data.render_terms(run),
        _render_procedure(run_view, config),
        _render_results(run_view, best, bool(published_id)),
        _render_findings(run_view, has_picture),
        _render_versions(run_view),
    ]
    return "\n\n".join(parts) + "\n"


def render_published_card(run: Run, name: str) -> str:
    """Render the card that a run's model gets under another name, such as its Hub id."""
    return render_card(run, (run.model_dir / PICTURE).exists(), name)


def write_card(run: Run) -> None:
    """Write the card and the picture of the curves beside the weights."""
    has_picture = picture.draw_curves(load_view(run), run.model_dir / PICTURE)
    (run.model_dir / "README.md").write_text(render_card(run, has_picture), encoding="utf-8")


def _render_front_matter(run: Run, best: events.Event | None, config: dict[str, Any]) -> str:
    # YAML is a superset of JSON, so the JSON library does the quoting.
    licence = catalogue.find_licence(config["model"])
    lines = [
        "---",
        *([f"license: {licence}"] if licence else []),
        "library_name: transformers",
        "pipeline_tag: automatic-speech-recognition",
        "tags: [automatic-speech-recognition, ctc, asrkit]",
        "metrics: [wer, cer]",
    ]
    if resolution.HUB_ID.fullmatch(config["model"]):
        lines.append(f"base_model: {json.dumps(config['model'])}")
    if config["language"]:
        lines.append(f"language: {json.dumps(config['language'])}")
    names = dataset_names.separate(config["train"])
    on_hub = [name.removeprefix(PREFIX).partition(":")[0] for name in names if name.startswith(PREFIX)]
    if on_hub:
        lines.append(f"datasets: {json.dumps(on_hub)}")
    if best:
        metrics = [
            {"type": name, "value": round(best.data[name], 4), "name": name.upper()}
            for name in ("wer", "cer")
            if best.data.get(name) is not None
        ]
        result = {
            "task": {"type": "automatic-speech-recognition", "name": "Speech Recognition"},
            "dataset": dict.fromkeys(("type", "name"), dataset_names.strip_paths(config["eval"] or config["train"])),
            "metrics": metrics,
        }
        lines.append(f"model-index: {json.dumps([{'name': run.id, 'results': [result]}])}")
    return "\n".join([*lines, "---"])


def _render_introduction(run: Run, run_view: RunView, best: events.Event | None, config: dict[str, Any]) -> str:
    text = f"# {run.id}\n\nA fine-tuned version of `{config['model']}` on `{config['train']}`, made with asrkit."
    if not best:
        return text + "\nIt was not evaluated."
    metrics = [
        f"- {name}: {best.data[key]:.4f}"
        for name, key in (("Loss", "loss"), ("Wer", "wer"), ("Cer", "cer"), ("Mer", "mer"))
        if best.data.get(key) is not None
    ]
    return (
        f"{text}\nBest evaluation (step {best.step}, by {run_view.metric.upper()}{_describe_clips(best)}, "
        "references and hypotheses "
        f"through the normaliser `{best.data.get('normaliser', run.config().text_rules)}`):\n"
        + "\n".join(metrics)
        + "".join(f"\n\n{note}" for note in [describe_model_step(run, run_view)] if note)
    )


def _describe_clips(best: events.Event) -> str:
    """Say on which clips an evaluation was made, where it is known whether they are a sample."""
    clips, total = count_clips(best)
    if "of" not in best.data or clips is None or total is None:
        return ""
    return f", on all {total:,} clips" if clips == total else f", on a sample of {clips:,} of {total:,} clips"


def _find_language(run: Run) -> str:
    """Return the language that the transcripts are in, where it can be recognised: a preset may name another one."""
    path = run.manifest_path("train")
    return guess_language(Column("text", manifest.read(path))) if path.exists() else ""


def _render_usage(model: str, config: dict[str, Any] | None) -> str:
    """Show how the model is used; config: its config.json."""
    model_type = (config or {}).get("model_type")
    outlets = usage.list_outlets(model, model, model_type == "wav2vec2", model_type not in frames.MEL_TYPES)
    return f"## Use\n\n{usage.render_outlets(outlets)}"


def _render_limits(best: events.Event | None, config: dict[str, Any]) -> str:
    """State the intended use, and what the evaluation does not cover."""
    language = f" in the language `{config['language']}`" if config["language"] else ""
    lines = [
        f"It turns speech{language} into text, for speech like that of its training data. On other voices, "
        "accents, microphones, rooms and subjects it was not evaluated; try it on your own recordings before you "
        "rely on it, and do not let it decide about people unsupervised."
    ]
    if config["decoding"] == "words":
        lines.append(
            "It was evaluated with `words.txt`, the words of its training transcripts: asrkit decodes only "
            "these words. The code above ignores that list."
        )
    interval = (best.data.get("wer_interval") if best else None) or ()
    if interval:
        lines.append(
            "The evaluation set is a sample too: with others like it, WER would lie between "
            f"{interval[0]:.3f} and {interval[1]:.3f} in 95 of 100 cases (bootstrap over clips)."
        )
    return "## Intended use and limits\n\n" + "\n\n".join(lines)


def _render_procedure(run_view: RunView, config: dict[str, Any]) -> str:
    hidden = () if config["freeze"] == "lora" else ("lora_rank", "lora_alpha")
    lines = [f"- {name}: {config[name]}" for name in HYPERPARAMETERS if config[name] != "" and name not in hidden]
    adam = f"({config['adam_beta1']},{config['adam_beta2']}) and epsilon={config['adam_epsilon']:g}"
    lines.insert(HYPERPARAMETERS.index("lr_scheduler_type"), f"- optimizer: AdamW with betas={adam}")
    lines.append(f"- device: {run_view.started.get('hardware', 'unknown')}, {run_view.started.get('precision', 'no')}")
    return "## Training procedure\n\n### Training hyperparameters\n\n" + "\n".join(lines)


def _render_results(run_view: RunView, best: events.Event | None, published: bool) -> str:
    """Render the table of the published cards: training loss, epoch, step, validation loss, WER, CER."""
    rows = [
        "| Training Loss | Epoch | Step | Validation Loss | Wer | Cer |",
        "|:-------------:|:-----:|:----:|:---------------:|:------:|:------:|",
    ]
    losses = run_view.series.get("train/loss", [])
    for event in run_view.evaluations:
        before = [point.value for point in losses if point.step <= (event.step or 0) and point.value is not None]
        cells = [
            f"{before[-1]:.4f}" if before else "No log",
            f"{event.epoch or 0:.2f}",
            str(event.step),
            *(_format_metric(event, name) for name in ("loss", "wer", "cer")),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "### Training results\n\n" + "\n".join(rows) + _render_datasets(best, published) + _render_greedy_rates(best)


def _render_datasets(best: events.Event | None, published: bool) -> str:
    """Render the best evaluation for each of several datasets."""
    datasets = best.data.get("datasets", {}) if best else {}
    if not datasets:
        return ""
    rows = ["| Dataset | Clips | Wer | Cer |", "|:--------|------:|:------:|:------:|"]
    for name, rates in datasets.items():
        shown = dataset_names.strip_paths(name) if published else name
        rows.append(f"| `{shown}` | {rates['utterances']:,} | {rates['wer']:.4f} | {rates['cer']:.4f} |")
    return "\n\nThe best model on each dataset:\n\n" + "\n".join(rows)


def _render_greedy_rates(best: events.Event | None) -> str:
    """Report the greedy error rates, where a word list was used for decoding."""
    if not best or best.data.get("greedy_wer") is None:
        return ""
    return (
        "\n\nDecoded with the words of the training transcripts (`words.txt`). Without that list, greedily, the "
        f"best model's WER is {best.data['greedy_wer']:.4f} and its CER {best.data['greedy_cer']:.4f}."
    )


def _format_metric(event: events.Event, name: str) -> str:
    value = event.data.get(name)
    return "not finite" if value is None else f"{value:.4f}"


def _render_findings(run_view: RunView, has_picture: bool) -> str:
    """List the findings of the diagnosis, and show the curves."""
    lines = [
        f"- `{finding['code']}` at step {finding.get('step') or 0}: {finding['cause']}" for finding in run_view.findings
    ]
    text = "\n".join(lines) or "The checks that ran during training found nothing wrong."
    curve = f"\n\n![Loss and error rates over steps]({PICTURE})" if has_picture else ""
    return f"### Findings\n\n{text}{curve}"


def _render_versions(run_view: RunView) -> str:
    names = {
        "asrkit": "asrkit",
        "transformers": "Transformers",
        "torch": "Pytorch",
        "datasets": "Datasets",
        "tokenizers": "Tokenizers",
    }
    versions = run_view.started.get("versions", {})
    return "### Framework versions\n\n" + "\n".join(
        f"- {title} {versions[name]}" for name, title in names.items() if versions.get(name)
    )
