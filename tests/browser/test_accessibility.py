"""The page for everybody: axe finds nothing on any tab, and the main job is done by keyboard alone."""

import re
from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.transcribe_page import open_tab, part, upload

PROJECT = Path(__file__).resolve().parents[2]
AXE = PROJECT / "tests/scripts/node_modules/axe-core/axe.min.js"
CLIP = PROJECT / "assets/demo/callsigns/audio/train-041.ogg"
LOOKS = list(product(("light", "dark"), (390, 1366)))
MAX_STOPS = 60  # of the Tab key on one tab of the page
FIND = """async () => {
  for (const animation of document.getAnimations()) animation.finish();
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) =>
    `${id}: ${node.target.join(" ")}: ${(node.any[0] ?? node.all[0] ?? node.none[0])?.message}`));
}"""
FOCUS = """() => {
  const focused = document.activeElement, isRinged = (node) => node && getComputedStyle(node).outlineStyle !== "none";
  return {
    label: focused.getAttribute("aria-label") || focused.textContent.trim().replace(/\\s+/g, " ") || focused.tagName,
    isLost: focused === document.body || !focused.offsetParent,
    isRinged: isRinged(focused) || isRinged(focused.closest(".wrap")),
  };
}"""

needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (npm ci in tests/scripts)")


def expect_no_findings(page: Page) -> None:
    """Let axe look at the page in light and dark, on a phone and a laptop."""
    findings = {}
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for scheme, width in LOOKS:
        page.set_viewport_size({"width": width, "height": 768})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_function("dark => document.body.classList.contains('dark') === dark", arg=scheme == "dark")
        for finding in page.evaluate(FIND):
            findings.setdefault(finding, []).append(f"{scheme} {width}")
    assert findings == {}


@needs_axe
def test_first_steps_and_settings_have_no_findings(open_page):
    page = open_page()
    expect(page.get_by_role("button", name="Start the demo")).to_be_visible()
    for name in ("Advanced", "Show all settings", "Show the command"):
        page.get_by_role("button", name=name).click()
    expect(page.locator("#command textarea")).to_be_visible()
    expect_no_findings(page)


@needs_axe
def test_finished_run_has_no_findings(open_page, play):
    run = play("--steps", "12")
    page = open_page(f"?run={run.id}")
    expect(page.locator("#live [data-part=loss] .main-svg").first).to_be_visible()
    expect(page.locator("#live [data-part=samples] tbody tr").first).to_be_visible()
    page.evaluate("document.querySelectorAll('#live details').forEach((details) => { details.open = true; })")
    expect(page.locator("#live [data-part=tail]")).to_contain_text("step 12 of 12")
    expect_no_findings(page)


@needs_axe
def test_loaded_dataset_has_no_findings(open_page):
    page = open_page()
    page.get_by_role("tab", name="Data").click()
    page.locator("#data").get_by_role("button", name="callsigns").click()
    expect(page.locator("#data [data-part=facts]")).to_contain_text("clips")
    expect_no_findings(page)


@needs_axe
def test_compared_runs_have_no_findings(open_page, play):
    runs = [play("--steps", steps) for steps in ("6", "12")]
    page = open_page()
    page.get_by_role("tab", name="Runs").click()
    for run in runs:
        page.get_by_role("checkbox", name=f"Compare {run.id}", exact=True).check()
    expect(page.locator("#runs [data-part=plot] .main-svg").first).to_be_visible()
    expect(page.locator("#runs [data-part=differences]")).to_be_visible()
    expect_no_findings(page)


@needs_axe
def test_transcript_has_no_findings(open_page):
    page = open_tab(open_page())
    upload(page, CLIP)
    expect(part(page, "words")).not_to_be_empty()
    expect(part(page, "done")).to_be_visible()
    page.evaluate("document.querySelectorAll('#transcribe details').forEach((details) => { details.open = true; })")
    expect_no_findings(page)


def go_to(page: Page, label: str) -> None:
    """Press Tab until the focus is on what has this label, and check that it can be seen at each stop."""
    for _ in range(MAX_STOPS):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert not focus["isLost"] and focus["isRinged"], focus
        if re.match(label, focus["label"]):
            return
    raise AssertionError(f"Tab does not come to {label}")


def expect_focus(page: Page, selector: str) -> None:
    expect(page.locator(f"{selector}:focus")).to_be_visible()


def test_demo_is_started_stopped_and_tried_by_keyboard(open_page):
    page = open_page()
    expect(page.get_by_role("button", name="Start the demo")).to_be_visible()
    go_to(page, "Start the demo")
    page.keyboard.press("Enter")
    expect_focus(page, "#live [data-part=status]")
    expect(page.locator("#live [data-part=line]")).to_contain_text(re.compile(r"step \d+ of \d+ · "), timeout=600_000)
    expect(page).to_have_title(re.compile(r"^\d+ % · asrkit$"))
    assert "dasharray" in page.locator("link[rel=icon]").get_attribute("href")
    go_to(page, "Next")
    for hint, explained in enumerate(("progress", "charts"), 1):
        expect(page.locator("#live [data-part=tour-count]")).to_have_text(f"{hint} of 3")
        expect(page.locator(f"#live [data-part={explained}].explained")).to_have_count(1)
        page.keyboard.press("Enter")
        expect_focus(page, "#live [data-part=tour-next]")
    expect(page.locator("#live [data-action=stop].explained")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#live [data-part=tour]")).to_be_hidden()
    expect_focus(page, "#live [data-part=status]")
    go_to(page, "Stop and save")
    page.keyboard.press("Enter")
    expect_focus(page, "#live [data-part=status]")
    expect(page.locator("#live [data-part=outcome]")).to_contain_text("Stopped and saved", timeout=600_000)
    expect(page).to_have_title("asrkit")
    assert "dasharray" not in page.locator("link[rel=icon]").get_attribute("href")
    go_to(page, "Open Transcribe")
    page.keyboard.press("Enter")
    expect_focus(page, "[role=tab][data-tab-id=transcribe]")
    page.keyboard.press("ArrowLeft")
    expect_focus(page, "[role=tab][data-tab-id=runs]")
    page.keyboard.press("ArrowRight")
    go_to(page, "Choose audio files")
    part(page, "files").evaluate("(input) => input.addEventListener('click', () => { window.asked = true; })")
    page.keyboard.press("Enter")
    page.wait_for_function("window.asked")  # the dialog of the browser itself is no part of the page
    upload(page, CLIP)
    expect(part(page, "words")).not_to_be_empty()
    expect_focus(page, "#recorder [data-part=pick]")
