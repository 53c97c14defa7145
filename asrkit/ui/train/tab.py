"""The Train tab: the form, Start, and the live panel."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from asrkit import config as configs
from asrkit.config import TrainConfig
from asrkit.errors import AsrkitError
from asrkit.runs import launchers, lifecycle, queue
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.common import form
from asrkit.ui.common.component import QUIET
from asrkit.ui.export.api import ExportApi
from asrkit.ui.security.deployment import Deployment
from asrkit.ui.security.events import guarded
from asrkit.ui.security.paths import hide_paths
from asrkit.ui.strings.messages import translate
from asrkit.ui.train import live_panel
from asrkit.ui.train.form_layout import build_form, render_note
from asrkit.ui.train.start import CLEAR, ENABLE, REFOCUS, REMEMBER, make_start, update_message

SHORT: dict[str, Any] = QUIET | {"concurrency_limit": 8}
IN_ORDER: dict[str, Any] = SHORT | {"trigger_mode": "multiple", "concurrency_limit": 1, "concurrency_id": "form"}
"""Options of listeners to the form: each change is sent, and answered in order ("always_last" sometimes left the answer
to an earlier one)."""


def build(
    store: RunStore,
    page: gr.Blocks,
    data: gr.HTML,
    describe_estimate: Callable[[TrainConfig], str],
    export_api: ExportApi,
    deployment: Deployment | None = None,
) -> tuple[gr.HTML, list[form.Field]]:
    """Build the tab; return the live panel and the form's fields.

    data: the Data tab's component, whose value is set to the form's values as JSON. describe_estimate: returns how long
    a run with given settings will take, as text. export_api: exports the models of runs. deployment: who
    else may use the app.
    """
    can_share = deployment is not None and deployment.has_visitors
    with gr.Row(elem_id="train"):
        with gr.Column(scale=3, min_width=300, elem_id="form"):
            layout = build_form(store, deployment)
            command = _build_command(store)
            start_bar = _build_start_bar(describe_estimate)
        with gr.Column(scale=6, min_width=300, elem_id="panel"):
            panel = live_panel.build(store, export_api, can_share)
    inputs = [layout.fields[name] for name in form.NAMES]
    # Not confidential: with the default, a random key, a restarted app could not read the values in the browser.
    saved = gr.BrowserState({}, storage_key="asrkit-form", secret="asrkit")
    preset, model, train = (layout.fields[name] for name in ("preset", "model", "train"))
    preset.input(guarded(_fill_from_preset, "fill_from_preset"), preset, inputs, **SHORT)
    preset.change(guarded(_describe_preset, "describe_preset"), preset, preset, **SHORT)
    # The page is built for nobody; whose runs can be trained further depends on who opens it.
    page.load(guarded(lambda: _list_choices(store), "list_choices"), None, [model, train], **SHORT)
    page.load(guarded(_restore, "restore_form"), saved, inputs, **SHORT)

    def on_change(*values: Any) -> list[Any]:
        return _update_dependents(store, values, describe_estimate)

    gr.on(
        [field.change for field in inputs],
        guarded(on_change, "update_dependents"),
        inputs,
        [command, saved, data, start_bar.forecast, layout.search],
        **IN_ORDER,
    )
    # The page is built before this machine is measured, and each run measures it anew.
    forecast = guarded(lambda *values: _forecast(values, describe_estimate), "update_forecast")
    gr.on([page.load, panel.change], forecast, inputs, start_bar.forecast, **IN_ORDER)
    run_inputs: list[gr.Component] = [layout.run_name]
    if can_share and layout.visibility:
        run_inputs.append(layout.visibility)
    _connect_start(store, start_bar, panel, inputs, run_inputs)
    refresh = guarded(lambda: _refresh(store), "refresh_train_tab")
    panel.change(refresh, None, [start_bar.waiting, model, train], **SHORT)
    return panel, inputs


@dataclass(frozen=True)
class StartBar:
    """What is around Start: its forecast, its message, the note that runs are under way, and both start buttons."""

    forecast: gr.HTML
    message: gr.HTML
    waiting: gr.HTML
    decide: gr.Button
    start: gr.Button


def _build_start_bar(describe_estimate: Callable[[TrainConfig], str]) -> StartBar:
    with gr.Column(elem_id="start-bar"):  # stays at the lower edge of the window
        forecast = gr.HTML(
            _render_estimate(form.DEFAULTS, describe_estimate),
            elem_id="forecast",
            apply_default_css=False,
        )
        # Two components: a refresh that is under way when Start reports an error must not erase it.
        with gr.Column(elem_id="start-message"):
            message = gr.HTML(visible=False, apply_default_css=False)
            waiting = gr.HTML(visible=False, apply_default_css=False)
        decide = gr.Button(visible=False, elem_id="start-deciding")
        start = gr.Button(strings.text("train.start"), variant="primary", size="lg", elem_id="start")
    return StartBar(forecast, message, waiting, decide, start)


def _connect_start(
    store: RunStore,
    start_bar: StartBar,
    panel: gr.HTML,
    inputs: list[form.Field],
    run_inputs: list[gr.Component],
) -> None:
    """Start a run with the form's values when a start button is clicked. run_inputs: its name, and who sees it."""
    message, decide, start, run_name = start_bar.message, start_bar.decide, start_bar.start, run_inputs[0]
    gr.on([field.change for field in inputs], None, inputs, [message, decide], js=CLEAR)
    undecided = gr.State(())
    for button, decides in ((start, False), (decide, True)):
        started = guarded(make_start(store, decides), "start_training")
        outputs = [start, message, panel, decide, undecided, run_name]
        clicked = button.click(started, [*inputs, undecided, *run_inputs], outputs, js=REMEMBER, **SHORT)
        clicked.then(None, None, [start, decide], js=ENABLE).then(None, None, None, js=REFOCUS)


def _build_command(store: RunStore) -> gr.Textbox:
    with gr.Accordion(strings.text("train.show_command"), open=False, elem_id="command-fold"):
        return gr.Textbox(
            hide_paths(form.make_command(form.DEFAULTS, store)),
            show_label=False,
            container=False,
            lines=2,
            max_lines=12,
            buttons=["copy"],
            interactive=False,
            elem_id="command",
        )


def load_run_settings(store: RunStore, run_id: str) -> list[Any]:
    """Return the updates that show the settings of a run; the form stays as it is if the run is gone."""
    try:
        config = store.get(run_id).config()
    except AsrkitError:
        return [gr.skip()] * len(form.NAMES)
    return [
        (config.preset or form.DEFAULTS.preset) if name == "preset" else getattr(config, name) for name in form.NAMES
    ]


def _name_values(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the values by name."""
    return dict(zip(form.NAMES, values, strict=True))


def _restore(saved: Any) -> list[Any]:
    """Return the updates that show the values saved in this browser, without settings that are unknown now."""
    known = saved if isinstance(saved, dict) else {}
    if not known or known.get("preset") not in configs.list_presets():
        return [gr.skip()] * len(form.NAMES)
    return [
        # A yes holds for the data it was given for.
        known[name]
        if name in known and name != "accept_assumptions" and form.is_valid_choice(name, known[name])
        else gr.skip()
        for name in form.NAMES
    ]


def _fill_from_preset(preset: str) -> list[Any]:
    """Return the updates that show a preset."""
    return [
        preset if name == "preset" else value for name, value in zip(form.NAMES, form.load_values(preset), strict=True)
    ]


def _describe_preset(preset: str) -> Any:
    """Return the update that shows the summary of the chosen preset.

    Together with the update of its value, Gradio sometimes showed the new preset and went on sending the one before.
    """
    return gr.update(info=strings.text(f"preset.{preset}.summary")) if preset in configs.list_presets() else gr.skip()


def _update_dependents(
    store: RunStore, values: tuple[Any, ...], describe_estimate: Callable[[TrainConfig], str]
) -> list[Any]:
    """Return what depends on the form: the command, the values for the browser and the Data tab, estimate and marks."""
    saved = _name_values(values)
    marks = json.dumps({"problems": form.find_problems(values), "changes": form.find_changes(values)})
    try:
        config = form.read_form(values)
    except AsrkitError as error:
        return [translate(str(error)), saved, json.dumps(saved), "", marks]
    return [
        form.make_command(config, store),
        saved,
        json.dumps(saved),
        _render_estimate(config, describe_estimate),
        marks,
    ]


def _forecast(values: tuple[Any, ...], describe_estimate: Callable[[TrainConfig], str]) -> str:
    """Return the forecast of a run with the form's values; empty where they are invalid, which Start reports."""
    try:
        return _render_estimate(form.read_form(values), describe_estimate)
    except AsrkitError:
        return ""


def _render_estimate(config: TrainConfig, describe_estimate: Callable[[TrainConfig], str]) -> str:
    parts = []
    for describe in (describe_estimate, lambda config: launchers.for_config(config).price(config)):
        with contextlib.suppress(AsrkitError):  # Start shows it
            parts.append(describe(config))
    return render_note(" ".join(filter(None, parts)))


def _list_choices(store: RunStore) -> tuple[Any, Any]:
    """Return updates of the base models and the datasets to choose from."""
    return gr.update(choices=form.list_model_choices(store)), gr.update(choices=form.list_datasets(store))


def _refresh(store: RunStore) -> tuple[Any, ...]:
    """Return updates after a run began or ended: the note that one is active, and what can be chosen."""
    active_ids = [run.id for run in lifecycle.iter_active_runs(store)]
    if active_ids:
        running = strings.text("train.running", count=len(active_ids), run=active_ids[0])
        devices = queue.assignable_devices(store, form.DEFAULTS)
        next_run = strings.text("train.next_starts", device=devices[0]) if devices else strings.text("train.next_waits")
        note = update_message(f"{running} {next_run}")
    else:
        note = update_message("")
    return note, *_list_choices(store)
