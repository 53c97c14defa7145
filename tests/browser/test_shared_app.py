"""An app that listens to more than its own machine, and two people in front of it."""

import re

import pytest
import soundfile
from playwright.sync_api import expect

from asrkit.data import access
from asrkit.runs import processes


@pytest.fixture
def shared(session_app, tmp_path, monkeypatch):
    for name in (access.READABLE_VARIABLE, access.VISITORS_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    app = type(session_app)(tmp_path / "runs", options=["--host", "0.0.0.0"])
    app.start()
    yield app
    for run in app.store.all():
        processes.kill_worker(run)
    app.kill()


def visit(browser, app, tab):
    page = browser.new_context().new_page()
    page.goto(app.url)
    page.get_by_role("tab", name=tab).click()
    return page


def start_with(page, name, value):
    field = page.locator(f"#field-{name} input")
    field.fill(value)
    field.press("Enter")
    page.get_by_role("button", name="Start training").click()
    return page.locator("#start-message")


def test_what_one_person_uploads_the_other_cannot_train_on(shared, browser, tmp_path):
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", [0.1 * (-1) ** (at // 9) for at in range(16_000)], 16_000)
    (tmp_path / "clips.csv").write_text("file_name,text\n" + "".join(f"{n}.wav,hello\n" for n in range(4)))
    ann = visit(browser, shared, "Data")
    ann.locator("#data [data-part=files]").set_input_files(
        [tmp_path / "clips.csv", *(tmp_path / f"{number}.wav" for number in range(4))]
    )
    expect(ann.locator("#data [data-part=facts]")).to_contain_text("4 clips")
    hers = ann.locator("#data [data-part=path]").input_value()
    assert re.search(r"/data/\.visitors/\w{24}/clips$", hers)
    bob = visit(browser, shared, "Train")
    for name, path in (("train", hers), ("train", f"{hers}-gone"), ("train", "/etc")):
        expect(start_with(bob, name, path)).to_contain_text(f"{path} may not be read here: this app reads only")
    bob.locator("#field-train input").fill("callsigns")
    bob.locator("#field-train input").press("Enter")
    for path in ("/work/model", "/etc", str(tmp_path)):
        expect(start_with(bob, "model", path)).to_contain_text(f"There is no model '{path}': it is no run")
    assert not shared.store.all()
    assert ann.locator("#data").get_by_role("button", name="clips", exact=True).is_visible()
    bob.get_by_role("tab", name="Data").click()
    expect(bob.locator("#data").get_by_role("button", name="callsigns")).to_be_visible()
    assert not bob.locator("#data").get_by_role("button", name="clips", exact=True).count()
    ann.get_by_role("tab", name="Train").click()
    ann.get_by_role("button", name="Advanced").click()
    ann.locator("#field-max_steps input").fill("1")
    ann.locator("#field-max_steps input").press("Tab")
    start_with(ann, "train", hers)
    expect(ann.locator("#live [data-part=outcome]")).to_contain_text("Finished", timeout=120_000)
