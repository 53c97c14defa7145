"""The live panel on faked runs: what is drawn survives updates, reloads and a killed app; what failed is said."""

import json
import re
import signal
import time

import pytest
from playwright.sync_api import Page, expect

from asrkit import config
from asrkit.files import write_json
from asrkit.runs import lifecycle, processes, queue, supervisor
from asrkit.runs.run import CANCEL, STOP, Run
from tests.support.waiting import wait_for

LONG = ("--steps", "2000", "--pause", "0.1")
SHORT = ("--steps", "12", "--pause", "0.05")


def status(page: Page):
    return page.locator("#live [data-part=status]")


def points(page: Page, plot: str, curve: int) -> list[float]:
    """Steps of the points of a curve as Plotly holds them; empty before it is drawn."""
    return page.evaluate(f"document.querySelector('#live [data-part={plot}]')?.data?.[{curve}]?.x ?? []")


def axis(page: Page) -> list[float]:
    return page.evaluate("document.querySelector('#live [data-part=loss]').layout.xaxis.range")


def drawn(page: Page, more_than: int = 0) -> list[float]:
    """The training curve, once it has more points than that."""
    wait_for(lambda: len(points(page, "loss", 0)) > more_than, f"more than {more_than} points")
    return points(page, "loss", 0)


def test_an_empty_page_says_what_to_do(open_page):
    page = open_page()
    expect(page.locator("#live")).to_contain_text("No run yet. Press Start training")
    expect(page.locator("#live button:visible")).to_have_count(0)


def test_zoom_and_hidden_curves_survive_new_points(open_page, play):
    play(*LONG)
    page = open_page()
    drawn(page, 5)
    page.evaluate("Plotly.relayout(document.querySelector('#live [data-part=loss]'), {'xaxis.range': [2, 4]})")
    page.evaluate("Plotly.restyle(document.querySelector('#live [data-part=loss]'), {visible: 'legendonly'}, [1])")
    before = len(points(page, "loss", 0))
    seen = drawn(page, before + 20)
    assert axis(page) == [2, 4]
    assert page.evaluate("document.querySelector('#live [data-part=loss]').data[1].visible") == "legendonly"
    assert seen == sorted(set(seen)) and seen[0] == 1
    page.reload()
    drawn(page, 5)
    hidden = "document.querySelector('#live [data-part=loss]').data.map((one) => one.visible)"
    assert page.evaluate(hidden) == [True, "legendonly", False], "a curve that was switched off stays off"


def test_a_reload_and_another_window_see_the_whole_history(open_page, play):
    run = play(*LONG)
    page = open_page(f"?run={run.id}")
    before = drawn(page, 10)
    page.reload()
    assert drawn(page, len(before))[: len(before)] == before
    assert drawn(open_page(), len(before))[: len(before)] == before


def test_a_killed_app_that_is_started_again_is_found_by_the_open_page(open_page, play, app):
    play(*LONG)
    page = open_page()
    before = drawn(page, 3)
    app.kill(signal.SIGKILL)
    expect(page.get_by_text("The app does not answer")).to_be_visible()
    app.start()
    expect(page.get_by_text("The app does not answer")).to_be_hidden()
    seen = drawn(page, len(before) + 5)
    assert seen == list(range(1, len(seen) + 1)), "nothing missing, nothing twice"
    expect(status(page)).to_have_text("Running")


def killed(open_page, play, after: int) -> tuple[Page, Run]:
    """A page on a run whose worker was killed when more than that many points were drawn."""
    run = play(*LONG)
    page = open_page()
    drawn(page, after)
    processes.kill_worker(run)
    expect(status(page)).to_have_text("Interrupted")
    return page, run


def test_a_worker_that_was_killed_can_be_resumed(open_page, play):
    page, _ = killed(open_page, play, 3)
    expect(page.locator("#live [role=alert]").filter(has_text="killed")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_role("button", name="Stop and save")).to_be_hidden()
    assert len(points(page, "loss", 0)) > 3


def test_a_resume_draws_the_rewound_curve_anew(open_page, play):
    page, run = killed(open_page, play, 12)
    play("--steps", "2000", "--pause", "0.1", "--from-step", "5", run=run)
    expect(status(page)).to_have_text("Running")
    seen = drawn(page, 15)
    assert seen == list(range(1, len(seen) + 1))


def test_a_failed_run_says_what_to_do_and_shows_its_traceback(open_page, play):
    play("--fail", "--pause", "0.05")
    page = open_page()
    problem = page.locator("#live [data-part=error]")
    expect(problem).to_contain_text("metadata.csv names 3 clips that do not exist.")
    expect(problem).to_contain_text("Put the files beside metadata.csv")
    expect(problem.locator("pre")).to_be_hidden()
    problem.get_by_text("Technical details").click()
    expect(problem.locator("pre")).to_contain_text("<b>worker.py</b>")


def test_a_finished_run_leads_to_the_transcribe_tab(open_page, play):
    older = play(*SHORT, run_id="20260101-000000-demo")
    wait_for(lambda: lifecycle.get_status(older) == "finished", "the older run")
    newer = play(*SHORT, run_id="20260202-000000-demo")
    page = open_page(f"?run={older.id}")
    expect(page.locator("#live [data-part=outcome]")).to_contain_text(
        re.compile(r"Finished\. WER \d+\.\d % \(best at step 12\)\. Talk to it in the Transcribe tab\.")
    )
    wait_for(lambda: lifecycle.get_status(newer) == "finished", "the newer run")
    page.get_by_role("button", name="Open Transcribe").click()
    expect(page.locator("#model input")).to_have_value(f"Run {older.id}")
    assert page.url.endswith(f"?run={older.id}")


def test_samples_are_marked_and_nothing_in_them_runs(open_page, play):
    play(*SHORT)
    page = open_page()
    expect(status(page)).to_have_text("Finished")
    page.locator("#live [data-part=steps]").fill("0")
    expect(page.locator("#live [data-part=caption]")).to_contain_text("Step 2 · 100 clips · WER")
    expect(page.locator("#live [data-part=step-shown]")).to_have_text("step 2")
    samples = page.locator("#live [data-part=samples]")
    expect(samples.locator("mark, del, ins").first).to_be_visible()
    expect(samples).to_contain_text("<script>window.hacked = 1</script>")
    assert page.evaluate("window.hacked") is None


def test_stop_and_save_is_heard(open_page, play):
    run = play(*LONG)
    page = open_page()
    drawn(page, 2)
    page.get_by_role("button", name="Stop and save").click()
    expect(page.locator("#live [data-part=outcome]")).to_contain_text(re.compile(r"Stopped and saved at step \d+\."))
    expect(page.get_by_role("button", name="Start training")).to_be_enabled()
    assert run.has_flag(STOP) and run.has_model()


def test_cancel_asks_twice_and_keeps_the_history_alone(open_page, play):
    run = play(*LONG)
    page = open_page()
    drawn(page, 2)
    page.get_by_role("button", name="Cancel").click()
    assert not run.has_flag(CANCEL)
    page.get_by_role("button", name="Cancel for good?").click()
    expect(page.locator("#live [data-part=outcome]")).to_contain_text("Cancelled")
    expect(page.get_by_role("button", name="Open Transcribe")).to_be_hidden()
    assert not run.has_model() and len(points(page, "loss", 0)) > 2


def test_cancel_is_confirmed_by_keyboard(open_page, play):
    play(*LONG)
    page = open_page()
    drawn(page, 2)
    page.get_by_role("button", name="Cancel").press("Enter")
    sure = page.get_by_role("button", name="Cancel for good?")
    expect(sure).to_be_focused()
    expect(sure).to_be_enabled()
    page.keyboard.press("Enter")
    expect(page.locator("#live [data-part=outcome]")).to_contain_text("Cancelled")


def test_the_log_is_one_click_away_and_follows(open_page, play):
    play(*LONG)
    page = open_page()
    page.get_by_text("Show the log").click()
    log = page.locator("#live [data-part=tail]")
    expect(log).to_contain_text("step 3 of 2000")
    expect(log).to_contain_text("step 30 of 2000")


def nothing_of_a_run(page):
    for part in (".actions", ".pill", "[data-part=charts]", "[data-part=log]"):
        expect(page.locator(f"#live {part}")).to_be_hidden()


def test_a_run_that_is_deleted_under_the_page_leaves_nothing_to_press(open_page, play, app):
    run = play(*SHORT)
    page = open_page(f"?run={run.id}")
    expect(status(page)).to_have_text("Finished")
    app.store.delete(run)
    expect(page.locator("#live [role=alert]").filter(has_text="There is no run")).to_be_visible()
    nothing_of_a_run(page)


def test_a_run_that_does_not_exist_is_said(open_page, play):
    run = play(*SHORT)
    page = open_page("?run=nothing")
    expect(page.locator("#live [role=alert]").filter(has_text="There is no run 'nothing'")).to_be_visible()
    nothing_of_a_run(page)
    page.locator("#live [data-part=runs]").select_option(run.id)
    expect(page.locator("#live [role=alert]").filter(has_text="There is no run")).to_be_hidden()
    expect(status(page)).to_have_text("Finished")
    assert page.url.endswith(f"?run={run.id}")
    expect(page.locator("#live .actions")).to_be_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page, play):
    play(*LONG)
    page = open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme="dark")
    drawn(page, 3)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("tab", name="Transcribe").click()
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_the_menu_and_the_buttons_stay_on_the_screen(open_page, play, width):
    play(*LONG)
    page = open_page(viewport={"width": width, "height": 844})
    drawn(page, 2)
    page.locator("#live [data-part=more] summary").click()
    card = page.locator("#live .live").bounding_box()
    for button in page.locator("#live .actions button:visible, #live .actions summary").all():
        box, words = button.bounding_box(), button.inner_text()
        assert box["x"] >= card["x"] - 1, words
        assert box["x"] + box["width"] <= card["x"] + card["width"] + 1, words


def test_the_charts_follow_light_and_dark(open_page, play):
    play(*LONG)
    page = open_page(color_scheme="light")
    drawn(page, 2)
    colour = "document.querySelector('#live [data-part=loss]').layout.font.color"
    light = page.evaluate(colour)
    page.evaluate("document.body.classList.toggle('dark')")
    wait_for(lambda: page.evaluate(colour) != light, "another colour")


def more(page: Page, name: str):
    """A button of the menu, which is opened for it."""
    page.locator("#live [data-part=more] summary").click()
    return page.get_by_role("button", name=name)


def test_start_again_from_the_settings_of_a_run(open_page, play):
    """The form takes them over, so that one of them can be changed."""
    run = play(*SHORT)
    write_json(run.config_path, run.config().replace({"learning_rate": 0.00123, "seed": 7}).to_dict())
    page = open_page(f"?run={run.id}")
    expect(status(page)).to_have_text("Finished")
    more(page, "Fill the form with its settings").click()
    expect(page.locator("#field-learning_rate input")).to_have_value("0.00123")
    page.get_by_text("Show the command").click()
    expect(page.locator("#command textarea")).to_have_value(re.compile("learning_rate=0.00123.*seed=7"))


def test_a_run_is_deleted_after_a_second_click(app, open_page, play):
    run, kept = play(*SHORT), play(*SHORT)
    page = open_page(f"?run={run.id}")
    expect(status(page)).to_have_text("Finished")
    more(page, "Delete the run").click()
    page.get_by_role("button", name="Delete it for good?").click()
    expect(page.locator("#live [data-part=runs]")).to_have_value(kept.id)
    assert [one.id for one in app.store.all()] == [kept.id] and run.id not in page.url


def test_the_figures_are_downloaded_as_a_table(open_page, play):
    run = play(*SHORT)
    page = open_page(f"?run={run.id}")
    expect(status(page)).to_have_text("Finished")
    with page.expect_download() as download:
        more(page, "Download its metrics").click()
    assert download.value.suggested_filename == f"{run.id}.csv"
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "step,epoch,time,series,value" and sum(",train/loss," in line for line in lines) == 12


def zoomed(page: Page) -> list[float]:
    """Zoom into the loss by dragging over it, as a person does; -> the steps that are seen."""
    box = page.locator("#live [data-part=loss] .nsewdrag").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.2 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], y, steps=5)
    page.mouse.up()
    wait_for(lambda: not whole(page), "zoom")
    return axis(page)


def whole(page: Page) -> bool:
    return page.evaluate("document.querySelector('#live [data-part=loss]').layout.xaxis.autorange")


def test_a_zoom_by_hand_is_kept_over_ten_updates_and_over_smoothing(open_page, play):
    play(*LONG)
    page = open_page()
    drawn(page, 10)
    seen = zoomed(page)
    for _ in range(10):
        drawn(page, len(points(page, "loss", 0)))
    assert axis(page) == seen
    page.locator("#live [data-part=smoothing]").fill("0.9")
    wait_for(lambda: len(points(page, "loss", 2)) > 10, "the smoothed curve")
    assert axis(page) == seen
    before = len(points(page, "loss", 2))
    wait_for(lambda: len(points(page, "loss", 2)) > before + 5, "the smoothed curve to grow")
    assert points(page, "loss", 2) == points(page, "loss", 0)
    page.locator("#live [data-part=axis]").select_option("epochs")
    wait_for(lambda: whole(page), "another axis to be shown whole")


def test_axes_and_the_charts_behind_the_fold(open_page, play):
    play(*LONG)
    page = open_page()
    drawn(page, 5)
    title = "document.querySelector('#live [data-part=loss]').layout.xaxis.title.text"
    page.locator("#live [data-part=axis]").select_option("time")
    wait_for(lambda: page.evaluate(title) == "seconds of work", "the axis")
    page.get_by_label("Logarithmic").check()
    assert page.evaluate("document.querySelector('#live [data-part=loss]').layout.yaxis.type") == "log"
    assert page.evaluate("document.querySelector('#live [data-part=rates]').layout.yaxis.type") == "linear", "0 is seen"
    page.get_by_text("Learning rate, gradient norm, speed and memory").click()
    wait_for(lambda: len(points(page, "learning_rate", 0)) > 5, "the learning rate")
    count = len(points(page, "learning_rate", 0))
    wait_for(lambda: len(points(page, "learning_rate", 0)) > count, "it to grow")
    page.reload()
    drawn(page, 5)
    assert page.evaluate(title) == "seconds of work", "the choice is remembered"


def test_the_best_evaluation_is_marked(open_page, play):
    play(*SHORT)
    page = open_page()
    expect(status(page)).to_have_text("Finished")
    marks = "document.querySelector('#live [data-part=rates]').layout.annotations.map((one) => [one.text, one.x])"
    wait_for(lambda: page.evaluate(marks) == [["best", 12]], "the mark")


def test_dragging_through_evaluations_shows_the_words_appear(open_page, play):
    play(*SHORT)
    page = open_page()
    expect(status(page)).to_have_text("Finished")
    slider, samples = page.locator("#live [data-part=steps]"), page.locator("#live [data-part=samples]")
    expect(samples.locator("mark, del, ins")).to_have_count(0)
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#live [data-part=step-shown]")).to_have_text("step 2")
    expect(samples.locator("mark, del, ins").first).to_be_visible()
    page.keyboard.press("End")
    expect(page.locator("#live [data-part=step-shown]")).to_have_text("step 12, the latest")
    expect(samples.locator("mark, del, ins")).to_have_count(0)


def test_a_clip_is_played(open_page, play, app):
    import numpy as np
    import soundfile

    from asrkit.data import manifest

    run = play(*SHORT)
    path = app.store.root.parent / "clip.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(160_000) / 10), 16_000)
    row = manifest.Utterance(str(path), "november", 10.0)
    manifest.write(run.manifest_path("eval"), [row])
    page = open_page()
    expect(status(page)).to_have_text("Finished")
    first = page.get_by_role("button", name="Play the clip").first
    first.evaluate("(button, id) => { button.dataset.clip = id; }", row.id)
    first.click()
    expect(first).to_have_text("■")
    first.click()
    expect(first).to_have_text("▶")
    first.evaluate("(button) => { button.dataset.clip = 'nothing'; }")
    first.click()
    expect(page.locator("#live [data-part=notice]")).to_contain_text("cannot be played any more")


TAKEN = {
    "Download its charts (PNG)": (".png", b"\x89PNG"),
    "Download its charts (HTML)": (".html", b"<!doctype html>"),
    "Download its settings (JSON)": (".json", b"{"),
    "Download the whole run (ZIP)": (".zip", b"PK"),
}


def test_what_can_be_taken_away(open_page, play, browser, tmp_path):
    run = play(*SHORT)
    page = open_page()
    expect(status(page)).to_have_text("Finished")
    wait_for(lambda: len(points(page, "rates", 0)) > 1, "the charts")
    for name, (suffix, begins) in TAKEN.items():
        with page.expect_download() as download:
            more(page, name).click()
        assert download.value.suggested_filename == f"{run.id}{suffix}"
        download.value.save_as(tmp_path / f"taken{suffix}")
        assert (tmp_path / f"taken{suffix}").read_bytes().startswith(begins), name
    more(page, "Show its command line").click()
    expect(page.locator("#live [data-part=command-line]")).to_contain_text("python -m asrkit train --preset demo")
    alone = browser.new_context(offline=True).new_page()
    alone.goto((tmp_path / "taken.html").as_uri())
    expect(alone.locator(".main-svg").first).to_be_visible()
    assert alone.evaluate("document.querySelector('.js-plotly-plot').data[0].x.length") == 12
    alone.context.close()


def test_two_browsers_see_the_same_and_what_one_presses_both_see(open_page, play):
    run = play(*LONG)
    one, other = open_page(), open_page(f"?run={run.id}")
    drawn(one, 5)
    assert drawn(other, 5)[:5] == points(one, "loss", 0)[:5]
    one.get_by_role("button", name="Stop and save").click()
    for page in (one, other):
        expect(status(page)).to_have_text("Stopped")
        expect(page.locator("#live [data-part=outcome]")).to_contain_text("Stopped and saved")


@pytest.fixture
def in_line(play, app):
    """Three runs that wait for a fourth."""
    busy = play(*LONG, run_id="busy")
    runs = [
        app.store.create(
            config.load_preset("demo").config, name, lambda run, at=at: write_json(run.queue_path, {"place": at})
        )
        for at, name in enumerate(("a", "b", "c"))
    ]
    yield runs
    for run in runs:
        supervisor.stop(run)
    supervisor.stop(busy)


def line_of(page: Page) -> list[str]:
    return page.locator("#live [data-queued] a").all_inner_texts()


def test_the_line_is_put_in_order_by_keyboard_and_by_two_visitors(open_page, app, in_line):
    one, other = open_page(), open_page()
    wait_for(lambda: line_of(one) == line_of(other) == ["a", "b", "c"], "the line")
    up = one.get_by_role("button", name="Move c up in the queue")
    up.focus()
    one.keyboard.press("Enter")
    wait_for(lambda: line_of(one) == ["a", "c", "b"], "c before b")
    expect(up).to_be_focused()
    one.keyboard.press("Enter")
    one.keyboard.press("Enter")
    wait_for(lambda: line_of(one) == line_of(other) == ["c", "a", "b"], "c first, seen by both")
    expect(up).to_be_focused()
    expect(up).to_have_attribute("aria-disabled", "true")
    for page in (one, other):  # both saw the same line
        page.evaluate("document.querySelector('[aria-label=\"Move a down in the queue\"]').click()")
    wait_for(lambda: line_of(one) == line_of(other) == ["c", "b", "a"], "a moved once")
    other.get_by_role("button", name="Move a to the front of the queue").click()
    wait_for(lambda: line_of(one) == ["a", "c", "b"], "a first")
    other.get_by_role("button", name="Move a to the end of the queue").click()
    wait_for(lambda: line_of(one) == ["c", "b", "a"], "a last")
    other.get_by_role("button", name="Remove b from the queue").dblclick()
    wait_for(lambda: line_of(one) == ["c", "a"], "b gone")
    assert [run.id for run in queue.list_queue(app.store)] == ["c", "a"]


def test_the_focus_stays_where_something_is_after_an_action(open_page, play, app, in_line):
    page = open_page("?run=busy")
    drawn(page, 2)
    focused = "document.activeElement.dataset.part ?? document.activeElement.textContent"
    menu = page.locator("#live [data-part=more] summary")
    menu.press("Enter")
    page.get_by_role("button", name="Evaluate now").press("Enter")
    expect(menu).to_be_focused()
    page.locator("#live [data-part=runs]").select_option("a")
    page.get_by_role("button", name="Remove from queue").press("Enter")
    expect(status(page)).to_have_text("Stopped")
    wait_for(lambda: page.evaluate(focused) == "status", "the focus on the status")
    page.get_by_role("button", name="Resume").press("Enter")
    expect(status(page)).to_have_text("Waiting")
    wait_for(lambda: page.evaluate(focused) == "status", "the focus on the status")
    page.locator("#live [data-part=runs]").select_option("busy")
    page.get_by_role("button", name="Stop and save").press("Enter")
    expect(status(page)).to_have_text(re.compile("Stopp"))
    wait_for(lambda: page.evaluate(focused) == "status", "the focus on the status")


def beat(run, age_s):
    run.heartbeat_path.write_text(json.dumps({"beat": time.monotonic() - age_s, "longest_s": 100}))


def test_a_worker_that_gives_no_sign_of_life_is_told(open_page, play, app):
    run = play(*LONG)
    page = open_page()
    drawn(page, 2)
    beat(run, 60)
    silence = page.locator("#live [data-part=silence]")
    expect(silence).to_contain_text(re.compile(r"No sign of life for 1 min.* Cancel ends it, by force if need be"))
    page.get_by_role("tab", name="Runs").click()
    expect(page.locator("#runs .pill").first).to_have_text("Running, silent")
    page.get_by_role("tab", name="Train").click()
    beat(run, 0)
    expect(silence).to_be_hidden()
