"""`python app.py` as on a Hugging Face Space: sign-in with Gradio's real routes, the log, and what a visitor may do."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import httpx
import psutil
import pytest
from fastapi import FastAPI

from asrkit.ui.security import endpoints
from asrkit.ui.security.deployment import OAUTH_VARIABLES
from tests.support import oauth
from tests.support.landlock import needs_landlock
from tests.support.space import Space

SPACE_USER, HUB_TOKEN = 1000, "hf_token_of_the_owner"
AS_SPACE_USER = (
    *("setpriv", f"--reuid={SPACE_USER}", f"--regid={SPACE_USER}", "--clear-groups"),
    # It may read what root has installed, and write nothing of it.
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


class Browser:
    """A client that keeps cookies, those for https too, as Chromium does for the loopback."""

    def __init__(self, space: Space) -> None:
        self.space, self.client = space, httpx.Client(base_url=space.url, timeout=60)
        self.cookies: dict[str, str] = {}
        self.get("/")

    def send(self, method: str, address: str, **options) -> httpx.Response:
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        answer = self.client.request(method, address, headers=headers, **options)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def get(self, address: str) -> httpx.Response:
        return self.send("GET", address)

    def sign_in(self, user: str) -> None:
        answer = self.get("/login/huggingface?_target_url=/")
        page = httpx.get(answer.headers["location"])
        link = next(part for part in re.findall(r'href="([^"]+)"', page.text) if f"user={user}" in part)
        granted = httpx.get(f"{answer.headers['location'].partition('/authorize')[0]}{link.replace('&amp;', '&')}")
        done = self.get(granted.headers["location"])
        assert done.headers["location"] == "/", done.text

    def call(self, element: str, name: str, request: dict) -> dict:
        config = self.get("/config").json()
        component = next(each for each in config["components"] if each["props"].get("elem_id") == element)
        body = {"session_hash": "x", "component_id": component["id"], "fn_name": name, "data": request}
        return self.send("POST", "/gradio_api/component_server", json=body).json()

    def describe(self) -> dict:
        return self.call("visitor", "describe_visitor", {})


@pytest.fixture(scope="module")
def provider():
    with oauth.serve("ann", "bob", "eve") as served:
        yield served


@pytest.fixture
def space_user():
    """A folder of the user that a Space's container has, and what starts a program as that user, if that can be."""
    with tempfile.TemporaryDirectory() as name:
        can_choose = os.getuid() == 0 and shutil.which("setpriv")
        if can_choose:
            os.chown(name, SPACE_USER, SPACE_USER)
        yield Path(name), AS_SPACE_USER if can_choose else ()


@pytest.fixture(scope="module")
def space(provider, tmp_path_factory):
    started = Space(tmp_path_factory.mktemp("space"), ASRKIT_OPERATORS="eve", HF_TOKEN=HUB_TOKEN)
    started.environ |= provider.env("ann/asrkit", started.host)
    started.start()
    yield started
    started.stop()


def test_owner_and_named_users_are_operators(space):
    for user in ("ann", "eve"):
        browser = Browser(space)
        browser.sign_in(user)
        seen = browser.describe()
        assert (seen["role"], seen["name"], seen["denied"]) == ("operator", user, [])


def test_other_users_are_visitors(space):
    bob = Browser(space)
    bob.sign_in("bob")
    seen = bob.describe()
    assert (seen["role"], seen["denied"]) == ("visitor", ["start_run", "import_run"])
    assert "bob" in seen["who"] and "Training is for" in seen["notes"][0]
    assert bob.call("data", "list_datasets", {})["known"]
    bob.get("/logout")
    assert bob.describe()["role"] == "anonymous"


def test_without_signing_in_everybody_may_transcribe(space):
    anybody = Browser(space)
    seen = anybody.describe()
    assert seen["denied"] == ["use_own_data", "start_run", "import_run"] and "Sign in" in seen["notes"][0]
    assert "You may not" in anybody.call("data", "list_datasets", {})["error"]
    assert anybody.get("/gradio_api/info").status_code == 200


def test_forged_session_is_no_sign_in(space):
    """The cookie is signed with the secret of the Space's OAuth application."""
    from itsdangerous import TimestampSigner

    session = "eyJvYXV0aF9pbmZvIjogeyJ1c2VyaW5mbyI6IHsicHJlZmVycmVkX3VzZXJuYW1lIjogImFubiJ9fX0="  # of ann
    forger = Browser(space)
    forger.cookies["session"] = TimestampSigner("another secret").sign(session).decode()
    assert forger.describe()["role"] == "anonymous"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_secrets_are_not_in_the_environment_that_the_system_shows(space):
    processes = [psutil.Process(space.process.pid), *psutil.Process(space.process.pid).children(recursive=True)]
    for process in processes:
        shown = Path(f"/proc/{process.pid}/environ").read_bytes() + Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert b"ASRKIT_RUNS" in shown and oauth.CLIENT_SECRET.encode() not in shown
        assert HUB_TOKEN.encode() not in shown
    assert HUB_TOKEN not in space.log()


def test_sign_in_button_leads_to_the_provider(space, provider):
    config = Browser(space).get("/config").json()
    (button,) = [each for each in config["components"] if each["props"].get("elem_id") == "hub-sign-in"]
    assert button["props"]["value"] == "Sign in with Hugging Face"
    location = Browser(space).get("/login/huggingface").headers["location"]
    assert location.startswith(f"{provider.url}/authorize?") and "client_id=client-of-the-space" in location


def test_every_route_of_the_sign_in_has_a_row(monkeypatch):
    from gradio import oauth as gradio_oauth

    for name in OAUTH_VARIABLES:
        monkeypatch.setattr(gradio_oauth, name, "x")
    app = FastAPI()
    gradio_oauth._add_oauth_routes(app)
    known = {endpoint.path for endpoint in endpoints.ENDPOINTS}
    paths = {route.path for route in app.routes} - {route.path for route in FastAPI().routes}
    assert "/login/callback" in paths and paths <= known


@needs_landlock
def test_log_of_a_start_is_clean(space):
    lines = [line for line in space.log().splitlines() if not line.startswith(("SPACE_HOST", "Redirect URI"))]
    assert [line for line in lines if line.strip()] == [f"asrkit is ready at https://{space.host}/"]


def test_every_event_of_a_space_has_a_row(space):
    dependencies = Browser(space).get("/config").json()["dependencies"]
    names = {each["api_name"].rstrip("_0123456789") for each in dependencies if each["backend_fn"] and each["api_name"]}
    assert "_check_login_status".strip("_") in {name.strip("_") for name in names}
    assert {name.strip("_") for name in names} - {name.strip("_") for name in endpoints.EVENTS} == set()


def test_space_without_sign_in_says_how_to_become_its_operator(provider, space_user):
    """As a user who may not write into the folder of the code, where that can be tried."""
    folder, launcher = space_user
    space = Space(folder, launcher, HOME=str(folder), ASRKIT_RUNS="")
    space.environ |= provider.env("ann/asrkit", space.host) | {"OAUTH_CLIENT_SECRET": ""}
    space.start()
    try:
        anybody = Browser(space)
        seen = anybody.describe()
        assert seen["role"] == "anonymous" and seen["denied"] == ["use_own_data", "start_run", "import_run"]
        assert "hf_oauth: true" in seen["notes"][0] and "No storage is mounted" in seen["notes"][1]
        assert anybody.get("/login/huggingface").status_code == 404
        assert "Traceback" not in space.log() and "hf_oauth" in space.log()
    finally:
        space.stop()
