"""The Transcribe tab, as a visitor uses it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Locator, Page, expect

from asrkit.audio import SAMPLING_RATE, Waveform

RECORDER_HZ = 48_000
TAIL_S = 6.0


def part(page: Page, name: str) -> Locator:
    return page.locator(f"#recorder [data-part={name}]")


def open_tab(page: Page, model: str = "") -> Page:
    """Open the Transcribe tab, and choose a model."""
    page.get_by_role("tab", name="Transcribe").click()
    if model:
        page.locator("#model input").fill(model)
        page.locator("#model input").press("Enter")
        page.wait_for_function(
            "name => document.querySelector('#recorder .recorder').dataset.model === name", arg=model
        )
    return page


def record(page: Page, seconds: float) -> None:
    """Press Record, wait for that many seconds, press Stop, wait for the result."""
    part(page, "record").click()
    expect(part(page, "record")).to_have_text("Stop")
    page.wait_for_timeout(1000 * seconds)  # not a wait for something: speaking takes the time that it takes
    part(page, "record").click()
    expect(part(page, "record")).to_have_text("Record")


def record_button_texts(button: Locator) -> None:
    """Record what is written on a button from now on: a state may be over before a test looks."""
    button.evaluate("""(button) => {
      window.buttonTexts = [];
      const options = { childList: true, characterData: true, subtree: true };
      new MutationObserver(() => window.buttonTexts.push(button.textContent)).observe(button, options);
    }""")


def expect_played(page: Page) -> None:
    """Wait until the button of `record_button_texts` has shown that its clip plays, and then that it has ended."""
    page.wait_for_function("window.buttonTexts.includes('■') && window.buttonTexts.at(-1) === '▶'")


def upload(page: Page, *paths: Path | Sequence[Path]) -> None:
    part(page, "files").set_input_files(list(paths))


def write_mic_file(wave: Waveform, path: Path) -> Path:
    """Write a WAV file for Chromium's microphone, which plays it once it is opened: at 48 kHz, silence last."""
    at = np.arange(0, len(wave.samples), SAMPLING_RATE / RECORDER_HZ)
    clip = np.interp(at, np.arange(len(wave.samples)), wave.samples)
    soundfile.write(path, np.concatenate([clip, np.zeros(round(TAIL_S * RECORDER_HZ))]), RECORDER_HZ, subtype="PCM_16")
    return path
