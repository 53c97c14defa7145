"""An evaluation -> HTML: reference against hypothesis, differences marked by word. Everything in it is escaped."""

from __future__ import annotations

from html import escape
from itertools import islice
from typing import Any

from asrkit.runs.events import Event
from asrkit.text import metrics
from asrkit.text.scripts import tokenize_with_joins
from asrkit.ui.common import words

MOST_SAMPLES = 20


def caption(told: Event) -> str:
    """`Step 120 · 100 clips · WER 3.1 % (95 % interval 1.2 to 5.4) · CER 1.0 %`, as plain text."""
    parts, between = [f"Step {told.step or 0}"], ""
    if told.data.get("utterances"):
        parts.append(f"{told.data['utterances']} clips")
    if told.data.get("wer_interval"):
        low, high = (f"{100 * bound:.1f}" for bound in told.data["wer_interval"])
        between = f" (95 % interval {low} to {high})"
    parts += [
        words.figure(name, told.data[name]) + (between if name == "wer" else "")
        for name in ("wer", "cer")
        if told.data.get(name) is not None
    ]
    if told.data.get("greedy_wer") is not None:
        parts.append(f"without the word list {words.figure('wer', told.data['greedy_wer'])}")
    return " · ".join(parts)


def table(told: Event) -> str:
    """A table of the samples of one evaluation event."""
    rows = "".join(_row(sample) for sample in (told.data.get("samples") or [])[:MOST_SAMPLES])
    if not rows:
        return '<p class="quiet">This evaluation came without sample clips.</p>'
    return f"<table><thead><tr><th></th><th>Reference</th><th>Hypothesis</th></tr></thead><tbody>{rows}</tbody></table>"


def _row(sample: dict[str, Any]) -> str:
    reference, hypothesis = str(sample.get("reference") or ""), str(sample.get("hypothesis") or "")
    heard = marked(reference, hypothesis) or '<span class="quiet">(nothing)</span>'
    worst = '<span class="tag">hardest</span>' if sample.get("worst") else ""
    play = f'<button type="button" data-clip="{escape(str(sample.get("id")))}" aria-label="Play the clip">▶</button>'
    return f"<tr><td>{play}</td><td>{escape(reference)} {worst}</td><td>{heard}</td></tr>"


def marked(reference: str, hypothesis: str) -> str:
    """The hypothesis with its errors marked: <mark> for a wrong word, <del> for a missing, <ins> for an extra one."""
    shown: list[str] = []
    said, told = iter(tokenize_with_joins(reference)), iter(tokenize_with_joins(hypothesis))
    for operation, expected, heard in metrics.align_words(reference, hypothesis):
        wanted, found = list(islice(said, len(expected))), list(islice(told, len(heard)))
        for place, (word, joined) in enumerate(wanted if operation == "delete" else found):
            if shown and not joined:
                shown.append(" ")
            shown.append(_TAGS[operation].format(word=escape(word), wanted=escape(expected[place]) if expected else ""))
    return "".join(shown)


_TAGS = {
    "equal": "{word}",
    "delete": '<del title="missing">{word}</del>',
    "insert": '<ins title="extra">{word}</ins>',
    "substitute": '<mark title="instead of {wanted}">{word}</mark>',
}
