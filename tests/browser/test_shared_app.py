"""Apps that several people use: a public one, a Space with sign-in, and a server with a password."""

import contextlib
import os
import re
import tempfile
from http.server import BaseHTTPRequestHandler

import pytest
import soundfile
from playwright.sync_api import expect

from asrkit.config import TrainConfig
from asrkit.data import access
from tests.support import oauth
from tests.support.http_server import serve_http
from tests.support.landlock import needs_landlock
from tests.support.runs import end_runs


@pytest.fixture
def shared(session_app, tmp_path, monkeypatch):
    for name in (access.READABLE_VARIABLE, access.VISITORS_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASRKIT_ANONYMOUS_DATA", "1")
    app = type(session_app)(tmp_path / "runs", options=["--public"])
    app.start()
    yield app
    app.kill()
    end_runs(app.store)


@pytest.fixture
def space(session_app, tmp_path, monkeypatch):
    """A Space of zoe, who lets visitors train."""
    for name in (access.READABLE_VARIABLE, access.VISITORS_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    with oauth.serve("zoe", "ann", "bob") as provider:
        app = type(session_app)(tmp_path / "runs", options=["--host", "127.0.0.1"])
        environ = provider.env("zoe/asrkit", f"127.0.0.1:{app.port}") | {"ASRKIT_VISITORS_TRAIN": "1"}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        app.start()
        yield app
        app.kill()
        end_runs(app.store)


def sign_in(page, app, user):
    """Sign in, with the page's button if the page is open."""
    if page.url.startswith(app.url):
        page.get_by_role("button", name="Sign in with Hugging Face").click()
    else:
        page.goto(f"{app.url}login/huggingface")
    page.get_by_role("link", name=user).click()
    expect(page.get_by_text(f"Signed in as {user}")).to_be_visible()
    return page


def write_clips(folder):
    """Write a table and its clips, and return the files to upload."""
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", [0.1 * (-1) ** (at // 9) for at in range(16_000)], 16_000)
    (folder / "clips.csv").write_text("file_name,text\n" + "".join(f"{n}.wav,hello\n" for n in range(4)))
    return [folder / "clips.csv", *(folder / f"{number}.wav" for number in range(4))]


def upload(page, files):
    """Upload a dataset of four clips in the Data tab, and return the name that the page has for it."""
    page.locator("#data [data-part=files]").set_input_files(files)
    expect(page.locator("#data [data-part=facts]")).to_contain_text("4 clips")
    return page.locator("#data [data-part=path]").input_value()


def shown(app, path):
    """Return a path as messages to visitors show it: without where the data and temporary folders are."""
    path = path.removeprefix(f"{app.store.data_dir.parent}/")
    return path.replace(f"{tempfile.gettempdir()}/", "temporary/")


def find_upload(app):
    """Return the path of the only upload, which its visitor does not see."""
    (path,) = map(str, (app.store.data_dir / access.VISITORS_FOLDER).glob("*/clips"))
    assert re.search(r"/data/\.visitors/(user-)?\w{24}/clips$", path)
    return path


def visit(new_page, app, tab):
    page = new_page()
    page.goto(app.url)
    expect(page.get_by_role("tab", name="Transcribe", selected=True)).to_be_visible()  # they cannot train
    page.get_by_role("tab", name=tab).click()
    return page


def start_with(page, name, value):
    field = page.locator(f"#field-{name} input")
    field.fill(value)
    field.press("Enter")
    page.get_by_role("button", name="Start training").click()
    return page.locator("#start-message")


@needs_landlock
def test_uploads_of_one_visitor_are_hidden_from_others(shared, new_page, tmp_path):
    ann = visit(new_page, shared, "Data")
    assert upload(ann, write_clips(tmp_path)) == "my-data:clips"
    hers = find_upload(shared)
    bob = visit(new_page, shared, "Data")
    for path in (hers, f"{hers}-gone", "/etc"):
        bob.locator("#data [data-part=path]").fill(path)
        bob.locator("#data [data-part=path]").press("Enter")
        expect(bob.locator("#data [data-part=notice]")).to_contain_text(
            f"{shown(shared, path)} may not be read here: this app reads"
        )
    assert ann.locator("#data").get_by_role("button", name="clips", exact=True).is_visible()
    bob.reload()
    expect(bob.get_by_role("tab", name="Data", selected=True)).to_be_visible()  # the address names it
    expect(bob.locator("#data").get_by_role("button", name="callsigns")).to_be_visible()
    assert not bob.locator("#data").get_by_role("button", name="clips", exact=True).count()
    bob.get_by_role("tab", name="Train").click()
    expect(bob.get_by_text("There is no run to see here yet.")).to_be_visible()
    expect(bob.get_by_role("button", name="Start training")).to_be_hidden()
    operator = new_page()
    operator.goto(shared.link())
    operator.get_by_role("tab", name="Train").click()
    operator.get_by_role("button", name="Advanced").click()
    operator.locator("#field-max_steps input").fill("1")
    operator.locator("#field-max_steps input").press("Tab")
    start_with(operator, "train", hers)
    expect(operator.locator("#live [data-part=outcome]")).to_contain_text("Finished", timeout=600_000)
    expect(bob.locator("#live [data-part=status]")).not_to_contain_text("Finished")
    ann.get_by_role("button", name="Delete my data").click()
    confirmation = ann.get_by_role("button", name="Delete all of it?")
    expect(confirmation).to_be_enabled()  # not at once: the second click of a double click does not count
    assert os.path.isdir(hers)
    confirmation.click()
    expect(ann.get_by_text("Your uploads, recordings and datasets are deleted.")).to_be_visible()
    assert not os.path.exists(hers)
    ann.get_by_role("tab", name="Data").click()
    expect(ann.locator("#data").get_by_role("button", name="callsigns")).to_be_visible()
    expect(ann.locator("#data").get_by_role("button", name="clips", exact=True)).to_have_count(0)
    bob.get_by_role("button", name="Delete my data").click()
    bob.get_by_role("button", name="Delete all of it?").click()
    expect(bob.get_by_text("Your uploads, recordings and datasets are deleted.")).to_be_visible()
    expect(operator.get_by_role("button", name="Delete my data")).to_be_hidden()


@needs_landlock
def test_visitor_of_a_space_trains_on_her_upload_and_shares_the_run(space, new_page, tmp_path):
    anybody = new_page()
    anybody.goto(space.url)
    expect(anybody.get_by_text("Everybody can transcribe. Sign in")).to_be_visible()
    expect(anybody.get_by_role("tab", name="Data")).to_be_hidden()
    expect(anybody.get_by_role("button", name="Start training")).to_be_hidden()
    ann = sign_in(anybody, space, "ann")
    bob, zoe = (sign_in(new_page(), space, user) for user in ("bob", "zoe"))
    ann.get_by_role("tab", name="Data").click()
    name = upload(ann, write_clips(tmp_path))
    hers = find_upload(space)
    bob.get_by_role("tab", name="Train").click()
    for path in (hers, f"{hers}-gone", "/etc"):
        message = f"{shown(space, path)} may not be read here: this app reads only"
        expect(start_with(bob, "train", path)).to_contain_text(message)
    bob.locator("#field-train input").fill("callsigns")
    bob.locator("#field-train input").press("Enter")
    for path in ("/work/model", "/etc", str(tmp_path)):
        message = f"There is no model '{shown(space, path)}': it is neither"
        expect(start_with(bob, "model", path)).to_contain_text(message)
    assert not space.store.all()
    ann.get_by_role("tab", name="Train").click()
    expect(ann.get_by_label("Only you, and whoever runs this app")).to_be_checked()
    ann.get_by_role("button", name="Advanced").click()
    ann.locator("#field-max_steps input").fill("1")
    ann.locator("#field-max_steps input").press("Tab")
    start_with(ann, "train", name)
    expect(ann.locator("#live [data-part=outcome]")).to_contain_text("Finished", timeout=600_000)
    expect(ann.locator("#live [data-part=visibility]")).to_contain_text("Private")
    expect(bob.locator("#live [data-part=empty]")).to_be_visible()
    zoe.get_by_role("tab", name="Train").click()
    expect(zoe.locator("#live [data-part=outcome]")).to_contain_text("Finished")
    ann.locator("#live").get_by_text("More", exact=True).click()
    ann.get_by_role("button", name="Share with everybody here").click()
    expect(ann.locator("#live [data-part=visibility]")).to_contain_text("Shared")
    bob.reload()
    expect(bob.locator("#live [data-part=status]")).to_have_text("Finished")
    bob.locator("#live").get_by_text("More", exact=True).click()
    for name in ("Delete the run", "Download the whole run (ZIP)", "Make private again"):
        expect(bob.get_by_role("button", name=name)).to_be_hidden()
    zoe.get_by_role("button", name="Sign out (zoe)").click()
    expect(zoe.get_by_text("You are not signed in.")).to_be_visible()


ATTACK = """async ([url, body]) => {
    const send = (mode, type) => fetch(`${url}gradio_api/component_server`,
        { method: "POST", mode, credentials: "include", headers: { "Content-Type": type }, body });
    const refused = () => "refused";
    await send("no-cors", "text/plain").catch(refused);
    const form = Object.assign(document.createElement("form"),
        { method: "POST", enctype: "text/plain", action: `${url}gradio_api/component_server`, target: "frame" });
    const field = Object.assign(document.createElement("input"), { name: body.slice(0, -1) + ',"x":"', value: '"}' });
    const frame = Object.assign(document.createElement("iframe"), { name: "frame" });
    form.append(field);
    document.body.append(frame, form);
    const loaded = new Promise((done) => frame.addEventListener("load", done));
    form.submit();
    await loaded;
    return [
        await send("cors", "application/json").then((answer) => answer.text(), refused),
        await fetch(`${url}config`, { credentials: "include" }).then((answer) => answer.text(), refused),
    ];
}"""
"""A page tries to delete a run of the app, and to read its page."""

CALL = """async (run) => {
    const { components } = await (await fetch("config")).json();
    const { id } = components.find(({ props }) => props.elem_id === "live");
    return JSON.stringify({ session_hash: "x", component_id: id, fn_name: "perform_action",
        data: { action: "delete", run } });
}"""
SEND = """async (body) => (await fetch("gradio_api/component_server",
    { method: "POST", headers: { "Content-Type": "application/json" }, body })).status"""


@contextlib.contextmanager
def serve_empty_page():
    """Serve a page of another site, and return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><body>")

        def log_message(self, *_):
            pass

    with serve_http(Handler) as port:
        yield f"http://localhost:{port}/"


def try_from_another_site(page, app):
    """Let a page of another site, in the browser of the operator, try to delete a run; then the app's own page."""
    run = app.store.create(TrainConfig())
    body = page.evaluate(CALL, run.id)
    with serve_empty_page() as site:
        other = page.context.new_page()
        other.goto(site)
        # By the browser or, as Gradio lets pages of this machine read its answers, by the app.
        answers = other.evaluate(ATTACK, [app.url, body])
        assert set(answers) <= {"refused", "Another site sent this request, so it was not carried out."}
        assert app.store.find(run.id)
        other.close()
    assert page.evaluate(SEND, body) == 200
    assert not app.store.find(run.id)


def test_server_signs_in_by_password_and_out(session_app, new_page, tmp_path, monkeypatch):
    monkeypatch.setenv("ASRKIT_PASSWORD", "correct horse")
    app = type(session_app)(tmp_path / "runs", options=["--host", "0.0.0.0"])
    app.start()
    try:
        page = new_page()
        page.goto(app.url)
        for password in ("a wrong one", "correct horse"):
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in").click()
            if password == "a wrong one":
                expect(page.get_by_text("This is not the password.")).to_be_visible()
        expect(page.get_by_text("Everybody who has the password of this app sees this run.")).to_be_visible()
        try_from_another_site(page, app)
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("Password")).to_be_visible()
    finally:
        app.kill()
