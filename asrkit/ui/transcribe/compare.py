"""One recording transcribed by two models, or by every checkpoint of a run, compared with a reference."""

from __future__ import annotations

from html import escape

from asrkit import units
from asrkit.audio import Waveform
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import ConfigError, DataError, ModelError
from asrkit.runs import model_choices
from asrkit.runs.store import RunStore
from asrkit.text import metrics
from asrkit.text.normalisers import normalise
from asrkit.text.scripts import tokenize_mixed
from asrkit.ui import strings
from asrkit.ui.common import samples
from asrkit.ui.strings.messages import translate

CHECKPOINTS = "checkpoints of "
"""Begins the value of a choice that stands for every checkpoint of a run."""


def list_alternatives(store: RunStore) -> list[dict[str, str]]:
    """List what a recording can be compared with: {label, value}."""
    checkpoints = [
        {"label": strings.text("compare.every_checkpoint", run=run.id), "value": CHECKPOINTS + run.id}
        for run in store.visible()
        if len(run.checkpoints()) > 1
    ]
    return [{"label": label, "value": value} for label, value in model_choices.list_models(store)] + checkpoints


def compare_models(
    store: RunStore, wave: Waveform, model: str, other: str, reference: str, hints: DecodingHints = NO_HINTS
) -> str:
    """Render a table as HTML: the transcript of each model, or of each checkpoint, oldest first.

    With a reference, errors are marked and counted. All models get the same hints; the row of one that cannot spell
    them, or whose weights are broken, shows the error. Raises RunError if there is no such run.
    """
    reference = normalise(reference, "basic")
    rows = "".join(
        _render_row(store, name, source, wave, hints, reference) for name, source in _list_models(store, model, other)
    )
    rate = f"<th>{'WER' if tokenize_mixed(reference) == reference.split() else 'MER'}</th>" if reference else ""
    heads = f"<th>{strings.text('compare.model')}</th><th>{strings.text('compare.transcript')}</th>{rate}"
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _list_models(store: RunStore, model: str, other: str) -> list[tuple[str, str]]:
    """List (name, model or checkpoint)."""
    if not other.startswith(CHECKPOINTS):
        return [(name, name) for name in dict.fromkeys((model, other))]
    run = store.get(other.removeprefix(CHECKPOINTS))
    steps = [(strings.text("compare.step", step=path.name.rpartition("-")[2]), str(path)) for path in run.checkpoints()]
    if not steps:
        raise DataError(strings.text("compare.no_checkpoints", run=run.id))
    return steps + ([(strings.text("compare.best"), str(run.model_dir))] if run.has_model() else [])


def _render_row(store: RunStore, name: str, source: str, wave: Waveform, hints: DecodingHints, reference: str) -> str:
    try:
        text = transcribe(store, source, wave, hints)
    except (ConfigError, ModelError) as error:
        width = 2 if reference else 1
        return f'<tr><td>{escape(name)}</td><td colspan="{width}"><i>{escape(translate(str(error)))}</i></td></tr>'
    hypothesis = normalise(text, "basic") if reference else text
    shown = samples.mark_errors(reference, hypothesis) if reference else escape(hypothesis)
    rate = metrics.score([reference], [hypothesis]).mer.rate if reference else None
    cell = f"<td>{units.format_rate(rate)}</td>" if reference else ""
    nothing = f"<i>{strings.text('common.nothing')}</i>"
    return f"<tr><td>{escape(name)}</td><td>{shown or nothing}</td>{cell}</tr>"


def transcribe(store: RunStore, source: str, wave: Waveform, hints: DecodingHints) -> str:
    """Return what a model or checkpoint writes of a whole recording."""
    from asrkit.transcription.model_cache import get_transcriber

    model = get_transcriber(source, store)
    return model.transcribe_blocks([wave.samples], hints.build_decoder(model)).text
