"""The sections of a model card on the data: clips, speakers, audit, and the terms of the recordings."""

from __future__ import annotations

from typing import Any

from asrkit.data import dataset_names, manifest, terms
from asrkit.data.manifest import Column
from asrkit.runs.audit_record import LEAK, read_audit
from asrkit.runs.run import Run
from asrkit.runs.view import RunView
from asrkit.units import format_count


def render_data(run: Run, run_view: RunView, config: dict[str, Any], published: bool) -> str:
    """Render what the run was trained and evaluated on. published: local folders are given by their names alone."""
    facts = run_view.started
    text = (
        f"## Data\n\n{facts.get('train_utterances', '?')} clips to train on ({facts.get('train_hours', 0):.2f} h), "
        f"{facts.get('eval_utterances', '?')} to evaluate on ({facts.get('eval_hours', 0):.2f} h), "
        f"from `{config['train']}`" + (f" and `{config['eval']}`." if config["eval"] else ".")
    )
    return " ".join([text, *_describe_speakers(run), *_describe_audit(run, published)])


def render_terms(run: Run) -> list[str]:
    """Render the consent of the speakers and the licence of each recorded dataset, where they were given."""
    found = (read_audit(run) or {}).get("terms", [])
    return ["## Terms of the recordings", *map(_render_dataset_terms, found)] if found else []


def _render_dataset_terms(values: dict[str, Any]) -> str:
    return f"`{values['dataset']}`:\n\n{terms.render(values).rstrip()}"


def _describe_speakers(run: Run) -> list[str]:
    paths = [run.manifest_path(split) for split in ("train", "eval")]
    if not all(path.exists() for path in paths):
        return []
    train, held_out = (set(Column("speaker", manifest.read(path))) - {None, ""} for path in paths)
    if not train or not held_out:
        return ["Speakers are unknown."]
    shared = len(train & held_out)
    apart = "none of them in both" if not shared else f"{shared} of them in both"
    return [f"{format_count(len(train), 'speaker')} to train on and {len(held_out)} to evaluate on, {apart}."]


def _describe_audit(run: Run, published: bool) -> list[str]:
    audit = read_audit(run)
    if audit is None:
        return []
    selected = _describe_selection(audit.get("selection"), published)
    shared = [finding["effect"] for finding in audit["findings"] if finding["code"].startswith(LEAK)]
    reasons = ", ".join(
        f"{finding['code']} {finding['count']}" for finding in audit["findings"] if not finding["code"].startswith(LEAK)
    )
    if not audit["dropped"]:
        return [*selected, "The audit left no clip out.", *shared]
    return [*selected, f"The audit left {format_count(audit['dropped'], 'clip')} out ({reasons}).", *shared]


def _describe_selection(selection: dict[str, Any] | None, published: bool) -> list[str]:
    """Describe what was left out before the run, where its data is a selection."""
    if not selection:
        return []
    reasons = ", ".join(f"{reason['code']} {reason['count']}" for reason in selection["left_out"])
    data = dataset_names.strip_paths(selection["data"]) if published else selection["data"]
    return [f"It is a selection from `{data}`: {selection['kept']} clips stayed; left out were {reasons or 'none'}."]
