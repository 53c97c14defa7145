"""An evaluation -> HTML: reference against hypothesis, differences marked by word. Everything in it is escaped."""

from __future__ import annotations

from html import escape
from itertools import zip_longest
from typing import Any

from asrkit.runs.events import Event
from asrkit.speech import metrics
from asrkit.ui import words

MOST_SAMPLES = 20


def caption(told: Event) -> str:
    """`Step 120 · 100 clips · WER 3.1 % (95 % interval 1.2 to 5.4) · CER 1.0 %`, as plain text."""
    parts, between = [f"Step {told.step or 0}"], ""
    if told.data.get("utterances"):
        parts.append(f"{told.data['utterances']} clips")
    if told.data.get("wer_interval"):
        low, high = (f"{100 * bound:.1f}" for bound in told.data["wer_interval"])
        between = f" (95 % interval {low} to {high})"
    parts += [words.figure(name, told.data[name]) + (between if name == "wer" else "")
              for name in ("wer", "cer") if told.data.get(name) is not None]
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
    for operation, expected, heard in metrics.align(reference, hypothesis):
        if operation == "equal":
            shown += [escape(word) for word in heard]
        elif operation == "delete":
            shown += [f'<del title="missing">{escape(word)}</del>' for word in expected]
        elif operation == "insert":
            shown += [f'<ins title="extra">{escape(word)}</ins>' for word in heard]
        else:
            shown += [f'<mark title="instead of {escape(wanted)}">{escape(word)}</mark>'
                      for wanted, word in zip_longest(expected, heard, fillvalue="")]
    return " ".join(shown)
