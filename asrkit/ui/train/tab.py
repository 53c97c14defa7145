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
from asrkit.ui import strings
from asrkit.ui.common import form, visitors
from asrkit.ui.train import live_panel

REFOCUS = "() => { if (document.activeElement === document.body) document.querySelector('#start').focus(); }"
"""Start cannot be pressed while it works, and what cannot be pressed loses the focus."""

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 8}
"""For listeners whose work is so short that a spinner would only flicker."""


def build(
    store: RunStore, page: gr.Blocks, data: gr.HTML, forecast: Callable[[TrainConfig], str]
) -> tuple[gr.HTML, list[form.Field]]:
    """Lay out the tab and wire it; return the live panel and the form's fields.

    data: gets what the form holds as its value, as JSON. forecast: a run's settings -> how long it will take, in words.
    """
    with gr.Row(elem_id="train"):
        with gr.Column(scale=3, min_width=300, elem_id="form"):
            fields = _basic(store)
            start = gr.Button(strings.text("train.start"), variant="primary", size="lg", elem_id="start")
            expected = gr.HTML(_small(_forecast(form.DEFAULTS, forecast)), elem_id="forecast", apply_default_css=False)
            message = gr.HTML(visible=False, elem_id="start-message", apply_default_css=False)
            fields |= _advanced(store)
            with gr.Accordion(strings.text("train.show_command"), open=False, elem_id="command-fold"):
                command = gr.Textbox(
                    form.make_command(form.DEFAULTS, store),
                    show_label=False,
                    container=False,
                    lines=2,
                    max_lines=12,
                    buttons=["copy"],
                    interactive=False,
                    elem_id="command",
                )
        with gr.Column(scale=6, min_width=300, elem_id="panel"):
            panel = live_panel.build(store)
    inputs = [fields[name] for name in form.NAMES]
    fields["preset"].input(_fill_from_preset, fields["preset"], inputs, **QUIET)
    # Not a secret; with the random one that is made otherwise, a restarted app could not read what it kept.
    kept = gr.BrowserState({}, storage_key="asrkit-form", secret="asrkit")
    page.load(_restore, kept, inputs, **QUIET)

    def on_change(request: gr.Request, *values: Any) -> list[Any]:
        with visitors.as_sender(request):
            return _update_dependents(store, values, forecast)

    def on_start(request: gr.Request, *values: Any) -> Iterator[tuple[Any, Any, Any]]:
        yield from _start(store, values, request)

    gr.on(
        [field.change for field in inputs],
        on_change,
        inputs,
        [command, kept, data, expected],
        trigger_mode="always_last",
        **QUIET,
    )
    pressed = start.click(on_start, inputs, [start, message, panel], **QUIET)
    pressed.then(None, None, None, js=REFOCUS)
    panel.change(lambda shown: _refresh(store, shown), message, [start, message, fields["model"]], **QUIET)
    return panel, inputs


def load_run_settings(store: RunStore, run_id: str) -> list[Any]:
    """Return the updates that show the settings of a run; the form stays as it is if the run is gone."""
    try:
        config = store.get(run_id).config()
    except AsrkitError:
        return [gr.skip()] * len(form.NAMES)
    return form.make_updates(config.preset or form.DEFAULTS.preset, [getattr(config, name) for name in form.NAMES])


def _basic(store: RunStore) -> form.Form:
    names = [name for name in form.NAMES if FIELDS[name].metadata["basic"]]
    return _rows([name for name in names if _wide(name)], store, 1) | _rows(
        [name for name in names if not _wide(name)], store, 2
    )


def _wide(name: str) -> bool:
    return name in ("preset", "model", "train")


def _advanced(store: RunStore) -> form.Form:
    """Lay out the other settings: those that many need, and one click away the rest."""
    rest = [name for name in form.NAMES if not FIELDS[name].metadata["basic"]]
    with gr.Accordion(strings.text("train.advanced"), open=False, elem_id="advanced"):
        fields = _groups([name for name in rest if name not in form.EXPERT_SETTINGS], store)
    with gr.Accordion(strings.text("train.all_settings"), open=False, elem_id="all-settings"):
        fields |= _groups([name for name in rest if name in form.EXPERT_SETTINGS], store)
    return fields


def _groups(names: list[str], store: RunStore) -> form.Form:
    fields: form.Form = {}
    for group, members in groupby(names, key=lambda name: FIELDS[name].metadata["group"]):
        gr.Markdown(f"### {group}")
        fields |= _rows(list(members), store, 2)
    return fields


def _rows(names: list[str], store: RunStore, width: int) -> form.Form:
    fields: form.Form = {}
    for begin in range(0, len(names), width):
        with gr.Row(elem_classes="fields"):
            fields |= {name: form.make_field(name, store) for name in names[begin : begin + width]}
    return fields


def _name_values(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the values by name, for the browser to keep."""
    return dict(zip(form.NAMES, values, strict=True))


def _restore(kept: Any) -> list[Any]:
    """Return the updates that show the form as it was left in this browser, without settings that are unknown now."""
    known = kept if isinstance(kept, dict) else {}
    if not known or known.get("preset") not in configs.list_presets():
        return [gr.skip()] * len(form.NAMES)
    return form.make_updates(
        known["preset"],
        [
            known[name] if name in known and form.is_valid_choice(name, known[name]) else gr.skip()
            for name in form.NAMES
        ],
    )


def _fill_from_preset(preset: str) -> list[Any]:
    """Return the updates that show a preset."""
    return form.make_updates(preset, form.load_values(preset))


def _update_dependents(store: RunStore, values: tuple[Any, ...], forecast: Callable[[TrainConfig], str]) -> list[Any]:
    """Return what depends on the form: the command, what the browser keeps, what the Data tab knows, the forecast."""
    kept = _name_values(values)
    try:
        config = form.read_form(values)
    except AsrkitError as error:
        return [str(error), kept, json.dumps(kept), ""]
    return [form.make_command(config, store), kept, json.dumps(kept), _small(_forecast(config, forecast))]


def _forecast(config: TrainConfig, forecast: Callable[[TrainConfig], str]) -> str:
    try:
        return forecast(config)
    except AsrkitError:  # shown by Start
        return ""


def _small(text: str) -> str:
    return text and f'<p class="quiet" role="status">{escape(text)}</p>'


def _start(
    store: RunStore, values: tuple[Any, ...], request: gr.Request | None = None
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (Start, its message, the run to show). An error is shown as one sentence; the form stays as it is."""
    yield gr.update(interactive=False), _message(strings.text("train.checking")), gr.skip()
    try:
        with visitors.as_sender(request) if request else contextlib.nullcontext():
            run = supervisor.start(store, form.read_form(values))
    except (AsrkitError, OSError) as error:
        yield gr.update(interactive=True), _message(str(error), "callout bad", "alert"), gr.skip()
        return
    except BaseException as error:  # the traceback goes to the terminal; the button must work again
        yield (
            gr.update(interactive=True),
            _message(
                strings.text("train.not_started", error=repr(error)),
                "callout bad",
                "alert",
            ),
            gr.skip(),
        )
        raise
    yield gr.update(interactive=True), _message(""), run.id


def _refresh(store: RunStore, shown: str) -> tuple[Any, Any, Any]:
    """Update Start, its message and the base models after a run began or ended. A shown error stays."""
    busy = [run.id for run in lifecycle.iter_active_runs(store)]
    if busy:
        running = strings.text("train.running", count=len(busy), run=busy[0])
        devices = queue.assignable_devices(store, form.DEFAULTS)
        next_run = strings.text("train.next_begins", device=devices[0]) if devices else strings.text("train.next_waits")
        note = _message(f"{running} {next_run}")
    else:
        note = gr.skip() if "alert" in (shown or "") else _message("")
    return gr.update(interactive=True), note, gr.update(choices=form.list_base_models(store))


def _message(text: str, style: str = "callout", role: str = "status") -> Any:
    """Update the line under Start, which is hidden without a text."""
    return gr.update(value=text and f'<p class="{style}" role="{role}">{escape(text)}</p>', visible=bool(text))
