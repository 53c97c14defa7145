"""How soon a long annotated recording is drawn in the Data tab, and how smoothly it scrolls, in Chromium.

    python -m tests.benchmarks.long_recording [--minutes 60] [--spans 10000] [--suffix wav]

Prints the seconds from Load until the spans are drawn and until the whole waveform is known; and the time between
frames while the recording is scrolled from its beginning to its end, a window of half a minute at a time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Response, expect, sync_playwright

from tests.browser.conftest import FLAGS, App, find_chromium
from tests.support.annotations import aligned_tier, make_eaf
from tests.support.waiting import wait_for

RATE = 44_100
SCROLL = """async () => {
  const scroll = document.querySelector("#data [data-part=span-scroll]"), zoomIn = "#data [data-part=span-in]";
  while (scroll.scrollWidth < 120 * scroll.clientWidth) document.querySelector(zoomIn).click();
  const times = [], end = scroll.scrollWidth - scroll.clientWidth;
  let before = performance.now();
  for (let step = 0; step < 240; step++) {
    scroll.scrollLeft = end * step / 240;
    await new Promise(requestAnimationFrame);
    times.push(performance.now() - before);
    before = performance.now();
  }
  return times;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--spans", type=int, default=10_000)
    parser.add_argument("--suffix", default="wav", help="wav, flac, mp3 or ogg")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        short = write(Path(folder, "short"), 1, 10, "wav")
        data = write(Path(folder, "data"), options.minutes, options.spans, options.suffix)
        app = App(Path(folder, "runs"))
        app.start()
        try:
            measure(app, short, data)
        finally:
            app.kill()


def write(folder: Path, minutes: float, num_spans: int, suffix: str) -> Path:
    """Write noise that comes and goes, and spans of equal length side by side."""
    folder.mkdir()
    second = np.random.default_rng(0).normal(0, 0.1, RATE) * np.hanning(RATE)
    with soundfile.SoundFile(folder / f"long.{suffix}", "w", RATE, 1) as file:
        for _ in range(round(60 * minutes)):
            file.write(second)
    length_ms = 60_000 * minutes / num_spans
    slots = [round(length_ms * (index // 2 + 0.9 * (index % 2))) for index in range(2 * num_spans)]
    spans = ((f"a{index}", 2 * index, 2 * index + 1, f"span number {index}") for index in range(num_spans))
    (folder / "long.eaf").write_text(make_eaf(aligned_tier("tx", *spans), slots=slots))
    return folder


def measure(app: App, short: Path, data: Path) -> None:
    """Measure `data`, after `short`, with which the app starts the process that reads files."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1366, "height": 900})
        page.goto(app.link())
        page.get_by_role("tab", name="Data").click()
        known: list[float] = []

        def on_response(response: Response) -> None:
            if "show_waveform" in (response.request.post_data or "") and response.json()["is_complete"]:
                known.append(time.perf_counter())

        page.on("response", on_response)
        for folder in (short, data):
            known.clear()
            page.locator("#data [data-part=path]").fill(str(folder))
            begin = time.perf_counter()
            page.get_by_role("button", name="Load", exact=True).click()
            expect(page.locator("#data [data-part=facts]")).to_contain_text("10 clips" if folder == short else ",")
            expect(page.locator("#data [data-part=span-detail]")).to_contain_text("span number 0")
            spans_s = time.perf_counter() - begin
            wait_for(lambda: page.wait_for_timeout(50) or known, "the waveform")
        print(f"spans {spans_s:.1f} s, whole waveform {known[0] - begin:.1f} s")
        page.remove_listener("response", on_response)
        times = sorted(page.evaluate(SCROLL))
        print(f"frames: median {statistics.median(times):.0f} ms, 95 % below {times[int(0.95 * len(times))]:.0f} ms")
        browser.close()


if __name__ == "__main__":
    main()
