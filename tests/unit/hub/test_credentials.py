"""Whose token is sent to the Hub, and whose cache is read."""

from __future__ import annotations

import os

import pytest

from asrkit import hub
from asrkit.data import access, sources
from asrkit.errors import DataError, HubError
from asrkit.hub import credentials

TOKEN = "hf_good"


@pytest.fixture
def gated(served, tmp_path, monkeypatch):
    """The stand-in, whose model and dataset only the operator's token opens; the app has withheld that token."""
    folder = tmp_path / "hub/datasets/owner/data"
    folder.mkdir(parents=True)
    (folder / "clips.csv").write_text("file_name,text\n")
    served.gated |= {"owner/model", "owner/data"}
    monkeypatch.setattr(credentials, "_operators_token", None)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv(access.VISITORS_VARIABLE, str(tmp_path / "visitors"))
    credentials.withhold_token()
    return served


def fetch(kind="dataset", name="owner/data", path="clips.csv"):
    return hub.fetch(hub.inspect_repository(name, kind), [path])


def test_withheld_token_is_sent_for_the_operator_only(gated, tmp_path):
    assert "HF_TOKEN" not in os.environ
    for kind, name, path in (("model", "owner/model", "config.json"), ("dataset", "owner/data", "clips.csv")):
        assert (fetch(kind, name, path) / path).exists()
        for token in ("", "hf_wrong"):
            with access.as_visitor("ann", hub_token=token), pytest.raises(HubError) as caught:
                fetch(kind, name, path)
            assert "HF_TOKEN" not in str(caught.value), "a visitor cannot set it"


def test_visitor_reads_with_their_own_token_into_their_own_cache(gated, tmp_path):
    gated.tokens = {"hf_of_ann"}
    with access.as_visitor("ann", hub_token="hf_of_ann"):
        folder = fetch()
    assert folder.is_relative_to(tmp_path / "visitors/ann/.hub") and (folder / "clips.csv").exists()
    assert not (tmp_path / "home/hub/datasets--owner--data").exists()


def test_operators_cache_does_not_serve_a_visitor_when_the_hub_is_down(gated):
    fetch()
    gated.broken |= {"owner/data"}
    assert (fetch() / "clips.csv").exists()
    with access.as_visitor("ann"), pytest.raises(HubError):
        fetch()


def test_visitor_cannot_name_the_cache_of_others(gated, tmp_path):
    folder = fetch()
    with access.as_visitor("ann"), pytest.raises(DataError, match="may not be read here"):
        sources.load(str(folder))
    with access.as_visitor("ann", hub_token=TOKEN):
        access.check(fetch() / "clips.csv")
    with access.as_visitor("bob"), pytest.raises(DataError, match="may not be read here"):
        access.check(tmp_path / "visitors/ann/.hub/hub")


def test_token_is_not_in_what_others_see_of_a_fetch(gated, monkeypatch):
    """The command line and the environment of the child process."""
    from asrkit.hub import fetching

    started = []
    real = fetching.subprocess.Popen

    def start(command, **options):
        started.append((command, options["env"]))
        return real(command, **options)

    monkeypatch.setattr(fetching.subprocess, "Popen", start)
    fetch("model", "owner/model", "weights/a.bin")
    ((command, environment),) = started
    assert TOKEN not in repr(command) and TOKEN not in repr(environment)


@pytest.mark.parametrize("is_withheld", [True, False])
def test_only_workers_of_the_operators_runs_get_the_token(monkeypatch, is_withheld):
    monkeypatch.setattr(credentials, "_operators_token", None)
    environ = {"HF_TOKEN": TOKEN, "HOME": "/h"}
    if is_withheld:
        credentials.withhold_token(environ)
        assert environ == {"HOME": "/h"}
    assert credentials.worker_environment(environ, is_operators=True) == {"HF_TOKEN": TOKEN, "HOME": "/h"}
    visitors = credentials.worker_environment(environ, is_operators=False)
    assert visitors == {"HOME": "/h", credentials.WITHHELD: "1"}
    # What a visitor's worker would start has neither.
    monkeypatch.setattr(credentials, "_operators_token", None)
    assert credentials.worker_environment(visitors, is_operators=False) == visitors
    assert credentials.worker_environment({"HOME": "/h"}, is_operators=False) == {"HOME": "/h"}


def test_reader_is_not_printed_with_its_token():
    assert TOKEN not in repr(credentials.Reader(TOKEN))


def test_kept_tokens_are_bounded(monkeypatch):
    monkeypatch.setattr(credentials, "_kept_tokens", {})
    monkeypatch.setattr(credentials, "MAX_KEPT_TOKENS", 2)
    for name in ("a", "b", "a", "c"):
        credentials.keep_token(name, f"hf_{name}", 4e9)
    assert [credentials.recall_token(name) for name in ("a", "b", "c")] == ["hf_a", "", "hf_c"]
