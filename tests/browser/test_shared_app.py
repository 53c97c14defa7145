"""A public app whose operator lets anonymous visitors bring data, and two people in front of it."""

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
    monkeypatch.setenv("ASRKIT_ANONYMOUS_DATA", "1")
    app = type(session_app)(tmp_path / "runs", options=["--public"])
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


def test_uploads_of_one_visitor_are_hidden_from_others(shared, browser, tmp_path):
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
    bob = visit(browser, shared, "Data")
    for path in (hers, f"{hers}-gone", "/etc"):
        bob.locator("#data [data-part=path]").fill(path)
        bob.locator("#data [data-part=path]").press("Enter")
        expect(bob.locator("#data [data-part=notice]")).to_contain_text(f"{path} may not be read here: this app reads")
    assert ann.locator("#data").get_by_role("button", name="clips", exact=True).is_visible()
    bob.reload()
    bob.get_by_role("tab", name="Data").click()
    expect(bob.locator("#data").get_by_role("button", name="callsigns")).to_be_visible()
    assert not bob.locator("#data").get_by_role("button", name="clips", exact=True).count()
    bob.get_by_role("tab", name="Train").click()
    bob.get_by_role("button", name="Start training").click()
    expect(bob.get_by_text("You may not start a run")).to_be_visible()
    assert not shared.store.all()
    operator = browser.new_context().new_page()
    operator.goto(shared.link())
    operator.get_by_role("tab", name="Train").click()
    operator.get_by_role("button", name="Advanced").click()
    operator.locator("#field-max_steps input").fill("1")
    operator.locator("#field-max_steps input").press("Tab")
    start_with(operator, "train", hers)
    expect(operator.locator("#live [data-part=outcome]")).to_contain_text("Finished", timeout=120_000)
    expect(bob.locator("#live [data-part=status]")).not_to_contain_text("Finished")
