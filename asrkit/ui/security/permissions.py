"""Who is asking, and what each role may do: `authorize(who, action, run)` decides, from one table.

The guard (`guard`) finds out who sends a request and makes it the current identity. Every endpoint, download and
function of the page then calls `authorize`; a hidden button is not a check. Code that no guard runs, such as a test or
the command line, acts for the operator; once the page is served (`require_identity`), a request without an identity may
do nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum

from asrkit.data import access
from asrkit.errors import AsrkitError
from asrkit.runs import ownership
from asrkit.runs.run import Run


class Role(StrEnum):
    """operator: runs the app. visitor: signed in on a Space. anonymous: anybody else who is let in. nobody: is not."""

    OPERATOR = "operator"
    VISITOR = "visitor"
    ANONYMOUS = "anonymous"
    NOBODY = "nobody"


class Action(StrEnum):
    """What a request may want to do."""

    VIEW_PAGE = "open the page"
    TRANSCRIBE = "transcribe"
    USE_OWN_DATA = "upload, record, check and evaluate data"
    START_RUN = "start a run"
    TRAIN_HERE = "train on this machine"
    RENT_MACHINE = "train on a machine that you rent"
    SEE_RUN = "see this run"
    CONTROL_RUN = "stop, resume, share or delete this run, or rename it"
    READ_RUN_FILES = "download the files of this run"
    MANAGE_QUEUE = "reorder the queue or force a run to stop"
    PUBLISH = "publish this model"
    IMPORT_RUN = "import a run"
    USE_FOREIGN_MODELS = "use models from elsewhere"
    READ_LOCAL_PATHS = "read files of this machine"


class Rule(StrEnum):
    """ALWAYS. OWN: one's own runs. SHARED: those and the ones that their owners share. GRANTED: if the operator allows
    it. NEVER."""

    ALWAYS = "always"
    OWN = "own"
    SHARED = "shared"
    GRANTED = "granted"
    NEVER = "never"


_VISITOR_RULES: Mapping[Action, tuple[Rule, Rule]] = {
    # action: (signed-in visitor, anonymous)
    Action.VIEW_PAGE: (Rule.ALWAYS, Rule.ALWAYS),
    Action.TRANSCRIBE: (Rule.ALWAYS, Rule.ALWAYS),
    Action.USE_OWN_DATA: (Rule.ALWAYS, Rule.GRANTED),
    Action.START_RUN: (Rule.GRANTED, Rule.NEVER),
    Action.TRAIN_HERE: (Rule.GRANTED, Rule.NEVER),
    Action.RENT_MACHINE: (Rule.GRANTED, Rule.NEVER),
    Action.SEE_RUN: (Rule.SHARED, Rule.SHARED),
    Action.CONTROL_RUN: (Rule.OWN, Rule.NEVER),
    Action.READ_RUN_FILES: (Rule.OWN, Rule.NEVER),
    Action.MANAGE_QUEUE: (Rule.NEVER, Rule.NEVER),
    Action.PUBLISH: (Rule.OWN, Rule.NEVER),
    Action.IMPORT_RUN: (Rule.NEVER, Rule.NEVER),
    Action.USE_FOREIGN_MODELS: (Rule.GRANTED, Rule.NEVER),
    Action.READ_LOCAL_PATHS: (Rule.NEVER, Rule.NEVER),
}

_GRANTED_WITH: Mapping[Action, frozenset[Action]] = {
    Action.START_RUN: frozenset({Action.START_RUN, Action.RENT_MACHINE}),
    Action.TRAIN_HERE: frozenset({Action.START_RUN}),
}
"""What the operator allows somebody, one of which includes the action, where it is not the action itself alone."""


class PermissionDenied(AsrkitError):
    """The current identity may not do this."""


@dataclass(frozen=True)
class Identity:
    """Who sends a request.

    name: shown on the page; the user name on a Space. folder: name of the visitor's folder in the data folder, empty
    for none. owner_id: what `run.json` calls the owner of this identity's runs. grants: what the operator allows beyond
    the table. hub_token: the user's own, from the sign-in of a Space. may_own: belongs to the organisation whose Space
    it is, as far as is known.
    """

    role: Role
    name: str = ""
    folder: str = ""
    owner_id: str = ""
    grants: frozenset[Action] = frozenset()
    hub_token: str = field(default="", repr=False)
    may_own: bool = False


OPERATOR = Identity(Role.OPERATOR, owner_id=ownership.OPERATOR)
NOBODY = Identity(Role.NOBODY)

_current: ContextVar[Identity | None] = ContextVar("identity", default=None)
_default = OPERATOR


def require_identity() -> None:
    """Let code without an identity do nothing from now on: the page is about to be served."""
    global _default
    _default = NOBODY


def current_identity() -> Identity:
    """Return who sends the present request."""
    return _current.get() or _default


@contextlib.contextmanager
def as_identity(who: Identity) -> Iterator[None]:
    """Act for `who`, with access to their folder."""
    token = _current.set(who)
    try:
        with access.as_visitor(None if who.role == Role.OPERATOR else who.folder, who.hub_token):
            yield
    finally:
        _current.reset(token)


def is_allowed(who: Identity, action: Action, run: Run | None = None) -> bool:
    """Return whether `who` may do `action`, with `run` where it concerns one."""
    if who.role == Role.OPERATOR:
        return True
    if who.role == Role.NOBODY:
        return False
    rule = _VISITOR_RULES[action][who.role == Role.ANONYMOUS]
    if rule in (Rule.ALWAYS, Rule.NEVER):
        return rule == Rule.ALWAYS
    if rule == Rule.GRANTED:
        return bool(_GRANTED_WITH.get(action, {action}) & who.grants)
    if run is None:
        return False
    known = ownership.read_ownership(run)
    is_own = bool(who.owner_id) and known.owner == who.owner_id
    return is_own or (rule == Rule.SHARED and known.visibility == ownership.SHARED)


def authorize(who: Identity, action: Action, run: Run | None = None) -> None:
    """Raise PermissionDenied unless `who` may do `action`, with `run` where it concerns one."""
    if not is_allowed(who, action, run):
        raise PermissionDenied(_explain(who, action))


def check(action: Action, run: Run | None = None) -> None:
    """Raise PermissionDenied unless the current identity may do `action`."""
    authorize(current_identity(), action, run)


def can(action: Action, run: Run | None = None) -> bool:
    """Return whether the current identity may do `action`."""
    return is_allowed(current_identity(), action, run)


def _explain(who: Identity, action: Action) -> str:
    if who.role == Role.NOBODY:
        return "This app does not know who you are; open the link that it printed when it started, or sign in."
    hint = "; sign in, or ask whoever runs this app" if who.role == Role.ANONYMOUS else "; ask whoever runs this app"
    return f"You may not {action}{hint}."
