"""A visitor of a Space trains on a machine that they rent: who starts, sees and stops it, and where the token is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.security.test_space import Browser
from tests.support import hub, oauth
from tests.support.landlock import needs_landlock
from tests.support.space import Space

OWNERS_TOKEN = "hf_token_of_the_owner"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A Hub where ann owns the Space, and bob and cat may sign in."""
    with hub.serve(tmp_path_factory.mktemp("hub")) as served:
        served.user["name"], served.tokens = "ann", {OWNERS_TOKEN}
        served.users |= {f"hf_oauth_{name}": name for name in ("bob", "cat")}
        yield served


@pytest.fixture(scope="module")
def space(served, tmp_path_factory):
    folder = tmp_path_factory.mktemp("space")
    with oauth.serve("ann", "bob", "cat") as provider:
        started = Space(folder, HF_TOKEN=OWNERS_TOKEN, ASRKIT_VISITORS_RENT="1", HF_XET_CACHE=str(folder / "xet"))
        started.environ |= served.env(folder / "home") | provider.env("ann/asrkit", started.host)
        started.environ["OAUTH_SCOPES"] = "openid profile jobs contribute-repos"
        started.start()
        yield started
        started.stop()


def sign_in(space, name):
    browser = Browser(space)
    browser.sign_in(name)
    return browser


def press_start(browser, **changes):
    """Press Start with the form as it is when the page is opened, and these settings; return the updates."""
    config = browser.get("/config").json()
    (event,) = [each for each in config["dependencies"] if each["api_name"] == "start_training"]
    props = {each["id"]: each["props"] for each in config["components"]}
    names = {id: str(props[id].get("elem_id") or "").removeprefix("field-") for id in event["inputs"]}
    changes["run-name"] = ""
    values = [changes.get(name, props[id].get("value")) for id, name in names.items()]
    body = {"data": values, "fn_index": event["id"], "session_hash": "page"}
    assert browser.send("POST", "/gradio_api/queue/join", json=body).status_code == 200
    return browser.get("/gradio_api/queue/data?session_hash=page").text


@needs_landlock
def test_visitor_rents_a_machine(space, served):
    bob, cat, ann = (sign_in(space, name) for name in ("bob", "cat", "ann"))
    seen = bob.describe()
    assert seen["denied"] == ["import_run"] and any("rent with your Hugging Face" in note for note in seen["notes"])
    assert "set Launcher (launcher) to hf-jobs" in bob.call("live", "start_demo", {})["notice"]
    updates = press_start(bob, launcher="hf-jobs", hf_timeout_h=2)
    assert served.jobs, updates
    (job,) = served.jobs.values()
    assert job["owner"]["name"] == "bob" and job["timeoutSeconds"] == 7200
    assert {volume["source"] for volume in job["volumes"]} == {"bob/asrkit"}
    (run,) = [path.parent for path in (space.folder / "runs").glob("*/config.json")]

    def see(browser):
        return browser.call("live", "poll", {"run": run.name, "page": "x"})

    assert "Waiting for hardware of the Hugging Face Hub" in see(bob)["activity"]
    assert see(ann)["run"] == run.name and "dequeue" in see(ann)["can"]
    assert see(cat)["run"] == "" and "There is no run" in see(cat)["notice"]
    assert cat.call("live", "perform_action", {"run": run.name, "action": "dequeue"})["notice"]
    assert "You have a run that is waiting" in press_start(bob, launcher="hf-jobs")
    assert find_token("hf_oauth_bob", space.folder) == [] and "hf_oauth_bob" not in space.log()
    assert bob.call("live", "perform_action", {"run": run.name, "action": "dequeue"})["notice"] == ""
    assert job["status"]["stage"] == "CANCELED" and see(bob)["status"] == "stopped"


def find_token(token: str, folder: Path) -> list[str]:
    """List the files that hold a token."""
    files = [path for path in folder.rglob("*") if path.is_file() and os.access(path, os.R_OK)]
    return [str(path) for path in files if token.encode() in path.read_bytes()]
