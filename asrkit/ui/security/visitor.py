"""Who is signed in, what they may not do, and what they should know: above the tabs of an app that others use too.

What is not allowed is hidden. That is a courtesy, not the protection: every function checks.
"""

from __future__ import annotations

import gradio as gr

from asrkit.ui import strings
from asrkit.ui.common import scripts
from asrkit.ui.common.component import UI, Reply, Request, server_functions, template, with_error_reply
from asrkit.ui.security import space
from asrkit.ui.security.deployment import Deployment, Kind
from asrkit.ui.security.permissions import Action, Role, can, current_identity
from asrkit.ui.security.storage import storage

STYLE = UI / "security/visitor.css"
OFFERED = (Action.USE_OWN_DATA, Action.START_RUN, Action.IMPORT_RUN)
"""Actions whose controls are hidden from those who may not do them: `data-needs`, and `visitor.css` for Gradio's."""


class VisitorApi:
    """The server's side of the line above the tabs."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment

    def describe_visitor(self, request: Request) -> Reply:
        """Return the sender's role and name, the actions that are denied, and sentences to show."""
        who = current_identity()
        return {
            "role": who.role,
            "name": who.name,
            "denied": [action.name.lower() for action in OFFERED if not can(action)],
            # On a Space, the button of the sign-in does it.
            "can_sign_out": who.role == Role.OPERATOR and self.deployment.kind != Kind.SPACE,
            "has_data": bool(who.folder) and who.role != Role.OPERATOR,
            "who": self._describe_who(),
            "notes": self._list_notes(),
        }

    def _describe_who(self) -> str:
        who, is_space = current_identity(), self.deployment.kind == Kind.SPACE
        if who.role == Role.OPERATOR:
            return (
                strings.text("visitor.operator_named", name=who.name) if is_space else strings.text("visitor.operator")
            )
        if who.role == Role.VISITOR:
            return strings.text("visitor.signed_in", name=who.name)
        return strings.text("visitor.anonymous")

    @with_error_reply
    def delete_data(self, request: Request) -> Reply:
        """Delete the sender's uploads, recordings and datasets."""
        storage.delete_own()
        return {"done": strings.text("visitor.data_deleted")}

    def _list_notes(self) -> list[str]:
        notes = [strings.text(f"visitor.note.{name}") for name in self._choose_notes()]
        if current_identity().may_own and self.deployment.operators == {self.deployment.owner.lower()}:
            notes.insert(0, strings.text("visitor.note.organisation", owner=self.deployment.owner))
        return notes

    def _choose_notes(self) -> list[str]:
        """Return the names of the sentences that the sender should read."""
        notes = []
        role, is_space = current_identity().role, self.deployment.kind == Kind.SPACE
        if is_space and not self.deployment.has_sign_in:
            notes.append("no_sign_in")
        elif role == Role.ANONYMOUS and is_space:
            notes.append("sign_in_first")
        elif role != Role.OPERATOR and not can(Action.START_RUN):
            notes.append("no_training" if can(Action.USE_OWN_DATA) else "transcribe_only")
        elif role != Role.OPERATOR and can(Action.RENT_MACHINE):
            notes.append("rent")
        if is_space and not space.is_persistent() and (can(Action.START_RUN) or not self.deployment.has_sign_in):
            notes.append("runs_are_lost")
        return notes


def build(deployment: Deployment) -> None:
    """Build the line, and the button of a Space's sign-in."""
    with gr.Row(elem_id="visitor-row"):
        gr.HTML(
            elem_id="visitor",
            apply_default_css=False,
            html_template=template("security/visitor.html"),
            js_on_load=scripts.mount_module("security/visitor.js"),
            server_functions=server_functions(VisitorApi(deployment), "describe_visitor", "delete_data"),
        )
        if deployment.has_sign_in:
            # Gradio writes its texts again when the page is opened, so they are no markers, but English.
            with strings.as_markers(False):
                gr.LoginButton(
                    strings.text("visitor.sign_in_with_hub"),
                    strings.text("visitor.sign_out_named", name="{}"),
                    icon=None,  # it would be served as a file, and the app serves none
                    variant="secondary",
                    size="sm",
                    scale=0,
                    min_width=240,
                    elem_id="hub-sign-in",
                )
