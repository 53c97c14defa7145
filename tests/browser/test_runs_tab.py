"""The Runs tab on faked runs: the table, the comparison of ticked runs, and links."""

import re

import pytest
from playwright.sync_api import Page, expect

from asrkit import config
from asrkit.files import write_json
from asrkit.runs import lifecycle
from tests.support.waiting import wait_for

QUICK = ("--steps", "12", "--pause", "0.02")
CARD = """| Training Loss | Epoch | Step | Validation Loss | Wer |
|:---:|:---:|:---:|:---:|:---:|
| 2.0 | 1.0 | 6 | 2.5 | 0.9 |
| 1.0 | 2.0 | 12 | 1.5 | 0.5 |
"""


@pytest.fixture
def finished_runs(play):
    """Three finished runs that differ in two settings."""
    runs = []
    for number, changes in enumerate(({"learning_rate": 1e-3}, {"learning_rate": 2e-4, "seed": 7}, {})):
        run = play(*QUICK, run_id=f"2026010{number + 1}-000000-demo")
        write_json(run.config_path, config.load_preset("demo").config.replace(changes).to_dict())
        runs.append(run)
    for run in runs:
        wait_for(lambda run=run: lifecycle.get_status(run) == lifecycle.FINISHED, "the run")
    return runs


@pytest.fixture
def tab(open_page, finished_runs):
    page = open_page()
    page.get_by_role("tab", name="Runs").click()
    expect(rows(page)).to_have_count(3)
    return page


def rows(page: Page):
    return page.locator("#runs tbody[data-part=rows] tr")


def names(page: Page) -> list[str]:
    return page.locator("#runs tbody[data-part=rows] tr a").all_inner_texts()


def curves(page: Page) -> list[str]:
    return page.evaluate("(document.querySelector('#runs [data-part=plot]')?.data ?? []).map((one) => one.name)")


def axis_end(page: Page) -> float:
    return page.evaluate("document.querySelector('#runs [data-part=plot]').layout.xaxis.range[1]")


def tick(page: Page, run) -> None:
    page.get_by_role("checkbox", name=f"Compare {run.id}").check()


def test_table_shows_differing_settings_and_sorts(tab, finished_runs):
    heads = tab.locator("#runs thead th").all_inner_texts()
    assert {"Best WER", "Duration", "Disk", "Learning rate", "Seed"} <= set(heads)
    expect(rows(tab).first).to_contain_text("Finished")
    expect(rows(tab).first.locator("polyline")).to_have_count(1)
    assert names(tab) == [run.id for run in reversed(finished_runs)]
    tab.get_by_role("button", name="Learning rate").click()
    assert names(tab)[0] == finished_runs[1].id
    tab.get_by_role("button", name="Learning rate").click()
    assert names(tab)[-1] == finished_runs[1].id


def test_filter_matches_names_and_settings(tab, finished_runs):
    tab.get_by_label("Filter the runs").fill("seed=7")
    expect(rows(tab)).to_have_count(1)
    expect(tab.locator("#runs [data-part=count]")).to_have_text("1 of 3 runs")
    tab.get_by_label("Filter the runs").fill("20260101 finished")
    assert names(tab) == [finished_runs[0].id]


def test_ticked_runs_are_compared_and_in_the_address(tab, finished_runs, open_page):
    tick(tab, finished_runs[0])
    tick(tab, finished_runs[1])
    wait_for(lambda: len(curves(tab)) == 2, "two curves")
    expect(tab.locator("#runs [data-part=differences]")).to_contain_text("Learning rate")
    another = open_page()
    another.goto(tab.url)
    wait_for(lambda: len(curves(another)) == 2, "two curves in another window")
    expect(another.get_by_role("tab", name="Runs")).to_have_attribute("aria-selected", "true")


def test_only_losses_have_a_logarithmic_axis(tab, finished_runs):
    tick(tab, finished_runs[0])
    axis, series = "document.querySelector('#runs [data-part=plot]').layout?.yaxis.type", "#runs [data-part=series]"
    logarithmic = tab.locator("#runs").get_by_label("Logarithmic (not error rates)")
    expect(logarithmic).to_be_disabled()
    tab.locator(series).select_option("eval/loss")
    logarithmic.check()
    wait_for(lambda: tab.evaluate(axis) == "log", "the loss")
    tab.locator(series).select_option("eval/wer")
    wait_for(lambda: tab.evaluate(axis) == "linear", "the error rate")


def test_published_card_is_a_dashed_reference(tab, finished_runs):
    tick(tab, finished_runs[0])
    tab.locator("#runs [data-part=card]").select_option(label="XLS-R 53 English (published)")
    wait_for(lambda: "XLS-R 53 English (published)" in curves(tab), "the published curve")
    assert tab.evaluate("document.querySelector('#runs [data-part=plot]').data.at(-1).line.dash") == "dash"
    assert axis_end(tab) < 50, "a card of thousands of steps does not squeeze a run of twelve"
    tab.get_by_role("button", name="Show the whole card").click()
    wait_for(lambda: axis_end(tab) > 1000, "the whole card")
    tab.get_by_role("button", name="Zoom to the runs").click()
    wait_for(lambda: axis_end(tab) < 50, "the run")
    tab.locator("#runs [data-part=card]").select_option("paste")
    tab.get_by_label("Results table of a model card").fill("no table")
    tab.get_by_role("button", name="Draw", exact=True).click()
    expect(tab.locator("#runs [data-part=notice]")).to_contain_text("has no results table")
    tab.get_by_label("Results table of a model card").fill(CARD)
    tab.get_by_role("button", name="Draw", exact=True).click()
    wait_for(lambda: "Pasted card" in curves(tab), "the pasted curve")
    expect(tab.locator("#runs [data-part=notice]")).to_be_hidden()


def test_row_opens_its_run_in_the_panel(tab, finished_runs):
    tab.get_by_role("link", name=finished_runs[0].id).click()
    expect(tab.locator("#live [data-part=runs]")).to_have_value(finished_runs[0].id)
    expect(tab.locator("#live [data-part=status]")).to_have_text("Finished")
    expect(tab).to_have_url(re.compile(rf"[?&]run={finished_runs[0].id}"))
    tab.locator("#live [data-part=runs]").select_option(finished_runs[1].id)
    tab.get_by_role("tab", name="Runs").click()
    tab.get_by_role("link", name=finished_runs[0].id).click()
    expect(tab.locator("#live [data-part=runs]")).to_have_value(finished_runs[0].id)


def test_buttons_survive_updates(tab, play):
    """A button that is replaced between pressing and releasing gets no click."""
    play("--steps", "2000", "--pause", "0.2", run_id="20260201-000000-demo")
    expect(rows(tab)).to_have_count(4)
    steps = rows(tab).first.locator("td.number").nth(3)
    expect(steps).to_contain_text("of 2000")
    tab.evaluate("window.kept = [...document.querySelectorAll('#runs :is(thead button, tbody[data-part=rows] input)')]")
    before = steps.inner_text()
    expect(steps).not_to_have_text(before)
    assert tab.evaluate("kept.length > 4 && kept.every((one) => one.isConnected)")


def test_new_runs_appear_and_deleted_ones_disappear(tab, finished_runs, play, app):
    play(*QUICK, run_id="20260201-000000-demo")
    expect(rows(tab)).to_have_count(4)
    expect(rows(tab).first).to_contain_text("Finished")
    app.store.delete(finished_runs[0])
    expect(rows(tab)).to_have_count(3)


def test_table_scrolls_in_its_frame_on_a_phone(open_page, finished_runs):
    page = open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page.get_by_role("tab", name="Runs").click()
    expect(rows(page)).to_have_count(3)
    tick(page, finished_runs[0])
    tick(page, finished_runs[1])
    wait_for(lambda: len(curves(page)) == 2, "the curves")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    card = page.locator("#runs .runs > div").bounding_box()
    for control in page.locator("#runs :is(select, button, input, .differences, .runs-scroll):visible").all():
        if not control.evaluate("(one) => Boolean(one.closest('.runs-scroll table'))"):
            box = control.bounding_box()
            assert box["x"] + box["width"] <= card["x"] + card["width"], control.evaluate("(one) => one.outerHTML")


def test_table_works_by_keyboard(tab, finished_runs):
    tab.get_by_role("checkbox", name=f"Compare {finished_runs[0].id}").focus()
    tab.keyboard.press("Space")
    wait_for(lambda: len(curves(tab)) == 1, "the curve")
    expect(tab.get_by_role("checkbox", name=f"Compare {finished_runs[0].id}")).to_be_focused()
    tab.get_by_role("link", name=finished_runs[0].id).press("Enter")
    expect(tab.locator("#live [data-part=runs]")).to_have_value(re.compile(finished_runs[0].id))
