"""The same recording heard by several models, or by the checkpoints of one run in turn, against what was said."""

from __future__ import annotations

from html import escape

from asrkit import units
from asrkit.audio import Waveform
from asrkit.decoding.hints import NO_HINTS, DecodingHints
from asrkit.errors import ConfigError, DataError, ModelError
from asrkit.runs import model_choices
from asrkit.runs.store import RunStore
from asrkit.text import metrics
from asrkit.text.normalizers import normalize
from asrkit.text.scripts import tokenize_mixed
from asrkit.ui.common import samples

CHECKPOINTS = "checkpoints of "


def rivals(store: RunStore) -> list[dict[str, str]]:
    """What a recording can be compared with: {label, value}."""
    steps = [
        {"label": f"Every checkpoint of run {run.id}", "value": CHECKPOINTS + run.id}
        for run in store.all()
        if len(run.checkpoints()) > 1
    ]
    return [{"label": label, "value": value} for label, value in model_choices.list_models(store)] + steps


def compared(
    store: RunStore, wave: Waveform, model: str, other: str, reference: str, expect: DecodingHints = NO_HINTS
) -> str:
    """A table as HTML: what each of the two hears (or each checkpoint, oldest first), its errors marked where there is
    a reference. All of them expect the same; one that cannot spell it, or whose weights are broken, says so. Raises
    RunError where there is no such run."""
    said = normalize(reference, "basic")
    rows = "".join(
        _told(store, name, listener, wave, expect, said) for name, listener in _listeners(store, model, other)
    )
    score = f"<th>{'WER' if tokenize_mixed(said) == said.split() else 'MER'}</th>" if said else ""
    return f"<table><thead><tr><th>Model</th><th>Hears</th>{score}</tr></thead><tbody>{rows}</tbody></table>"


def _listeners(store: RunStore, model: str, other: str) -> list[tuple[str, str]]:
    """(name, model or checkpoint) of each."""
    if not other.startswith(CHECKPOINTS):
        return [(name, name) for name in dict.fromkeys((model, other))]
    run = store.get(other.removeprefix(CHECKPOINTS))
    steps = [(f"step {path.name.rpartition('-')[2]}", str(path)) for path in run.checkpoints()]
    if not steps:
        raise DataError(f"Run {run.id} has no checkpoints any more; choose another.")
    return steps + ([("best", str(run.model_dir))] if run.has_model() else [])


def _told(store: RunStore, name: str, listener: str, wave: Waveform, expect: DecodingHints, said: str) -> str:
    try:
        return _row(name, _heard(store, listener, wave, expect), said)
    except (ConfigError, ModelError) as error:
        return f'<tr><td>{escape(name)}</td><td colspan="{2 if said else 1}"><i>{escape(str(error))}</i></td></tr>'


def _heard(store: RunStore, listener: str, wave: Waveform, expect: DecodingHints) -> str:
    from asrkit.transcription.model_cache import get_transcriber

    ready = get_transcriber(listener, store)
    return ready.transcribe_blocks([wave.samples], expect.build_decoder(ready)).text


def _row(name: str, text: str, said: str) -> str:
    heard = normalize(text, "basic") if said else text
    shown = samples.marked(said, heard) if said else escape(heard)
    rate = f"<td>{units.format_rate(metrics.score([said], [heard]).mer.rate)}</td>" if said else ""
    return f"<tr><td>{escape(name)}</td><td>{shown or '<i>nothing</i>'}</td>{rate}</tr>"
