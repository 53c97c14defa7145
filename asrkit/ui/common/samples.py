"""The samples of an evaluation as HTML: each hypothesis with its errors marked by word. All text is escaped."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import Any

from asrkit.data.dataset_names import label_each
from asrkit.runs.events import Event
from asrkit.text import metrics
from asrkit.text.scripts import tokenize_with_joins
from asrkit.ui import strings
from asrkit.ui.common import status_text

MAX_SAMPLES = 20
NOT_EVALUATED = '<span class="quiet">–</span>'


def format_caption(event: Event) -> str:
    """Format `Step 120 · 100 clips · WER 3.1 % (95 % interval 1.2 to 5.4) · CER 1.0 %`, as plain text.

    Of several datasets, the WER of each follows.
    """
    data = event.data
    parts, interval = [strings.text("samples.step", step=event.step or 0)], ""
    if clips := status_text.format_clips(event):
        parts.append(clips)
    if data.get("wer_interval"):
        low, high = (f"{100 * bound:.1f}" for bound in data["wer_interval"])
        interval = f" ({strings.text('samples.interval', low=low, high=high)})"
    parts += [
        status_text.format_metric(name, data[name]) + (interval if name == "wer" else "")
        for name in ("wer", "cer")
        if data.get(name) is not None
    ]
    if data.get("greedy_wer") is not None:
        parts.append(strings.text("samples.greedy", metric=status_text.format_metric("wer", data["greedy_wer"])))
    datasets = data.get("datasets", {})
    parts += [
        strings.text(
            "samples.of_dataset", dataset=label, metric=status_text.format_metric("wer", datasets[name]["wer"])
        )
        for name, label in label_each(datasets).items()
    ]
    return " · ".join(parts)


def render_samples(event: Event, before: Event | None = None) -> str:
    """Render a table of the samples of one evaluation event.

    before: the evaluation of the base model, whose hypotheses for the same clips stand beside those of the event.
    """
    earlier = None if before is None else {sample.get("id"): sample for sample in before.data.get("samples") or []}
    rows = "".join(_render_row(sample, earlier) for sample in (event.data.get("samples") or [])[:MAX_SAMPLES])
    if not rows:
        return f'<p class="quiet">{strings.text("samples.none")}</p>'
    return f"<table><thead><tr>{render_heads(earlier is not None)}</tr></thead><tbody>{rows}</tbody></table>"


def _render_row(sample: dict[str, Any], earlier: dict[Any, dict[str, Any]] | None) -> str:
    reference = str(sample.get("reference") or "")
    worst = f'<span class="tag">{strings.text("samples.worst")}</span>' if sample.get("worst") else ""
    play = (
        f'<button type="button" data-clip="{escape(str(sample.get("id")))}" '
        f'aria-label="{strings.text("samples.play")}">▶</button>'
    )
    cells = [play, f"{escape(reference)} {worst}"]
    if earlier is not None:
        before = earlier.get(sample.get("id"))
        cells.append(_render_hypothesis(reference, before) if before else NOT_EVALUATED)
    return f"<tr>{_render_cells('td', [*cells, _render_hypothesis(reference, sample)])}</tr>"


def _render_hypothesis(reference: str, sample: dict[str, Any]) -> str:
    marked = mark_errors(reference, str(sample.get("hypothesis") or ""))
    return marked or f'<span class="quiet">({strings.text("common.nothing")})</span>'


def _render_cells(tag: str, contents: list[str]) -> str:
    return "".join(f"<{tag}>{content}</{tag}>" for content in contents)


def mark_errors(reference: str, hypothesis: str) -> str:
    """Mark the errors of a hypothesis: <mark> for a wrong word, <del> for a missing, <ins> for an extra one."""
    tokens: list[str] = []
    reference_tokens, hypothesis_tokens = iter(tokenize_with_joins(reference)), iter(tokenize_with_joins(hypothesis))
    for operation, expected, actual in metrics.align_words(reference, hypothesis):
        reference_part = list(islice(reference_tokens, len(expected)))
        hypothesis_part = list(islice(hypothesis_tokens, len(actual)))
        for index, (word, is_joined) in enumerate(reference_part if operation == "delete" else hypothesis_part):
            if tokens and not is_joined:
                tokens.append(" ")
            tokens.append(_mark(operation, escape(word), escape(expected[index]) if expected else ""))
    return "".join(tokens)


def _mark(operation: str, word: str, expected: str) -> str:
    if operation == "delete":
        return f'<del title="{strings.text("samples.missing")}">{word}</del>'
    if operation == "insert":
        return f'<ins title="{strings.text("samples.extra")}">{word}</ins>'
    if operation == "substitute":
        return f'<mark title="{strings.text("samples.instead_of", word=expected)}">{word}</mark>'
    return word


def render_heads(has_before: bool = False) -> str:
    """Render the heads of a table of clips: a button that plays each, its reference and its hypothesis.

    has_before: the hypothesis of the base model stands before that of the trained one.
    """
    hypotheses = [strings.text("common.hypothesis")]
    if has_before:
        hypotheses = [strings.text("samples.before"), strings.text("samples.now")]
    # The column is as wide as its buttons, narrower than this word in some languages.
    play = f'<span class="screen-reader-only">{strings.text("samples.audio")}</span>'
    return _render_cells("th", [play, strings.text("common.reference"), *hypotheses])
