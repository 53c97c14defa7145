"""The route of the page's scripts: one address per version, cached by browsers."""

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from asrkit.ui.common import scripts

IMPORT = re.compile(r'^(?:import|export) .*?from "([^"]+)"', re.MULTILINE)
URL = re.compile(r'new URL\("(scripts/[^"]+)", document\.baseURI\)')


@pytest.fixture
def client():
    return TestClient(Starlette(routes=[scripts.route()]))


def test_module_and_its_imports_are_served(client):
    (url,) = URL.findall(scripts.mount_module("train/live_panel.js"))
    response = client.get(f"/{url}")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert "immutable" in response.headers["cache-control"] and "export const mount" in response.text
    catalogue = client.get("/" + scripts.make_url("strings/en.json"))
    assert catalogue.headers["content-type"] == "application/json" and catalogue.json()


def test_every_import_is_a_file_of_the_package():
    files = scripts.load_files()
    for name, content in files.items():
        for target in IMPORT.findall(content.decode()):
            path = (scripts.UI / name).parent.joinpath(target).resolve()
            assert path.relative_to(scripts.UI).as_posix() in files, f"{name} imports {target}"


@pytest.mark.parametrize("name", ["app.py", "train/nothing.js", "../app.py", "common/style.css", ""])
def test_nothing_but_scripts_is_served(client, name):
    assert client.get(f"/scripts/{scripts.compute_version()}/{name}").status_code == 404


def test_another_version_is_not_served(client):
    response = client.get("/scripts/0123456789abcdef/train/live_panel.js")
    assert response.status_code == 404 and "reload the page" in response.text


def test_every_module_is_preloaded():
    links = scripts.head_links()
    others = {scripts.WORKLET, scripts.PLOTLY, scripts.FAST_CLONE}
    modules = {name for name in scripts.load_files() if name.endswith(".js")} - others
    assert modules == {name for name in scripts.load_files() if f'href="{scripts.make_url(name)}"' in links}


def test_address_is_relative_to_the_page():
    assert not scripts.make_url("train/live_panel.js").startswith("/")


@pytest.mark.parametrize("suffix", [".js", ".html", ".css"])
def test_no_line_is_over_120_characters(suffix):
    for path in scripts.UI.rglob(f"*{suffix}"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert len(line) <= 120, f"{path.relative_to(scripts.UI)}:{number}"


def test_fast_clone_runs_before_gradio_and_is_no_module():
    head = scripts.head_links()
    assert f'<script src="{scripts.make_url(scripts.FAST_CLONE)}"></script>' in head
    assert head.count("fast_clone.js") == 1
