"""From Stop to the text on the page, in a real Chromium whose microphone hears speech, as a share of the clip's length.

    python -m tests.benchmarks.recording [--model starter]

Clips of 2, 5 and 15 s, each recorded three times, as many words as fit; the last word ends as Stop is pressed. The page
counts: from the click until the words and the waveform under them stand there for good.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from asrkit.speech import sources
from asrkit.speech.audio import RATE, Waveform, load

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "browser"), str(TESTS)]
from conftest import FLAGS, App  # noqa: E402
from talking import open_tab, part, spoken  # noqa: E402

CLIPS_S, TIMES = (2, 5, 15), 3
SHARE = 0.3
STOP = """() => new Promise((resolve) => {
  const part = (name) => document.querySelector(`#talk [data-part=${name}]`), begun = performance.now();
  part("record").click();
  const look = () => {
    if (part("note").textContent.includes("transcribed in") && part("done").offsetParent) resolve(performance.now() - begun);
    else requestAnimationFrame(look);
  };
  look();
})"""  # noqa: E501


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="starter")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = App(Path(folder) / "runs")
        app.start()
        try:
            for seconds in CLIPS_S:
                heard = f"--use-file-for-fake-audio-capture={spoken(clip(seconds), Path(folder) / f'{seconds}.wav')}"
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*FLAGS, heard])
                if seconds == CLIPS_S[0]:
                    first = recorded(browser, app.url, options.model, seconds)
                    print(f"the first of all, for which the model is loaded: {first:.2f} s after Stop")
                took = [recorded(browser, app.url, options.model, seconds) for _ in range(TIMES)]
                browser.close()
                print(f"a clip of {seconds} s: the text stands {np.median(took):.2f} s after Stop ({min(took):.2f} to "
                      f"{max(took):.2f}), {np.median(took) / seconds:.3f} of its length "
                      f"({'within' if max(took) <= SHARE * seconds else 'NOT within'} {SHARE})", flush=True)
        finally:
            app.kill(signal.SIGTERM)


def clip(seconds: float) -> Waveform:
    """Words of the demo behind one another."""
    rows = sources.load(str(TESTS.parent / "assets" / "demo" / "callsigns")).eval
    return Waveform(np.concatenate([load(row.audio).samples for row in rows[:12]])[: round(seconds * RATE)])


def recorded(browser: object, url: str, model: str, seconds: float) -> float:
    """Seconds from Stop to the text."""
    window = browser.new_context(permissions=["microphone"])
    page: Page = window.new_page()
    page.goto(url)
    open_tab(page, model)
    part(page, "record").click()
    page.wait_for_function("document.querySelector('#talk [data-part=record]').textContent === 'Stop'")
    page.wait_for_timeout(1000 * seconds)
    took = page.evaluate(STOP) / 1000
    window.close()
    return took


if __name__ == "__main__":
    main()
