"""The Train tab: the form, Start, and the live panel."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby
from typing import Any

import gradio as gr

from asrkit import config as configs
from asrkit.config import FIELDS, TrainConfig
from asrkit.errors import AsrkitError
from asrkit.runs import lifecycle, queue, supervisor
from asrkit.runs.store import RunStore
from asrkit.ui.common import form, visitors
from asrkit.ui.train.live_panel import live_chart

REFOCUS = "() => { if (document.activeElement === document.body) document.querySelector('#start').focus(); }"
"""Start cannot be pressed while it works, and what cannot be pressed loses the focus."""

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 8}
"""For listeners whose work is so short that a spinner would only flicker."""


def build(
    store: RunStore, page: gr.Blocks, data: gr.HTML, forecast: Callable[[TrainConfig], str]
) -> tuple[gr.HTML, list[gr.components.Component]]:
    """Lay out the tab and wire it; returns the live panel and the form's fields.

    data: gets what the form holds as its value, as JSON. forecast: a run's settings -> how long it will take, in words.
    """
    with gr.Row(elem_id="train"):
        with gr.Column(scale=3, min_width=300, elem_id="form"):
            fields = _basic(store)
            start = gr.Button("Start training", variant="primary", size="lg", elem_id="start")
            expected = gr.HTML(_small(_forecast(form.DEFAULTS, forecast)), elem_id="forecast", apply_default_css=False)
            message = gr.HTML(visible=False, elem_id="start-message", apply_default_css=False)
            fields |= _advanced(store)
            with gr.Accordion("Show the command", open=False, elem_id="command-fold"):
                command = gr.Textbox(
                    form.command(form.DEFAULTS, store),
                    show_label=False,
                    container=False,
                    lines=2,
                    max_lines=12,
                    buttons=["copy"],
                    interactive=False,
                    elem_id="command",
                )
        with gr.Column(scale=6, min_width=300, elem_id="panel"):
            panel = live_chart(store)
    inputs = [fields[name] for name in form.NAMES]
    fields["preset"].input(_filled, fields["preset"], inputs, **QUIET)
    # Not a secret; with the random one that is made otherwise, a restarted app could not read what it kept.
    kept = gr.BrowserState({}, storage_key="asrkit-form", secret="asrkit")
    page.load(_restored, kept, inputs, **QUIET)

    def changed(request: gr.Request, *values: Any) -> list[Any]:
        with visitors.of(request):
            return _changed(store, values, forecast)

    def press(request: gr.Request, *values: Any) -> Iterator[tuple[Any, Any, Any]]:
        yield from _start(store, values, request)

    gr.on(
        [field.change for field in inputs],
        changed,
        inputs,
        [command, kept, data, expected],
        trigger_mode="always_last",
        **QUIET,
    )
    pressed = start.click(press, inputs, [start, message, panel], **QUIET)
    pressed.then(None, None, None, js=REFOCUS)
    panel.change(lambda told: _refreshed(store, told), message, [start, message, fields["model"]], **QUIET)
    return panel, inputs


def reused(store: RunStore, run_id: str) -> list[Any]:
    """The form with the settings of a run; as it is where there is no such run any more."""
    try:
        told = store.get(run_id).config()
    except AsrkitError:
        return [gr.skip()] * len(form.NAMES)
    return form.shown(told.preset or form.DEFAULTS.preset, [getattr(told, name) for name in form.NAMES])


def _basic(store: RunStore) -> form.Form:
    names = [name for name in form.NAMES if FIELDS[name].metadata["basic"]]
    return _rows([name for name in names if _wide(name)], store, 1) | _rows(
        [name for name in names if not _wide(name)], store, 2
    )


def _wide(name: str) -> bool:
    return name in ("preset", "model", "train")


def _advanced(store: RunStore) -> form.Form:
    rest = [name for name in form.NAMES if not FIELDS[name].metadata["basic"]]
    fields: form.Form = {}
    with gr.Accordion("Advanced", open=False, elem_id="advanced"):
        for group, names in groupby(rest, key=lambda name: FIELDS[name].metadata["group"]):
            gr.Markdown(f"### {group}")
            fields |= _rows(list(names), store, 2)
    return fields


def _rows(names: list[str], store: RunStore, width: int) -> form.Form:
    fields: form.Form = {}
    for begin in range(0, len(names), width):
        with gr.Row(elem_classes="fields"):
            fields |= {name: form.field(name, store) for name in names[begin : begin + width]}
    return fields


def _kept(values: tuple[Any, ...]) -> dict[str, Any]:
    """What the browser is to remember of the form."""
    return dict(zip(form.NAMES, values, strict=True))


def _restored(kept: Any) -> list[Any]:
    """The form as it was left in this browser; what this version does not know is passed over."""
    known = kept if isinstance(kept, dict) else {}
    if not known or known.get("preset") not in configs.list_presets():
        return [gr.skip()] * len(form.NAMES)
    return form.shown(
        known["preset"],
        [known[name] if name in known and form.offered(name, known[name]) else gr.skip() for name in form.NAMES],
    )


def _filled(preset: str) -> list[Any]:
    """The form as the preset has it."""
    return form.shown(preset, form.values_of(preset))


def _changed(store: RunStore, values: tuple[Any, ...], forecast: Callable[[TrainConfig], str]) -> list[Any]:
    """What hangs on the form: the command, what the browser keeps, what the Data tab knows, and the forecast."""
    kept = _kept(values)
    try:
        config = form.read(values)
    except AsrkitError as error:
        return [str(error), kept, json.dumps(kept), ""]
    return [form.command(config, store), kept, json.dumps(kept), _small(_forecast(config, forecast))]


def _forecast(config: TrainConfig, forecast: Callable[[TrainConfig], str]) -> str:
    try:
        return forecast(config)
    except AsrkitError:  # Start says it
        return ""


def _small(words: str) -> str:
    return words and f'<p class="quiet" role="status">{escape(words)}</p>'


def _start(
    store: RunStore, values: tuple[Any, ...], request: gr.Request | None = None
) -> Iterator[tuple[Any, Any, Any]]:
    """(Start, its message, the run to show). What cannot work is said in one sentence; the form stays as it is."""
    yield gr.update(interactive=False), _message("Checking the data and the base model…"), gr.skip()
    try:
        with visitors.of(request) if request else contextlib.nullcontext():
            run = supervisor.start(store, form.read(values))
    except (AsrkitError, OSError) as error:
        yield gr.update(interactive=True), _message(str(error), "callout bad", "alert"), gr.skip()
        return
    except BaseException as error:  # told in full in the terminal; the page must not stay as it is
        yield (
            gr.update(interactive=True),
            _message(
                f"The run could not be started: {error!r}. The terminal that the app was started in says more.",
                "callout bad",
                "alert",
            ),
            gr.skip(),
        )
        raise
    yield gr.update(interactive=True), _message(""), run.id


def _refreshed(store: RunStore, told: str) -> tuple[Any, Any, Any]:
    """Start, its message and the base models, after a run began or ended. `told` is the message; a failure stays."""
    busy = [run.id for run in lifecycle.iter_active_runs(store)]
    if busy:
        under_way = f"Run {busy[0]} is" if len(busy) == 1 else f"{len(busy)} runs are"
        mine = queue.assignable_devices(store, form.DEFAULTS)
        turn = f"begins beside it, on {mine[0]}" if mine else "will wait in the queue"
        note = _message(f"{under_way} under way. A new run {turn}.")
    else:
        note = gr.skip() if "alert" in (told or "") else _message("")
    return gr.update(interactive=True), note, gr.update(choices=form.base_models(store))


def _message(text: str, style: str = "callout", role: str = "status") -> Any:
    """The line under Start; without text there is none."""
    return gr.update(value=text and f'<p class="{style}" role="{role}">{escape(text)}</p>', visible=bool(text))
