"""The live panel on faked runs: charts survive updates, reloads and a killed app; failures are explained."""

import json
import re
import signal
import time

import pytest
from PIL import Image, ImageSequence
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


def wait_for_points(page: Page, more_than: int = 0) -> list[float]:
    """The training curve, once it has more than `more_than` points."""
    wait_for(lambda: len(points(page, "loss", 0)) > more_than, f"more than {more_than} points")
    return points(page, "loss", 0)


def test_empty_page_shows_what_to_do(open_page):
    page = open_page()
    expect(page.locator("#live")).to_contain_text("What would you like to do first?")
    expect(page.locator("#live button:visible")).to_have_text(["Start the demo", "Record my voice", "Add recordings"])
    assert not page.evaluate("'Plotly' in window"), "it is loaded for the first chart"
    page.get_by_role("button", name="Record my voice").click()
    expect(page.locator(".data [data-part=record]")).to_be_visible()


def test_zoom_and_hidden_curves_survive_new_points(open_page, play):
    play(*LONG)
    page = open_page()
    wait_for_points(page, 5)
    page.evaluate("Plotly.relayout(document.querySelector('#live [data-part=loss]'), {'xaxis.range': [2, 4]})")
    page.evaluate("Plotly.restyle(document.querySelector('#live [data-part=loss]'), {visible: 'legendonly'}, [1])")
    before = len(points(page, "loss", 0))
    seen = wait_for_points(page, before + 20)
    assert axis(page) == [2, 4]
    assert page.evaluate("document.querySelector('#live [data-part=loss]').data[1].visible") == "legendonly"
    assert seen == sorted(set(seen)) and seen[0] == 1
    page.reload()
    wait_for_points(page, 5)
    hidden = "document.querySelector('#live [data-part=loss]').data.map((one) => one.visible)"
    assert page.evaluate(hidden) == [True, "legendonly", False], "a curve that was switched off stays off"


def test_reload_and_second_window_show_the_whole_history(open_page, play):
    run = play(*LONG)
    page = open_page(f"?run={run.id}")
    before = wait_for_points(page, 10)
    page.reload()
    assert wait_for_points(page, len(before))[: len(before)] == before
    assert wait_for_points(open_page(), len(before))[: len(before)] == before


def test_open_page_reconnects_to_a_restarted_app(open_page, play, app):
    play(*LONG)
    page = open_page()
    before = wait_for_points(page, 3)
    app.kill(signal.SIGKILL)
    expect(page.get_by_text("The app is not responding")).to_be_visible()
    app.start()
    expect(page.get_by_text("The app is not responding")).to_be_hidden()
    seen = wait_for_points(page, len(before) + 5)
    assert seen == list(range(1, len(seen) + 1)), "nothing missing, nothing twice"
    expect(status(page)).to_have_text("Running")


def open_page_on_killed_worker(open_page, play, after: int) -> tuple[Page, Run]:
    """Open a page on a run, and kill its worker once more than `after` points are drawn."""
    run = play(*LONG)
    page = open_page()
    wait_for_points(page, after)
    processes.kill_worker(run)
    expect(status(page)).to_have_text("Interrupted")
    return page, run


def test_killed_worker_can_be_resumed(open_page, play):
    page, _ = open_page_on_killed_worker(open_page, play, 3)
    expect(page.locator("#live [role=alert]").filter(has_text="killed")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.get_by_role("button", name="Stop and save")).to_be_hidden()
    assert len(points(page, "loss", 0)) > 3


def test_resume_redraws_the_rewound_curve(open_page, play):
    page, run = open_page_on_killed_worker(open_page, play, 12)
    play("--steps", "2000", "--pause", "0.1", "--from-step", "5", run=run)
    expect(status(page)).to_have_text("Running")
    seen = wait_for_points(page, 15)
    assert seen == list(range(1, len(seen) + 1))


def test_failed_run_shows_remedy_and_traceback(open_page, play):
    play("--fail", "--pause", "0.05")
    page = open_page()
    problem = page.locator("#live [data-part=error]")
    expect(problem).to_contain_text("metadata.csv names 3 clips that do not exist.")
    expect(problem).to_contain_text("Put the files beside metadata.csv")
    expect(problem.locator("pre")).to_be_hidden()
    problem.get_by_text("Technical details").click()
    expect(problem.locator("pre")).to_contain_text("<b>worker.py</b>")


def test_finished_run_opens_in_the_transcribe_tab(open_page, play):
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
    expect(page).to_have_url(re.compile(rf"[?&]run={older.id}"))


def test_sample_errors_are_marked_and_html_is_escaped(open_page, play):
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


def test_stop_and_save_leaves_a_model(open_page, play):
    run = play(*LONG)
    page = open_page()
    wait_for_points(page, 2)
    page.get_by_role("button", name="Stop and save").click()
    expect(page.locator("#live [data-part=outcome]")).to_contain_text(re.compile(r"Stopped and saved at step \d+\."))
    expect(page.get_by_role("button", name="Start training")).to_be_enabled()
    assert run.has_flag(STOP) and run.has_model()


def test_cancel_needs_confirmation_and_keeps_only_the_history(open_page, play):
    run = play(*LONG)
    page = open_page()
    wait_for_points(page, 2)
    page.get_by_role("button", name="Cancel").click()
    assert not run.has_flag(CANCEL)
    page.get_by_role("button", name="Cancel for good?").click()
    expect(page.locator("#live [data-part=outcome]")).to_contain_text("Cancelled")
    expect(page.get_by_role("button", name="Open Transcribe")).to_be_hidden()
    assert not run.has_model() and len(points(page, "loss", 0)) > 2


def test_cancel_is_confirmed_by_keyboard(open_page, play):
    play(*LONG)
    page = open_page()
    wait_for_points(page, 2)
    page.get_by_role("button", name="Cancel").press("Enter")
    sure = page.get_by_role("button", name="Cancel for good?")
    expect(sure).to_be_focused()
    expect(sure).to_be_enabled()
    page.keyboard.press("Enter")
    expect(page.locator("#live [data-part=outcome]")).to_contain_text("Cancelled")


def test_log_follows_the_run(open_page, play):
    play(*LONG)
    page = open_page()
    page.get_by_text("Show the log").click()
    log = page.locator("#live [data-part=tail]")
    expect(log).to_contain_text("step 3 of 2000")
    expect(log).to_contain_text("step 30 of 2000")


def expect_no_run(page):
    for part in (".actions", ".pill", "[data-part=charts]", "[data-part=log]"):
        expect(page.locator(f"#live {part}")).to_be_hidden()


def test_deleted_run_leaves_no_actions(open_page, play, app):
    run = play(*SHORT)
    page = open_page(f"?run={run.id}")
    expect(status(page)).to_have_text("Finished")
    app.store.delete(run)
    expect(page.locator("#live [role=alert]").filter(has_text="There is no run")).to_be_visible()
    expect_no_run(page)


def test_unknown_run_shows_a_notice(open_page, play):
    run = play(*SHORT)
    page = open_page("?run=nothing")
    expect(page.locator("#live [role=alert]").filter(has_text="There is no run 'nothing'")).to_be_visible()
    expect_no_run(page)
    page.locator("#live [data-part=runs]").select_option(run.id)
    expect(page.locator("#live [role=alert]").filter(has_text="There is no run")).to_be_hidden()
    expect(status(page)).to_have_text("Finished")
    expect(page).to_have_url(re.compile(rf"[?&]run={run.id}"))
    expect(page.locator("#live .actions")).to_be_visible()


def test_page_fits_a_phone(open_page, play):
    play(*LONG)
    page = open_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme="dark")
    wait_for_points(page, 3)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("tab", name="Transcribe").click()
    expect(page.get_by_role("button", name="Record", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_menu_and_buttons_stay_on_the_screen(open_page, play, width):
    play(*LONG)
    page = open_page(viewport={"width": width, "height": 844})
    wait_for_points(page, 2)
    page.locator("#live [data-part=more] summary").click()
    card = page.locator("#live .live").bounding_box()
    for button in page.locator("#live .actions button:visible, #live .actions summary").all():
        box, words = button.bounding_box(), button.inner_text()
        assert box["x"] >= card["x"] - 1, words
        assert box["x"] + box["width"] <= card["x"] + card["width"] + 1, words


def test_charts_follow_the_colour_scheme(open_page, play):
    play(*LONG)
    page = open_page(color_scheme="light")
    wait_for_points(page, 2)
    colour = "document.querySelector('#live [data-part=loss]').layout.font.color"
    light = page.evaluate(colour)
    page.evaluate("document.body.classList.toggle('dark')")
    wait_for(lambda: page.evaluate(colour) != light, "another colour")


def open_menu(page: Page, name: str):
    """Open the menu and return one of its buttons."""
    page.locator("#live [data-part=more] summary").click()
    return page.get_by_role("button", name=name)


def test_settings_of_a_run_fill_the_form(open_page, play):
    """The form takes them over, so that one of them can be changed."""
    run = play(*SHORT)
    write_json(run.config_path, run.config().replace({"learning_rate": 0.00123, "seed": 7}).to_dict())
    page = open_page(f"?run={run.id}")
    expect(status(page)).to_have_text("Finished")
    open_menu(page, "Fill the form with its settings").click()
    expect(page.locator("#field-learning_rate input")).to_have_value("0.00123")
    page.get_by_text("Show the command").click()
    expect(page.locator("#command textarea")).to_have_value(re.compile("learning_rate=0.00123.*seed=7"))


def test_delete_needs_confirmation(app, open_page, play):
    run, kept = play(*SHORT), play(*SHORT)
    page = open_page(f"?run={run.id}")
    expect(status(page)).to_have_text("Finished")
    open_menu(page, "Delete the run").click()
    page.get_by_role("button", name="Delete it for good?").click()
    expect(page.locator("#live [data-part=runs]")).to_have_value(kept.id)
    assert [one.id for one in app.store.all()] == [kept.id] and run.id not in page.url


def test_metrics_are_downloaded_as_csv(open_page, play):
    run = play(*SHORT)
    page = open_page(f"?run={run.id}")
    expect(status(page)).to_have_text("Finished")
    with page.expect_download() as download:
        open_menu(page, "Download its metrics").click()
    assert download.value.suggested_filename == f"{run.id}.csv"
    lines = download.value.path().read_text().splitlines()
    assert lines[0] == "step,epoch,time,series,value" and sum(",train/loss," in line for line in lines) == 12


def zoom(page: Page) -> list[float]:
    """Zoom into the loss by dragging over it; return the steps that are shown."""
    box = page.locator("#live [data-part=loss] .nsewdrag").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.2 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], y, steps=5)
    page.mouse.up()
    wait_for(lambda: not is_unzoomed(page), "zoom")
    return axis(page)


def is_unzoomed(page: Page) -> bool:
    return page.evaluate("document.querySelector('#live [data-part=loss]').layout.xaxis.autorange")


def test_zoom_survives_ten_updates_and_smoothing(open_page, play):
    play(*LONG)
    page = open_page()
    wait_for_points(page, 10)
    seen = zoom(page)
    for _ in range(10):
        wait_for_points(page, len(points(page, "loss", 0)))
    assert axis(page) == seen
    page.locator("#live [data-part=smoothing]").fill("0.9")
    wait_for(lambda: len(points(page, "loss", 2)) > 10, "the smoothed curve")
    assert axis(page) == seen
    before = len(points(page, "loss", 2))
    wait_for(lambda: len(points(page, "loss", 2)) > before + 5, "the smoothed curve to grow")
    assert points(page, "loss", 2) == points(page, "loss", 0)
    page.locator("#live [data-part=axis]").select_option("epochs")
    wait_for(lambda: is_unzoomed(page), "another axis to be shown without zoom")
    assert page.locator("#live .modebar-btn").count() == 0, "no chart offers to send itself to another company"
    reset = page.locator("#live figure:has([data-part=loss])").get_by_role("button", name="Show all")
    expect(reset).to_be_hidden()
    zoom(page)
    reset.press("Enter")
    wait_for(lambda: is_unzoomed(page), "the whole chart")
    expect(reset).to_be_hidden()


def test_axes_and_folded_charts(open_page, play):
    play(*LONG)
    page = open_page()
    wait_for_points(page, 5)
    title = "document.querySelector('#live [data-part=loss]').layout.xaxis.title.text"
    page.locator("#live [data-part=axis]").select_option("time")
    wait_for(lambda: page.evaluate(title) == "elapsed seconds", "the axis")
    page.get_by_label("Logarithmic").check()
    assert page.evaluate("document.querySelector('#live [data-part=loss]').layout.yaxis.type") == "log"
    assert page.evaluate("document.querySelector('#live [data-part=rates]').layout.yaxis.type") == "linear", "0 is seen"
    page.get_by_text("Learning rate, gradient norm, speed and memory").click()
    wait_for(lambda: len(points(page, "learning_rate", 0)) > 5, "the learning rate")
    count = len(points(page, "learning_rate", 0))
    wait_for(lambda: len(points(page, "learning_rate", 0)) > count, "it to grow")
    page.reload()
    wait_for_points(page, 5)
    assert page.evaluate(title) == "elapsed seconds", "the choice is remembered"


def test_best_evaluation_is_marked(open_page, play):
    play(*SHORT)
    page = open_page()
    expect(status(page)).to_have_text("Finished")
    marks = "document.querySelector('#live [data-part=rates]').layout?.annotations.map((one) => [one.text, one.x])"
    wait_for(lambda: page.evaluate(marks) == [["best", 12]], "the mark")


def test_slider_shows_earlier_evaluations(open_page, play):
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


def test_samples_are_played_and_saved_as_a_film(open_page, play):
    run = play(*SHORT)
    page = open_page()
    shown = page.locator("#live [data-part=step-shown]")
    expect(shown).to_have_text("step 12, the latest")
    page.get_by_role("button", name="Play as a film").click()
    expect(shown).to_have_text("step 2")
    page.get_by_role("button", name="Stop the film").click()
    page.get_by_role("button", name="Play as a film").click()
    expect(shown).to_have_text("step 12, the latest")
    expect(page.get_by_role("button", name="Play as a film")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the film (GIF)").click()
    assert download.value.suggested_filename == f"{run.id}.gif"
    with Image.open(download.value.path()) as film:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
    assert len(frames) == 6 and frames[0].size == frames[-1].size
    wrong = (0xFD, 0xE6, 0x8A)  # the ground of a wrong word
    assert [
        any(near(colour, wrong) for _, colour in frame.getcolors(1 << 20)) for frame in (frames[0], frames[-1])
    ] == [
        True,
        False,
    ]


def near(colour, other):
    return all(abs(one - two) < 8 for one, two in zip(colour, other, strict=True))


def test_sample_clip_plays_and_stops(open_page, play, app):
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
    expect(page.locator("#live [data-part=notice]")).to_contain_text("can no longer be played")


DOWNLOADS = {
    "Download its charts (PNG)": (".png", b"\x89PNG"),
    "Download its charts (HTML)": (".html", b"<!doctype html>"),
    "Download its settings (JSON)": (".json", b"{"),
    "Download the whole run (ZIP)": (".zip", b"PK"),
}


def test_downloads_of_a_run(open_page, play, new_page, tmp_path):
    run = play(*SHORT)
    page = open_page()
    expect(status(page)).to_have_text("Finished")
    wait_for(lambda: len(points(page, "rates", 0)) > 1, "the charts")
    for name, (suffix, begins) in DOWNLOADS.items():
        with page.expect_download() as download:
            open_menu(page, name).click()
        assert download.value.suggested_filename == f"{run.id}{suffix}"
        download.value.save_as(tmp_path / f"taken{suffix}")
        assert (tmp_path / f"taken{suffix}").read_bytes().startswith(begins), name
    open_menu(page, "Show its command line").click()
    expect(page.locator("#live [data-part=command-line]")).to_contain_text("python -m asrkit train --preset demo")
    alone = new_page(offline=True)
    alone.goto((tmp_path / "taken.html").as_uri())
    expect(alone.locator(".main-svg").first).to_be_visible()
    assert alone.evaluate("document.querySelector('.js-plotly-plot').data[0].x.length") == 12


def test_two_browsers_show_the_same_run(open_page, play):
    run = play(*LONG)
    one, other = open_page(), open_page(f"?run={run.id}")
    wait_for_points(one, 5)
    assert wait_for_points(other, 5)[:5] == points(one, "loss", 0)[:5]
    one.get_by_role("button", name="Stop and save").click()
    for page in (one, other):
        expect(status(page)).to_have_text("Stopped")
        expect(page.locator("#live [data-part=outcome]")).to_contain_text("Stopped and saved")


@pytest.fixture
def queued_runs(play, app):
    """Three runs that are queued behind a fourth."""
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


def queue_of(page: Page) -> list[str]:
    return page.locator("#live [data-queued] a").all_inner_texts()


def test_queue_is_reordered_by_keyboard_and_by_two_visitors(open_page, app, queued_runs):
    one, other = open_page(), open_page()
    wait_for(lambda: queue_of(one) == queue_of(other) == ["a", "b", "c"], "the queue")
    up = one.get_by_role("button", name="Move c up in the queue")
    up.focus()
    one.keyboard.press("Enter")
    wait_for(lambda: queue_of(one) == ["a", "c", "b"], "c before b")
    expect(up).to_be_focused()
    one.keyboard.press("Enter")
    one.keyboard.press("Enter")
    wait_for(lambda: queue_of(one) == queue_of(other) == ["c", "a", "b"], "c first, seen by both")
    expect(up).to_be_focused()
    expect(up).to_have_attribute("aria-disabled", "true")
    for page in (one, other):  # both saw the same line
        page.evaluate("document.querySelector('[aria-label=\"Move a down in the queue\"]').click()")
    wait_for(lambda: queue_of(one) == queue_of(other) == ["c", "b", "a"], "a moved once")
    other.get_by_role("button", name="Move a to the front of the queue").click()
    wait_for(lambda: queue_of(one) == ["a", "c", "b"], "a first")
    other.get_by_role("button", name="Move a to the end of the queue").click()
    wait_for(lambda: queue_of(one) == ["c", "b", "a"], "a last")
    other.get_by_role("button", name="Remove b from the queue").dblclick()
    wait_for(lambda: queue_of(one) == ["c", "a"], "b gone")
    assert [run.id for run in queue.list_queue(app.store)] == ["c", "a"]


def test_focus_moves_to_something_visible_after_an_action(open_page, play, app, queued_runs):
    page = open_page("?run=busy")
    wait_for_points(page, 2)
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
    expect(status(page)).to_have_text("Queued")
    wait_for(lambda: page.evaluate(focused) == "status", "the focus on the status")
    page.locator("#live [data-part=runs]").select_option("busy")
    page.get_by_role("button", name="Stop and save").press("Enter")
    expect(status(page)).to_have_text(re.compile("Stopp"))
    wait_for(lambda: page.evaluate(focused) == "status", "the focus on the status")


def write_heartbeat(run, age_s):
    run.heartbeat_path.write_text(json.dumps({"beat": time.monotonic() - age_s, "longest_s": 100}))


def test_silent_worker_shows_a_warning(open_page, play, app):
    run = play(*LONG)
    page = open_page()
    wait_for_points(page, 2)
    write_heartbeat(run, 60)
    silence = page.locator("#live [data-part=silence]")
    expect(silence).to_contain_text(re.compile(r"No heartbeat for 1 min.* Press Cancel to end it; it is killed if"))
    page.get_by_role("tab", name="Runs").click()
    expect(page.locator("#runs .pill").first).to_have_text("Running, not responding")
    page.get_by_role("tab", name="Train").click()
    write_heartbeat(run, 0)
    expect(silence).to_be_hidden()


def test_model_of_an_ended_run_is_offered_for_download_export_and_publication(open_page, play):
    run, failed = play(*SHORT, run_id="one"), play(*SHORT, "--fail", run_id="two")
    wait_for(lambda: lifecycle.get_status(run) == lifecycle.FINISHED, "the run")
    page = open_page(f"?run={run.id}")
    outcome, section = page.locator("#live [data-part=outcome]"), page.locator("#train-export")
    with page.expect_download() as download:
        outcome.get_by_role("button", name="Download the model (").click()
    assert download.value.suggested_filename == f"{run.id}-model.zip"
    outcome.get_by_role("button", name="Use it elsewhere").click()
    expect(section.get_by_text(f"python -m asrkit export {run.id} page.zip --format web")).to_be_visible()
    section.get_by_label("Name", exact=True).fill("nobody")
    section.get_by_role("button", name="Preview the card").click()
    expect(section.get_by_label("Model card")).to_contain_text('from_pretrained("nobody")')
    section.get_by_role("button", name="Publish", exact=True).click()
    expect(section.get_by_role("alert")).to_have_text("'nobody' is not a valid name of a model; write OWNER/NAME.")
    page.locator("#live [data-part=runs]").select_option(failed.id)
    expect(section.get_by_text("Use it elsewhere")).to_be_hidden()
