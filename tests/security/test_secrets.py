"""Secrets of the app stay out of its workers, and caches of one person out of the reach of another."""

from __future__ import annotations

import os

import pytest

from asrkit.config import TrainConfig
from asrkit.data import access
from asrkit.hub import credentials
from asrkit.runs import lifecycle, ownership, processes, queue
from asrkit.runs.ownership import Ownership
from asrkit.runs.store import RunStore
from asrkit.ui.data.dataset_cache import make_key

SECRETS = {"ASRKIT_TOKEN": "t", "ASRKIT_PASSWORD": "p", "OAUTH_CLIENT_SECRET": "s", "HF_TOKEN": "hf_x"}


@pytest.fixture
def run(tmp_path):
    return RunStore(tmp_path / "runs").create(TrainConfig())


@pytest.mark.parametrize(("owner", "kept"), [(ownership.OPERATOR, {"HF_TOKEN"}), ("visitor:" + "a" * 24, set())])
def test_worker_gets_no_secret_but_the_operators_own_hub_token(run, monkeypatch, owner, kept):
    monkeypatch.setattr(credentials, "_operators_token", None)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    ownership.write_ownership(run, Ownership(owner))
    environment = processes._worker_environment(run, ["cpu"])
    assert {name for name in SECRETS if name in environment} == kept


def test_worker_takes_the_hub_token_out_of_its_environment(run, monkeypatch):
    from asrkit.training import worker

    class StopHere(Exception):
        pass

    def stop(*arguments, **options):
        raise StopHere

    monkeypatch.setattr(credentials, "_operators_token", None)
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    monkeypatch.setattr(worker.logs, "configure", stop)
    with pytest.raises(StopHere):
        worker.main([str(run.path)])
    assert "HF_TOKEN" not in os.environ and credentials.current_token() == "hf_x"


def test_worker_of_a_visitor_leaves_the_queue_to_the_app(run, monkeypatch):
    """The next run may be the operator's, and need the token that this worker does not have."""
    queue.enqueue(run, 1.0)
    monkeypatch.setenv(credentials.WITHHELD, "1")
    assert queue.start_ready_runs(RunStore(run.path.parent)) == []
    assert lifecycle.get_status(run) == lifecycle.QUEUED


def test_visitor_without_a_folder_does_not_share_caches_with_the_operator():
    """A browser that sends no cookie has no folder; its key must not be the operator's."""
    request, keys = {"data": "/private"}, [make_key({"data": "/private"})]
    for folder in ("", "a", "b"):
        with access.as_visitor(folder):
            keys.append(make_key(request))
    assert len(set(keys)) == 4
