"""Who sees a run: its owner and the operator, until one of them shares it."""

from __future__ import annotations

import pytest

from asrkit.config import TrainConfig
from asrkit.data import access
from asrkit.errors import RunError
from asrkit.runs import ownership, supervisor
from asrkit.runs.ownership import PRIVATE, SHARED, Ownership
from asrkit.runs.store import RunStore
from asrkit.ui.common import form
from asrkit.ui.security import permissions
from asrkit.ui.security.permissions import Action, Identity, Role, as_identity
from asrkit.ui.security.store import GuardedStore
from asrkit.ui.train.api import TrainApi
from asrkit.ui.train.start import start_run


def make_visitor(letter):
    return Identity(
        Role.VISITOR, letter, letter * 24, access.VISITOR_OWNER + letter * 24, frozenset({Action.START_RUN})
    )


ANN, BOB = make_visitor("a"), make_visitor("b")
ANYBODY = Identity(Role.ANONYMOUS)


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def run(store):
    run = store.create(TrainConfig())
    ownership.write_ownership(run, Ownership(ANN.owner_id))
    return run


@pytest.fixture
def api(store):
    return TrainApi(store, can_share=True)


def poll(api, who, run):
    with as_identity(who):
        return api.poll({"run": run.id})


def act(api, who, run, action):
    with as_identity(who):
        return api.perform_action({"run": run.id, "action": action})["notice"]


@pytest.mark.parametrize("who", [ANN, permissions.OPERATOR])
def test_owner_and_operator_share_a_run_and_take_it_back(api, run, who):
    assert "There is no run" in poll(api, BOB, run)["notice"]
    seen = poll(api, who, run)
    assert "share" in seen["can"] and "unshare" not in seen["can"] and seen["visibility"].startswith("Private")
    assert act(api, who, run, "share") == ""
    for other in (BOB, ANYBODY):
        seen = poll(api, other, run)
        assert seen["run"] == run.id and not seen["can"] and not seen["has_files"] and not seen["visibility"]
    assert ownership.read_ownership(run) == Ownership(ANN.owner_id, SHARED)
    assert "unshare" in poll(api, who, run)["can"]
    assert act(api, who, run, "unshare") == ""
    assert "There is no run" in poll(api, BOB, run)["notice"]


def test_others_cannot_change_who_sees_a_run(api, run):
    for action in ("share", "unshare"):
        assert "There is no run" in act(api, BOB, run, action)
    act(api, ANN, run, "share")
    assert "You may not stop, resume, share or delete" in act(api, BOB, run, "unshare")
    assert ownership.read_ownership(run).visibility == SHARED


def test_others_cannot_describe_a_run(api, run):
    act(api, ANN, run, "share")
    request = {"run": run.id, "name": "mine", "tags": ["a"], "notes": ""}
    for who, refusal in ((BOB, "or rename it"), (ANYBODY, "or rename it"), (ANN, "")):
        with as_identity(who):
            assert refusal in api.save_description(request)["notice"]
            seen = api.poll({"run": run.id})
        assert seen["can_describe"] == (who == ANN)
        assert seen["description"]["name"] == ("mine" if who == ANN else "")


def test_own_machine_has_nobody_to_share_with(store, run):
    seen = poll(TrainApi(store), permissions.OPERATOR, run)
    assert "share" not in seen["can"] and seen["visibility"] == ""


@pytest.mark.parametrize(
    ("chosen", "written"), [((), PRIVATE), ((SHARED,), SHARED), ((PRIVATE,), PRIVATE), (("everybody",), PRIVATE)]
)
def test_run_starts_with_the_chosen_visibility(store, monkeypatch, chosen, written):
    started = []

    def start(store, config, owned, description):
        started.append(owned)
        raise RunError("not in this test")

    monkeypatch.setattr(supervisor, "start", start)
    values = tuple(getattr(form.DEFAULTS, name) for name in form.NAMES)
    with as_identity(ANN):
        list(start_run(GuardedStore(store.root), values, "", *chosen))
    assert started == [Ownership(ANN.owner_id, written)]
