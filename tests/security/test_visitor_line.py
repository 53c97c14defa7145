"""What the line above the tabs tells whom."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from asrkit.ui.app import select_initial_tab
from asrkit.ui.security import permissions, space
from asrkit.ui.security.deployment import OAUTH_VARIABLES, make_deployment
from asrkit.ui.security.guard import SCOPE_KEY
from asrkit.ui.security.permissions import Action, Identity, Role, as_identity
from asrkit.ui.security.visitor import VisitorApi

OPERATOR = permissions.OPERATOR
ANYBODY = Identity(Role.ANONYMOUS)
TRAINEE = Identity(Role.VISITOR, "ann", "a", "visitor:a", frozenset({Action.START_RUN}))
SPACE = {"SYSTEM": "spaces", "SPACE_ID": "zoe/asr", **dict.fromkeys(OAUTH_VARIABLES, "x")}


def describe(who, host="127.0.0.1", is_public=False, url="", **environ):
    with as_identity(who):
        return VisitorApi(make_deployment(host, 7860, url, is_public, environ=environ)).describe_visitor({})


def test_only_who_signed_in_by_password_or_link_can_sign_out():
    password = {"ASRKIT_PASSWORD": "long enough"}
    assert describe(OPERATOR, "0.0.0.0")["can_sign_out"]
    assert describe(OPERATOR, url="https://asr.example.org/", **password)["can_sign_out"]
    assert describe(OPERATOR, is_public=True)["can_sign_out"] and not describe(ANYBODY, is_public=True)["can_sign_out"]
    assert not describe(ANYBODY, is_public=True, **password)["can_sign_out"]
    assert not describe(OPERATOR, **SPACE, **password)["can_sign_out"]  # the sign-in button does


def test_own_computer_has_no_line():
    assert not make_deployment("127.0.0.1", 7860, environ={}).is_shared
    assert make_deployment("127.0.0.1", 7860, environ={"ASRKIT_PASSWORD": "long enough"}).is_shared


@pytest.mark.parametrize("missing", ["SYSTEM", *OAUTH_VARIABLES])
def test_space_without_all_of_its_sign_in_has_none(missing):
    environ = {name: value for name, value in SPACE.items() if name != missing}
    assert not make_deployment("0.0.0.0", 7860, environ=environ).has_sign_in
    assert "hf_oauth: true" in describe(ANYBODY, **environ)["notes"][0]


@pytest.mark.parametrize(
    ("who", "is_mounted", "is_warned"),
    [(OPERATOR, False, True), (OPERATOR, True, False), (TRAINEE, False, True), (ANYBODY, False, False)],
)
def test_who_may_train_on_a_space_is_warned_that_runs_are_lost(monkeypatch, tmp_path, who, is_mounted, is_warned):
    monkeypatch.setattr(space, "DISK", tmp_path)
    monkeypatch.setattr(space.os.path, "ismount", lambda path: is_mounted)
    notes = describe(who, **SPACE)["notes"]
    assert any("No storage is mounted" in note for note in notes) == is_warned


@pytest.mark.parametrize(
    ("may_own", "operators", "is_told"), [(True, "", True), (False, "", False), (True, "a", False)]
)
def test_organisation_members_see_how_to_become_operators(may_own, operators, is_told):
    member = dataclasses.replace(TRAINEE, may_own=may_own)
    notes = describe(member, **SPACE, ASRKIT_OPERATORS=operators)["notes"]
    sentence = "This Space belongs to zoe. If that is an organisation of yours, set the variable ASRKIT_OPERATORS"
    assert any(note.startswith(sentence) for note in notes) == is_told


def test_storage_that_cannot_be_written_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(space.os.path, "ismount", lambda path: True)
    monkeypatch.setattr(space.os, "access", lambda path, mode: False)
    assert not space.is_persistent(tmp_path) and not space.is_persistent(tmp_path / "missing")


@pytest.mark.parametrize(
    ("who", "query", "selected"),
    [
        (OPERATOR, {}, None),
        (TRAINEE, {}, None),
        (ANYBODY, {}, "transcribe"),
        (ANYBODY, {"run": "one"}, None),
        (ANYBODY, {"compare": "one,two"}, "runs"),
        (OPERATOR, {"tab": "data"}, "data"),
        (OPERATOR, {"tab": "gone"}, None),
    ],
)
def test_page_begins_with_what_its_visitor_can_do(who, query, selected):
    request = SimpleNamespace(query_params=query, request=SimpleNamespace(scope={SCOPE_KEY: who}))
    tabs = select_initial_tab(request)
    assert getattr(tabs, "selected", None) == selected


RENT = {"ASRKIT_VISITORS_RENT": "1"}


@pytest.mark.parametrize(
    ("environ", "is_allowed", "missing"),
    [
        ({**SPACE, **RENT, "OAUTH_SCOPES": "openid profile jobs contribute-repos"}, True, ()),
        ({**SPACE, **RENT, "OAUTH_SCOPES": "openid profile jobs"}, False, ("contribute-repos",)),
        ({**SPACE, **RENT}, False, ("jobs", "contribute-repos")),
        ({**SPACE, "OAUTH_SCOPES": "openid profile jobs contribute-repos"}, False, ()),
        (RENT, False, ()),
    ],
)
def test_visitors_rent_where_the_operator_allows_it_and_the_sign_in_asks_for_it(environ, is_allowed, missing):
    deployment = make_deployment("0.0.0.0", 7860, environ=environ)
    assert deployment.visitor_grants == frozenset({Action.RENT_MACHINE} if is_allowed else ())
    told = "visitors cannot rent machines, because hf_oauth_scopes in the front matter lacks"
    assert deployment.missing_scopes == missing and (told in deployment.describe()) == bool(missing)


def test_who_may_rent_is_told_how_and_what_happens_afterwards():
    renter = dataclasses.replace(TRAINEE, grants=frozenset({Action.RENT_MACHINE}))
    (note,) = [note for note in describe(renter, **SPACE)["notes"] if "rent" in note]
    assert "set Launcher (launcher) to hf-jobs" in note and "goes on when you leave or your sign-in expires" in note
    assert describe(renter, **SPACE)["denied"] == ["import_run"]
    assert not any("rent" in note for note in describe(TRAINEE, **SPACE)["notes"])
