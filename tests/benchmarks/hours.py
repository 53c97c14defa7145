"""Hours of speech through the page in a real Chromium, twice: memory of the app, and duration.

    python -m tests.benchmarks.hours DATASET [--hours 3] [--model starter]

The clips of the dataset are joined, shuffled anew each time, with pauses of 0.1 to 1.5 s between them, so that no two
segments have the same length. Prints the resident memory before, every ten seconds, and at the end of each file.
"""

from __future__ import annotations

import argparse
import random
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import soundfile
from playwright.sync_api import Page, sync_playwright

from asrkit.audio import SAMPLING_RATE, load_audio
from asrkit.data import sources
from tests.browser.conftest import FLAGS, App, find_chromium
from tests.support.transcribe_page import open_tab, part, upload

SAMPLE_INTERVAL_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--model", default="starter")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        files = [
            join_clips(options.data, 3600 * options.hours, Path(folder) / f"{name}.flac", seed)
            for seed, name in enumerate(("first", "second"))
        ]
        app = App(Path(folder) / "runs")
        app.start()
        try:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
            page = browser.new_page()
            page.goto(app.link())
            open_tab(page, options.model)
            upload(page, join_clips(options.data, 60.0, Path(folder) / "a minute.flac", 2))
            page.wait_for_function(ALL_DONE, arg=1)
            for number, file in enumerate(files, 2):
                transcribe_file(page, file, number, psutil.Process(app.process.pid))
            browser.close()
        finally:
            app.kill(signal.SIGTERM)


ALL_DONE = """(count) => {
  const pills = [...document.querySelectorAll("#talk .row .pill")].map((one) => one.textContent);
  return pills.length === count && pills.every((one) => ["Done", "Failed"].includes(one));
}"""


def transcribe_file(page: Page, file: Path, number: int, app: psutil.Process) -> None:
    before_mb, started = resident_mb(app), time.monotonic()
    upload(page, file)
    memory_mb = [resident_mb(app)]
    page.wait_for_function("(count) => document.querySelectorAll('#talk .row').length === count", arg=number)
    while not page.evaluate(ALL_DONE, number):
        page.wait_for_timeout(1000 * SAMPLE_INTERVAL_S)
        memory_mb.append(resident_mb(app))
    seconds = soundfile.info(file).duration
    row = part(page, "rows").locator(".row").last.inner_text()[:60]
    print(
        f"{file.stem} file of {seconds / 3600:.1f} h: {before_mb} MB before, then {', '.join(map(str, memory_mb))} MB; "
        f"{time.monotonic() - started:.0f} s; {row!r}",
        flush=True,
    )


def resident_mb(app: psutil.Process) -> int:
    return round(app.memory_info().rss / 1e6)


def join_clips(data: str, seconds: float, path: Path, seed: int) -> Path:
    """Write clips of a dataset and pauses to `path`, `seconds` long in all."""
    rng, rows, length = random.Random(seed), list(sources.load(data).unseen), 0
    with soundfile.SoundFile(path, "w", SAMPLING_RATE, 1) as file:
        while length < seconds * SAMPLING_RATE:
            rng.shuffle(rows)
            for clip in rows:
                pause = np.zeros(round(rng.uniform(0.1, 1.5) * SAMPLING_RATE), np.float32)
                samples = np.concatenate(
                    [load_audio(clip.audio, start_s=clip.start_s, end_s=clip.end_s).samples, pause]
                )
                file.write(samples[: round(seconds * SAMPLING_RATE) - length])
                length += len(samples)
                if length >= seconds * SAMPLING_RATE:
                    break
    return path


if __name__ == "__main__":
    main()
