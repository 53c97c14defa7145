"""Make the README's pictures: `python -m tests.browser.pictures [FOLDER]`, by default in assets/pictures.

Starts the app over an empty directory of runs, trains the demo through the page and records it (`demo.webp`: start,
curves that fall, talking to the model), then takes a still picture of each thing that the README shows. Takes about
four minutes on two cores. Needs Chromium and Pillow, which Gradio installs.
"""

from __future__ import annotations

import csv
import io
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Playwright, expect, sync_playwright

from asrkit import config
from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.runs import lifecycle, supervisor
from asrkit.runs.run import Run
from tests.browser.conftest import FLAGS, App, find_chromium
from tests.support.transcribe_page import open_tab, part, upload, write_mic_file
from tests.support.waiting import wait_for

PROJECT = Path(__file__).resolve().parents[2]
CALLSIGNS = PROJECT / "assets" / "demo" / "callsigns"
VIEWPORT = {"width": 1280, "height": 900}
WIDTH = 960  # pixels of the animation
MAX_BYTES = 4_000_000
TRAINING_SHOWN_S = 10.0  # however long it takes; speech is shown as it is
MAX_TRAINING_FRAMES = 60
PAUSE_S = 0.7  # between the clips
MIN_WORDS = 3  # of each of them
END_HOLD_S = 3.0
POINTER = """([x, y]) => {
  const dot = document.querySelector('#pointer') ?? document.body.appendChild(document.createElement('div'));
  dot.id = 'pointer';
  dot.style.cssText = 'position:fixed;z-index:9999;width:26px;height:26px;border-radius:50%;pointer-events:none;'
    + 'background:#d9770666;border:2px solid #d97706;transform:translate(-50%,-50%)';
  dot.style.left = `${x}px`; dot.style.top = `${y}px`;
}"""


@dataclass
class Animation:
    """Screenshots with the time that each is shown."""

    frames: list[Image.Image] = field(default_factory=list)
    durations_s: list[float] = field(default_factory=list)

    def shoot(self, page: Page, duration_s: float) -> None:
        """Add what the page shows now."""
        frame = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        height = round(WIDTH * frame.height / frame.width)
        self.frames.append(frame.resize((WIDTH, height), Image.Resampling.LANCZOS))
        self.durations_s.append(duration_s)

    def click(self, page: Page, target: Locator) -> None:
        """Show where the click goes, then click."""
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        assert box is not None
        page.evaluate(POINTER, [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
        self.shoot(page, 0.8)
        target.click()
        page.evaluate("document.querySelector('#pointer')?.remove()")
        self.shoot(page, 0.4)

    def save(self, path: Path) -> None:
        """Write a WebP below MAX_BYTES, at the best quality that allows it."""
        durations = [max(40, round(1000 * duration)) for duration in self.durations_s]
        for quality in (80, 65, 50, 35):
            first, *rest = self.frames
            first.save(path, save_all=True, append_images=rest, duration=durations, quality=quality, method=4, loop=0)
            if path.stat().st_size <= MAX_BYTES:
                print(f"{path}: {len(durations)} frames, {sum(durations) / 1000:.0f} s, {path.stat().st_size:,} bytes")
                return
        raise SystemExit(f"{path} has {path.stat().st_size:,} bytes at the lowest quality; take fewer frames.")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        app = App(Path(scratch) / "runs")
        app.start()
        try:
            run = record_animation(playwright, app, Path(scratch), folder / "demo.webp")
            take_stills(playwright, app, run, Path(scratch), folder)
        finally:
            app.kill(signal.SIGTERM)


def record_animation(playwright: Playwright, app: App, scratch: Path, path: Path) -> Run:
    """Start the demo, watch it learn and talk to it; return its run."""
    animation = Animation()
    page = open_page(launch(playwright), app)
    animation.shoot(page, 1.2)
    animation.click(page, page.get_by_role("button", name="Start training"))
    run = wait_for(lambda: next(iter(app.store.all()), None), "a run")
    record_training(page, run, animation)
    page.context.browser.close()

    speech = speech_for(run, scratch / "speech.wav")
    page = open_page(launch(playwright, f"--use-file-for-fake-audio-capture={scratch / 'speech.wav'}"), app)
    animation.click(page, page.get_by_role("tab", name="Transcribe"))
    expect(page.locator("#model input")).to_have_value(f"Run {run.id}")
    record_speech(page, speech.duration_s, animation)
    animation.save(path)
    page.context.browser.close()
    return run


def record_training(page: Page, run: Run, animation: Animation) -> None:
    """Show a run from its start to its end, fast."""
    training = Animation()
    interval_ms = 900.0
    while lifecycle.get_status(run) in (lifecycle.QUEUED, *lifecycle.ACTIVE):
        page.wait_for_timeout(interval_ms)
        training.shoot(page, 0)
        if len(training.frames) >= 2 * MAX_TRAINING_FRAMES:  # it takes long: keep every second frame
            training.frames, interval_ms = training.frames[::2], 2 * interval_ms
    assert lifecycle.get_status(run) == lifecycle.FINISHED, run.log_tail()
    frames = training.frames[:: 1 + len(training.frames) // MAX_TRAINING_FRAMES]
    animation.frames += frames
    animation.durations_s += [TRAINING_SHOWN_S / len(frames)] * len(frames)
    expect(page.locator("#live [data-part=outcome]")).to_be_visible()
    page.wait_for_timeout(1500)
    animation.shoot(page, END_HOLD_S)


def record_speech(page: Page, duration_s: float, animation: Animation) -> None:
    """Press Record, show the words as they appear, press Stop."""
    animation.click(page, part(page, "record"))
    begun = shown = time.monotonic()
    while time.monotonic() - begun < duration_s + 1:
        page.wait_for_timeout(120)
        now = time.monotonic()
        animation.shoot(page, now - shown)
        shown = now
    animation.click(page, part(page, "record"))
    expect(part(page, "note")).to_contain_text("of audio", timeout=60_000)
    page.wait_for_timeout(500)
    animation.shoot(page, END_HOLD_S)


def speech_for(run: Run, path: Path) -> Waveform:
    """Write clips of three voices that the run was not trained on, with pauses; the first ones that it recognises."""
    from asrkit.transcription.transcriber import Transcriber

    model, silence = Transcriber(str(run.model_dir)), np.zeros(round(PAUSE_S * SAMPLING_RATE), np.float32)
    chosen: dict[str, np.ndarray] = {}
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == "train" or row["speaker"] in chosen or len(row["text"].split()) < MIN_WORDS:
                continue
            samples = load_audio(CALLSIGNS / row["file_name"]).samples
            if model.transcribe_blocks([np.concatenate([silence, samples, silence])]).text == row["text"]:
                chosen[row["speaker"]] = samples
            if len(chosen) == 3:
                break
    wave = Waveform(np.concatenate([silence, *(part for clip in chosen.values() for part in (clip, silence))]))
    write_mic_file(wave, path)
    return wave


def take_stills(playwright: Playwright, app: App, run: Run, scratch: Path, folder: Path) -> None:
    """One picture of each thing that the README shows."""
    other = config.load_preset("demo").config.replace({"learning_rate": 1e-4, "num_epochs": 3})
    second = supervisor.start(app.store, other, f"{run.id}-slower")
    wait_for(lambda: lifecycle.get_status(second) == lifecycle.FINISHED, "the second run", 600)

    page = open_page(launch(playwright), app, f"?run={run.id}")
    page.wait_for_timeout(2500)
    page.screenshot(path=folder / "train.png", full_page=True)

    page.goto(f"{app.url}?compare={run.id},{second.id}")
    page.get_by_role("tab", name="Runs").click()
    expect(page.locator("#runs-tab [data-part=plot], #runs [data-part=plot]").first).to_be_visible()
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / "runs.png", full_page=True)

    open_tab(page)
    upload(page, scratch / "speech.wav")
    expect(part(page, "note")).to_contain_text("of audio")
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / "transcribe.png")

    page.get_by_role("tab", name="Data").click()
    page.get_by_role("button", name="Radio callsigns (comes with asrkit)").click()
    page.get_by_role("button", name="Check", exact=True).click()
    expect(page.locator("#data [data-part=verdict]")).to_be_visible()
    page.locator("[data-finding] summary").first.click()
    page.wait_for_timeout(500)
    heading = page.get_by_role("heading", name="Check the dataset").bounding_box()
    assert heading is not None
    clip = {"x": 0, "y": heading["y"] + page.evaluate("scrollY") - 40, "width": VIEWPORT["width"], "height": 1000}
    page.screenshot(path=folder / "data.png", full_page=True, clip=clip)
    page.context.browser.close()

    voice = f"--use-file-for-fake-audio-capture={scratch / 'speech.wav'}"
    take_recorder(open_page(launch(playwright, voice), app), folder / "record.png")


def take_recorder(page: Page, path: Path) -> None:
    """The recording of a sentence, with its level meter."""
    page.get_by_role("tab", name="Data").click()
    page.get_by_role("button", name="Record your own").click()
    page.locator("#data [data-part=record-open]").click()
    page.locator("#data [data-part=record-start]").click()
    page.wait_for_timeout(2000)
    page.screenshot(path=path)
    page.context.browser.close()


def launch(playwright: Playwright, *flags: str) -> Browser:
    return playwright.chromium.launch(executable_path=find_chromium(), args=[*FLAGS, *flags])


def open_page(browser: Browser, app: App, query: str = "") -> Page:
    page = browser.new_context(viewport=VIEWPORT, permissions=["microphone"]).new_page()
    page.add_init_script("localStorage.setItem('asrkit-tour', '3')")  # its hints have been read
    page.goto(app.link(query))
    expect(page.get_by_role("button", name="Start training")).to_be_visible()
    page.wait_for_timeout(1500)
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "assets" / "pictures")
