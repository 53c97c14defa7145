"""README's pictures: `PYTHONPATH=.:tests python tests/browser/pictures.py RUNS_DIR CLIP FOLDER`.

Opens the app over a directory of runs, photographs the newest run in the Train tab, the Transcribe tab after it has
heard CLIP, and the Data tab after it has checked the demo's clips, in light and dark and on a phone.
"""

from __future__ import annotations

import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import FLAGS, App
from tests.support.talking import part, upload

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def main(runs_dir: Path, clip: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    app = App(runs_dir, log=Path(tempfile.mkdtemp()) / "app.log")
    app.start()
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            for name, screen, scheme in (("", WIDE, "light"), ("-dark", WIDE, "dark"), ("-phone", PHONE, "light")):
                page = browser.new_context(viewport=screen, color_scheme=scheme, is_mobile=screen is PHONE).new_page()
                photograph(page, app.url, clip, folder, name)
    finally:
        app.kill(signal.SIGTERM)


def photograph(page: Page, url: str, clip: Path, folder: Path, name: str) -> None:
    page.goto(url)
    expect(page.locator("#live .main-svg").first).to_be_visible(timeout=60_000)
    page.wait_for_timeout(1500)  # let the bars and curves come to rest
    page.screenshot(path=folder / f"train{name}.png", full_page=True)
    page.get_by_role("tab", name="Transcribe").click()
    upload(page, clip)
    expect(part(page, "note")).to_contain_text(re.compile("of sound ·"), timeout=60_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / f"transcribe{name}.png")
    page.get_by_role("tab", name="Data").click()
    page.get_by_role("button", name="callsigns (comes with asrkit)").click()
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("#data [data-part=verdict]")).to_be_visible(timeout=60_000)
    page.locator("[data-finding] summary").first.click()
    page.wait_for_timeout(500)
    page.screenshot(path=folder / f"data{name}.png", full_page=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
