"""Measure the time from Stop to the text, in a real Chromium whose microphone plays speech.

    python -m tests.benchmarks.recording [--model starter]

Clips of 2, 5 and 15 s, each recorded three times; the last word ends as Stop is pressed. The page measures from the
click until the words and the waveform are shown for good. The first recording of an app that has just started is
reported apart, for a visitor who presses Record a second after opening the tab, and for one who presses it at once.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.data import sources
from tests.browser.conftest import FLAGS, App, find_chromium
from tests.support.transcribe_page import open_tab, part, write_mic_file

CLIPS_S, NUM_RECORDINGS = (2, 5, 15), 3
DELAYS_S = (1.0, 0.0)  # from opening the tab to Record, for the first recording of an app
PAGE_READING_S = 3.0  # from the start of an app to its first visitor
MAX_SHARE = 0.3  # of a clip's length
STOP = """() => new Promise((resolve) => {
  const part = (name) => document.querySelector(`#recorder [data-part=${name}]`), begun = performance.now();
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

        def launch(seconds: float) -> Browser:
            path = write_mic_file(make_clip(seconds), Path(folder) / f"{seconds}.wav")
            flags = [*FLAGS, f"--use-file-for-fake-audio-capture={path}"]
            return playwright.chromium.launch(executable_path=find_chromium(), args=flags)

        for delay_s in DELAYS_S:
            with start_app(Path(folder) / "runs") as url:
                browser = launch(CLIPS_S[0])
                took_s = measure(browser, url, options.model, CLIPS_S[0], delay_s)
                browser.close()
                report(f"first recording, {CLIPS_S[0]} s, {delay_s:.0f} s after opening the tab", [took_s], CLIPS_S[0])
        with start_app(Path(folder) / "runs") as url:
            for seconds in CLIPS_S:
                browser = launch(seconds)
                if seconds == CLIPS_S[0]:
                    measure(browser, url, options.model, seconds)
                times_s = [measure(browser, url, options.model, seconds) for _ in range(NUM_RECORDINGS)]
                report(f"a clip of {seconds} s", times_s, seconds)
                browser.close()


@contextlib.contextmanager
def start_app(runs: Path) -> Iterator[str]:
    """Start an app; yield its address after the time that reading the page takes."""
    app = App(runs)
    app.start()
    time.sleep(PAGE_READING_S)
    try:
        yield app.link()
    finally:
        app.kill(signal.SIGTERM)


def report(title: str, times_s: list[float], clip_s: float) -> None:
    verdict = "within" if max(times_s) <= MAX_SHARE * clip_s else "NOT within"
    median_s = float(np.median(times_s))
    print(
        f"{title}: the text is shown {median_s:.2f} s after Stop ({min(times_s):.2f} to {max(times_s):.2f}), "
        f"{median_s / clip_s:.3f} of its length ({verdict} {MAX_SHARE})",
        flush=True,
    )


def make_clip(seconds: float) -> Waveform:
    """Join words of the demo."""
    rows = sources.load(str(Path(__file__).resolve().parents[2] / "assets" / "demo" / "callsigns")).eval
    samples = np.concatenate([load_audio(row.audio).samples for row in rows[:12]])
    return Waveform(samples[: round(seconds * SAMPLING_RATE)])


def measure(browser: Browser, url: str, model: str, seconds: float, delay_s: float = 0.0) -> float:
    """Record a clip; return the seconds from Stop to the text. delay_s: from opening the tab to Record."""
    window = browser.new_context(permissions=["microphone"])
    page: Page = window.new_page()
    page.goto(url)
    open_tab(page, model)
    page.wait_for_timeout(1000 * delay_s)
    part(page, "record").click()
    page.wait_for_function("document.querySelector('#recorder [data-part=record]').textContent === 'Stop'")
    page.wait_for_timeout(1000 * seconds)
    took_s = page.evaluate(STOP) / 1000
    window.close()
    return took_s


if __name__ == "__main__":
    main()
