"""From Stop to the text on the page, in a real Chromium whose microphone hears speech, as a share of the clip's length.

    python -m tests.benchmarks.recording [--model starter]

Clips of 2, 5 and 15 s, each recorded three times, as many words as fit; the last word ends as Stop is pressed. The page
counts: from the click until the words and the waveform under them stand there for good. The first recording of an app
that has just been started is told apart, at the pace of who looks for the button first (a second) and of who does not.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.data import sources
from tests.browser.conftest import FLAGS, App
from tests.support.talking import open_tab, part, spoken

CLIPS_S, TIMES = (2, 5, 15), 3
LOOKS_S, READS_S = (1.0, 0.0), 3.0
SHARE = 0.3
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

        def spoken_to(seconds: float) -> Browser:
            heard = f"--use-file-for-fake-audio-capture={spoken(clip(seconds), Path(folder) / f'{seconds}.wav')}"
            return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*FLAGS, heard])

        for looks_s in LOOKS_S:
            with serving(Path(folder) / "runs") as url:
                browser = spoken_to(CLIPS_S[0])
                took = recorded(browser, url, options.model, CLIPS_S[0], looks_s)
                browser.close()
                told(
                    f"the first of all, a clip of {CLIPS_S[0]} s, {looks_s:.0f} s after the tab was opened",
                    [took],
                    CLIPS_S[0],
                )
        with serving(Path(folder) / "runs") as url:
            for seconds in CLIPS_S:
                browser = spoken_to(seconds)
                if seconds == CLIPS_S[0]:
                    recorded(browser, url, options.model, seconds)
                told(
                    f"a clip of {seconds} s",
                    [recorded(browser, url, options.model, seconds) for _ in range(TIMES)],
                    seconds,
                )
                browser.close()


@contextlib.contextmanager
def serving(runs: Path) -> Iterator[str]:
    """An app that has just been started, as long after as it takes to read the page."""
    app = App(runs)
    app.start()
    time.sleep(READS_S)
    try:
        yield app.url
    finally:
        app.kill(signal.SIGTERM)


def told(what: str, took: list[float], seconds: float) -> None:
    print(
        f"{what}: the text stands {np.median(took):.2f} s after Stop ({min(took):.2f} to {max(took):.2f}), "
        f"{np.median(took) / seconds:.3f} of its length "
        f"({'within' if max(took) <= SHARE * seconds else 'NOT within'} {SHARE})",
        flush=True,
    )


def clip(seconds: float) -> Waveform:
    """Words of the demo behind one another."""
    rows = sources.load(str(Path(__file__).resolve().parents[1].parent / "assets" / "demo" / "callsigns")).eval
    return Waveform(
        np.concatenate([load_audio(row.audio).samples for row in rows[:12]])[: round(seconds * SAMPLING_RATE)]
    )


def recorded(browser: Browser, url: str, model: str, seconds: float, looks_s: float = 0.0) -> float:
    """Seconds from Stop to the text. looks_s: from opening the tab to Record."""
    window = browser.new_context(permissions=["microphone"])
    page: Page = window.new_page()
    page.goto(url)
    open_tab(page, model)
    page.wait_for_timeout(1000 * looks_s)
    part(page, "record").click()
    page.wait_for_function("document.querySelector('#recorder [data-part=record]').textContent === 'Stop'")
    page.wait_for_timeout(1000 * seconds)
    took = page.evaluate(STOP) / 1000
    window.close()
    return took


if __name__ == "__main__":
    main()
