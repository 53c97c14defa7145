"""The page as a whole, without a browser."""

import runpy
import shutil
import socket
import sys
from html import escape
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from asrkit import startup
from asrkit.config import TrainConfig
from asrkit.errors import DataError, RunError, UndecidedError
from asrkit.models.resolution import STARTER_DIR
from asrkit.runs import supervisor
from asrkit.runs.store import RunStore
from asrkit.ui import app
from asrkit.ui.security import space
from asrkit.ui.train import tab as train_tab
from asrkit.ui.train.start import start_run
from asrkit.ui.transcribe import tab as transcribe_tab

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


def test_page_is_built_over_a_missing_runs_directory(store):
    config = app.build(store).get_config_file()
    assert config["title"] == "asrkit"
    assert not store.root.exists()


def test_hidden_progress_updates_no_component(store):
    """Or each listener's begin and end would update all outputs of all listeners, most of them in the form."""
    listeners = app.build(store).get_config_file()["dependencies"]
    hidden = [one for one in listeners if one["show_progress"] == "hidden" and one["outputs"]]
    assert len(hidden) > 10
    assert [one["api_name"] for one in hidden if one["show_progress_on"] != []] == []


def test_port_in_use_is_reported_as_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(startup, "exit_on_interrupt", lambda: None)
    program = runpy.run_path(str(PROJECT / "app.py"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(RunError, match=rf"^Port {port} on 127.0.0.1 cannot be used .*--port\.$"):
            app.check_port("127.0.0.1", port)
        monkeypatch.setattr(sys, "argv", ["app.py", "--port", str(port)])
        assert program["main"]() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Port {port} on 127.0.0.1 cannot be used")


def test_space_listens_on_all_addresses_and_stores_runs_on_its_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("SPACE_ID", "somebody/asrkit")
    monkeypatch.delenv("ASRKIT_RUNS", raising=False)
    monkeypatch.setattr(space, "DISK", tmp_path)
    assert app.default_runs() == Path("runs")  # a plain folder, which goes at a restart
    monkeypatch.setattr(space.os.path, "ismount", lambda path: path == tmp_path)
    assert (app.default_host(), app.default_runs()) == ("0.0.0.0", tmp_path / "runs")
    monkeypatch.setattr(space, "DISK", tmp_path / "missing")
    assert app.default_runs() == Path("runs")
    monkeypatch.setattr(app.os, "access", lambda path, mode: path != ".")  # a read-only folder of the code
    assert app.default_runs() == Path.home() / "asrkit" / "runs"
    monkeypatch.delenv("SPACE_ID")
    assert app.default_host() == "127.0.0.1"


def test_refused_start_shows_the_error_and_creates_no_run(store):
    from asrkit.ui.common import form

    values = [
        99 if name == "learning_rate" else value
        for name, value in zip(form.NAMES, form.load_values("demo"), strict=True)
    ]
    checking, (_, message, shown, accept, _, name) = start_run(store, values, "first try")
    assert "Checking" in checking[1]["value"] and not checking[0]["interactive"]
    assert "Learning rate (learning_rate) is 99" in message["value"]
    assert not accept["visible"] and name == gr.skip(), "the name is kept for the next attempt"
    assert store.all() == []


def test_only_start_writes_its_error(store):
    """A refresh of the page that is under way when Start reports an error must not erase it."""
    config = app.build(store).get_config_file()
    column = next(one for one in config["components"] if one["props"].get("elem_id") == "start-message")
    names = ("start", "start-deciding")
    buttons = {one["id"] for one in config["components"] if one["props"].get("elem_id") in names}
    clicks = [one for one in config["dependencies"] if any((b, "click") in map(tuple, one["targets"]) for b in buttons)]

    def find(node):
        return node if node["id"] == column["id"] else next(filter(None, map(find, node.get("children", []))), None)

    messages = {child["id"] for child in find(config["layout"] | {"id": -1})["children"]}
    message = messages & set(clicks[0]["outputs"])
    assert len(messages) == 2 and len(message) == 1
    # What the page itself does when the form changes is done before the next click.
    replies = [one for one in config["dependencies"] if one["backend_fn"]]
    writers = [one["id"] for one in replies if message & set(one["outputs"])]
    assert writers == [clicked["id"] for clicked in clicks if clicked["outputs"]] and len(writers) == 2


def test_start_is_enabled_when_its_event_has_ended(store):
    """Gradio ignores a click on the button of an event that has shown its last update but has not ended."""
    config = app.build(store).get_config_file()
    buttons = [
        next(one["id"] for one in config["components"] if one["props"].get("elem_id") == name)
        for name in ("start", "start-deciding")
    ]
    dependencies = {one["id"]: one for one in config["dependencies"]}
    enabling = [one for one in dependencies.values() if one["outputs"] == buttons]
    clicks = [dependencies[one["trigger_after"]]["targets"] for one in enabling]
    assert clicks == [[(button, "click")] for button in buttons]
    assert all("interactive: true" in one["js"] for one in enabling)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (("drop_bad_clips",), "Leave these out and start"),
        (("accept_assumptions",), "Accept this and start training"),
        (("drop_bad_clips", "accept_assumptions"), "Leave out the bad clips, accept the rest and start"),
    ],
)
def test_what_is_undecided_can_be_decided_with_a_second_button(store, monkeypatch, settings, text):
    from asrkit.ui.common import form

    def start(store, config, owned, description):
        if not all(getattr(config, name) for name in settings):
            raise UndecidedError("One clip is silent.\nThe files were found by name.", settings)
        return SimpleNamespace(id="one")

    monkeypatch.setattr(supervisor, "start", start)
    values = form.load_values("demo")
    _, (_, message, _, button, undecided, _) = start_run(store, values)
    assert "<p>One clip is silent.</p><p>The files were found by name.</p>" in message["value"]
    assert (button["visible"], button["value"], undecided) == (True, text, settings)
    _, (_, message, run_id, button, undecided, name) = start_run(store, values, "try", decided=undecided)
    assert (message["value"], run_id, button["visible"], undecided, name) == ("", "one", False, (), "")


def test_start_names_every_problem_at_once(store):
    from asrkit.ui.common import form

    changes = {"learning_rate": 7, "num_epochs": None, "model": "no-such-model"}
    values = [changes.get(name, value) for name, value in zip(form.NAMES, form.load_values("demo"), strict=True)]
    _, (_, message, *_) = start_run(store, values)
    lines = message["value"].split("</p>")
    assert ["(learning_rate)" in lines[0], "(num_epochs)" in lines[1], "no-such-model" in lines[2]] == [True] * 3


def test_accepted_assumptions_are_not_restored_with_the_form():
    from asrkit.ui.common import form

    saved = dict(zip(form.NAMES, form.load_values("demo"), strict=True))
    restored = dict(zip(form.NAMES, train_tab._restore(saved | {"accept_assumptions": True}), strict=True))
    assert restored["accept_assumptions"] == gr.skip() and restored["train"] == "callsigns"


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("a defect")])
def test_start_can_be_pressed_again_after_an_error(store, monkeypatch, error):
    from asrkit.ui.common import form

    def fails(*_, **__):
        raise error

    monkeypatch.setattr(supervisor, "start", fails)
    updates = start_run(store, form.load_values("demo"))
    next(updates)
    button, message, *_ = next(updates)
    assert escape(str(error)[-8:]) in message["value"]
    # Gradio ignores a click before the event has ended; no event follows one that fails.
    assert button == (gr.skip() if isinstance(error, OSError) else gr.update(interactive=True))
    with pytest.raises(StopIteration if isinstance(error, OSError) else ValueError):
        next(updates)


@pytest.mark.parametrize(
    ("query", "shown"),
    [({"model": "one"}, "one"), ({"model": "/etc"}, "starter"), ({}, "starter")],
)
def test_address_names_the_model(store, make_run, query, shown):
    """One that is not listed is not loaded because of a link."""
    run = make_run("one", [])
    shutil.copytree(STARTER_DIR, run.model_dir)
    update, is_chosen = transcribe_tab.choose_initial_model(store, "starter", False, query)
    assert update.get("value", "starter") == shown and is_chosen == (shown == "one")


@pytest.mark.parametrize(
    ("model", "chosen", "shown"),
    [
        ("/my/model", True, "/my/model"),
        ("20260101-000000-demo", False, "starter"),
        (None, True, "starter"),
        ("starter", False, "starter"),
    ],
)
def test_model_chosen_by_the_visitor_is_kept(store, model, chosen, shown):
    update = transcribe_tab.refresh_model(store, model, chosen)
    assert update.get("value", model) == shown
    assert ("value" in update) == (model != shown), "a late reply does not undo a choice"


def test_price_is_shown_where_there_is_no_estimate(monkeypatch):
    def fail(_):
        raise DataError("There is no such data.")

    monkeypatch.setattr(train_tab.launchers.for_config(TrainConfig()), "price", lambda _: "It costs 0.40 USD an hour.")
    assert "It costs 0.40 USD an hour." in train_tab._render_estimate(TrainConfig(), fail)
    assert "A minute. It costs" in train_tab._render_estimate(TrainConfig(), lambda _: "A minute.")
