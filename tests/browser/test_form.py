"""The form of the Train tab: its defaults, presets, and messages when a run cannot start."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.waiting import wait_for


def field(page: Page, name: str):
    return page.locator(f"#field-{name} input")


def message(page: Page):
    return page.locator("#start-message [role=alert]")


def containing(words: str) -> re.Pattern:
    return re.compile(words)


def test_defaults_can_be_started_at_once(open_page):
    page = open_page()
    expect(page).to_have_title("asrkit")
    expect(field(page, "preset")).to_have_value("Demo")
    expect(field(page, "model")).to_have_value("Starter (general English, small)")
    expect(field(page, "train")).to_have_value("Radio callsigns (comes with asrkit)")
    expect(page.get_by_role("button", name="Start training")).to_be_enabled()
    expect(page.get_by_role("tab", name="Train")).to_be_visible()
    expect(page.get_by_role("tab", name="Transcribe")).to_be_visible()
    for width, height in ((1366, 768), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        field(page, "preset").scroll_into_view_if_needed()  # on a phone, what to do first stands before the form
        for part in ("#start", "#forecast"):
            expect(page.locator(part)).to_be_in_viewport(ratio=1)
    field(page, "learning_rate").focus()
    expect(page.locator("#field-learning_rate .info-text")).to_have_css("opacity", "1")
    expect(page.locator("#field-num_epochs .info-text")).to_have_css("opacity", "0")


def test_preset_fills_the_form_and_the_command(open_page):
    page = open_page()
    page.get_by_role("button", name="Show the command").click()
    command = page.locator("#command textarea")
    expect(command).to_have_value(containing("--preset demo"))
    field(page, "preset").click()
    page.get_by_role("option", name="Small GPU").click()
    expect(field(page, "model")).to_have_value(containing("facebook/wav2vec2-xls-r-300m: XLS-R 300M"))
    expect(field(page, "learning_rate")).to_have_value("0.00005")
    expect(command).to_have_value(containing("--preset small-gpu --runs-dir"))  # all fields are the preset's
    field(page, "num_epochs").fill("3")
    expect(command).to_have_value(containing(r"--preset small-gpu --set num_epochs=3 --runs-dir"))
    expect(page.locator("#field-num_epochs")).to_have_attribute("data-preset", containing("Preset: "))
    field(page, "learning_rate").fill("7")
    expect(page.locator("#field-learning_rate")).to_have_attribute("data-problem", containing("between 1e-07 and 0.1"))
    page.get_by_role("button", name="Start training").press("Enter")
    expect(message(page)).to_be_visible()
    field(page, "learning_rate").fill("0.001")
    expect(message(page)).to_be_hidden()
    expect(page.locator("#field-learning_rate")).not_to_have_attribute("data-problem", containing("."))
    page.get_by_label("Find a setting").fill("warmup")
    expect(page.locator("#field-warmup_steps")).to_be_visible()
    expect(page.locator("#field-max_steps")).to_be_hidden()
    page.get_by_label("Find a setting").fill("")
    expect(page.locator("#field-warmup_steps")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("learning_rate", "7", "Learning rate (learning_rate) is 7; it must be between 1e-07 and 0.1."),
        ("train_batch_size", "0", "Batch size (clips) (train_batch_size) is 0; it must be between 1 and 4096."),
        ("num_epochs", "", "Epochs (num_epochs) is empty; give a number."),
        ("train", "/nothing/here", "/nothing/here"),
        ("model", "no-such-model", "no-such-model"),
    ],
)
def test_refused_start_shows_one_sentence_and_keeps_the_form(open_page, app, name, value, words):
    page = open_page()
    field(page, name).fill(value)
    field(page, name).press("Tab")
    start = page.get_by_role("button", name="Start training")
    start.press("Enter")
    expect(message(page)).to_contain_text(words)
    expect(message(page)).to_be_in_viewport()
    expect(message(page)).not_to_contain_text("Traceback")
    expect(field(page, name)).to_have_value(value)
    expect(start).to_be_enabled()
    expect(start).to_be_focused()
    assert app.store.all() == []


def test_second_run_is_queued_while_one_is_running(app, open_page, play):
    """It can be removed from the queue, and queued again."""
    page = open_page()
    run = play("--steps", "2000", "--pause", "0.1")
    expect(page.locator("#start-message")).to_have_text(
        f"Run {run.id} is in progress. A new run will wait in the queue."
    )
    page.locator("#run-name input").fill("Second try")
    page.get_by_role("button", name="Start training").click()
    expect(page.locator('[data-part="status"]')).to_have_text("Queued")
    expect(page.locator('[data-part="queue"] a')).to_have_text("Second try")
    expect(page.locator("#run-name input")).to_have_value("")
    expect(page.locator('[data-part="activity"]')).to_have_text(f"Waiting for run {run.id} to finish…")
    assert len(app.store.all()) == 2
    expect(page.get_by_role("button", name="Start next")).to_be_hidden()
    page.get_by_role("button", name="Remove from queue").click()
    expect(page.locator('[data-part="status"]')).to_have_text("Stopped")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator('[data-part="status"]')).to_have_text("Queued")


def test_form_survives_a_reload(open_page):
    page = open_page()
    page.get_by_text("Show the command").click()
    field(page, "learning_rate").fill("0.00077")
    field(page, "learning_rate").press("Tab")
    # One reply updates the command and what the browser stores.
    expect(page.locator("#command textarea")).to_have_value(re.compile("learning_rate=0.00077"))
    wait_for(lambda: page.evaluate("localStorage.getItem('asrkit-form')"), "the form to be kept")
    page.get_by_role("tab", name="Train").press("ArrowLeft")
    expect(page.get_by_role("tab", name="Data")).to_be_focused()
    expect(page).to_have_url(re.compile("[?&]tab=data"))
    page.reload()
    expect(page.get_by_role("tab", name="Data")).to_have_attribute("aria-selected", "true")
    expect(field(page, "learning_rate")).to_have_value("0.00077")
    expect(field(page, "num_epochs")).not_to_have_value("")
