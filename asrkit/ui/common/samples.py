"""The samples of an evaluation as HTML: each hypothesis with its errors marked by word. All text is escaped."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import Any

from asrkit.runs.events import Event
from asrkit.text import metrics
from asrkit.text.scripts import tokenize_with_joins
from asrkit.ui import strings
from asrkit.ui.common import status_text

MAX_SAMPLES = 20


def format_caption(event: Event) -> str:
    """Format `Step 120 · 100 clips · WER 3.1 % (95 % interval 1.2 to 5.4) · CER 1.0 %`, as plain text."""
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
    return " · ".join(parts)


def render_samples(event: Event) -> str:
    """Render a table of the samples of one evaluation event."""
    rows = "".join(_render_row(sample) for sample in (event.data.get("samples") or [])[:MAX_SAMPLES])
    if not rows:
        return f'<p class="quiet">{strings.text("samples.none")}</p>'
    return f"<table><thead><tr>{render_heads()}</tr></thead><tbody>{rows}</tbody></table>"


def _render_row(sample: dict[str, Any]) -> str:
    reference, hypothesis = str(sample.get("reference") or ""), str(sample.get("hypothesis") or "")
    marked = mark_errors(reference, hypothesis) or f'<span class="quiet">({strings.text("common.nothing")})</span>'
    worst = f'<span class="tag">{strings.text("samples.worst")}</span>' if sample.get("worst") else ""
    play = (
        f'<button type="button" data-clip="{escape(str(sample.get("id")))}" '
        f'aria-label="{strings.text("samples.play")}">▶</button>'
    )
    return f"<tr><td>{play}</td><td>{escape(reference)} {worst}</td><td>{marked}</td></tr>"


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


def render_heads() -> str:
    """Render the heads of a table of clips: a button that plays each, its reference and its hypothesis."""
    heads = (strings.text("samples.audio"), strings.text("common.reference"), strings.text("common.hypothesis"))
    return "".join(f"<th>{head}</th>" for head in heads)
