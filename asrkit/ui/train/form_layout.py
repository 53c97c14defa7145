"""The layout of the training form: the components of all settings, the name of the run, and who will see it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import groupby

import gradio as gr

from asrkit.config import FIELDS
from asrkit.runs.description import MAX_NAME_CHARS
from asrkit.runs.ownership import PRIVATE, SHARED
from asrkit.runs.store import RunStore
from asrkit.ui import strings
from asrkit.ui.common import form, scripts
from asrkit.ui.common.component import template
from asrkit.ui.security.deployment import Deployment

_OTHERS = [name for name in form.NAMES if not FIELDS[name].metadata["basic"]]
SECTIONS = {
    "advanced": [name for name in _OTHERS if name not in form.EXPERT_SETTINGS],
    "all-settings": [name for name in _OTHERS if name in form.EXPERT_SETTINGS],
}
"""The settings of each section that is closed at first, by its element id."""


@dataclass(frozen=True)
class FormLayout:
    """The components of the form.

    fields: by setting. run_name: the name that the run gets. visibility: who will see it, a choice or a note; None
    where nobody else uses the app. search: the search of settings.
    """

    fields: form.Form
    run_name: gr.Textbox
    visibility: gr.Component | None
    search: gr.HTML


def build_form(store: RunStore, deployment: Deployment | None) -> FormLayout:
    """Build the form. deployment: who else may use the app."""
    basic = _build_basic_fields(store)
    run_name = _build_run_name()
    visibility = _build_visibility(deployment) if deployment and deployment.is_shared else None
    search = _build_search()
    return FormLayout(basic | _build_advanced_fields(store), run_name, visibility, search)


def render_note(text: str) -> str:
    """Render a quiet line below a part of the form; nothing for an empty text."""
    return text and f'<p class="quiet" role="status">{escape(text)}</p>'


def _build_basic_fields(store: RunStore) -> form.Form:
    names = [name for name in form.NAMES if FIELDS[name].metadata["basic"]]
    return _build_rows([name for name in names if _is_wide(name)], store, 1) | _build_rows(
        [name for name in names if not _is_wide(name)], store, 2
    )


def _is_wide(name: str) -> bool:
    return name in ("preset", "model", "train")


def _build_run_name() -> gr.Textbox:
    with gr.Row(elem_classes="fields"):
        return gr.Textbox(
            label=strings.text("train.run_name"),
            info=strings.text("train.run_name_help"),
            max_lines=1,
            max_length=MAX_NAME_CHARS,
            elem_id="run-name",
        )


def _build_visibility(deployment: Deployment) -> gr.Component:
    """Say who will see the run; where there are visitors, let the sender choose."""
    if not deployment.has_visitors:
        return gr.HTML(render_note(strings.text("train.seen_with_password")), apply_default_css=False)
    return gr.Radio(
        [(strings.text(f"train.visible_to.{name}"), name) for name in (PRIVATE, SHARED)],
        value=PRIVATE,
        label=strings.text("train.who_sees"),
        elem_id="visibility",
    )


def _build_search() -> gr.HTML:
    """Build the search of settings. Its value says what is wrong and what differs from the preset, which it marks."""
    return gr.HTML(
        value="",
        elem_id="settings",
        apply_default_css=False,
        html_template=template("train/settings.html"),
        js_on_load=scripts.mount_module("train/settings.js"),
        sections=SECTIONS,
    )


def _build_advanced_fields(store: RunStore) -> form.Form:
    """Build the other settings: the common ones under Advanced, the rest under Show all settings."""
    fields: form.Form = {}
    titles = {"advanced": strings.text("train.advanced"), "all-settings": strings.text("train.all_settings")}
    for section, names in SECTIONS.items():
        with gr.Accordion(titles[section], open=False, elem_id=section):
            fields |= _build_groups(names, store)
    return fields


def _build_groups(names: list[str], store: RunStore) -> form.Form:
    fields: form.Form = {}
    for group, members in groupby(names, key=lambda name: FIELDS[name].metadata["group"]):
        gr.Markdown(f"## {group}")
        fields |= _build_rows(list(members), store, 2)
    return fields


def _build_rows(names: list[str], store: RunStore, width: int) -> form.Form:
    fields: form.Form = {}
    for first in range(0, len(names), width):
        with gr.Row(elem_classes="fields"):
            fields |= {name: form.make_field(name, store) for name in names[first : first + width]}
    return fields
