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
    """Press Record, wait for so many seconds, press Stop, wait for the result."""
    part(page, "record").click()
    expect(part(page, "record")).to_have_text("Stop")
    page.wait_for_timeout(1000 * seconds)  # not a wait for something: speaking takes the time that it takes
    part(page, "record").click()
    expect(part(page, "record")).to_have_text("Record")


def upload(page: Page, *paths: Path | Sequence[Path]) -> None:
    part(page, "files").set_input_files(list(paths))


def write_mic_file(wave: Waveform, path: Path) -> Path:
    """Write a WAV file for Chromium's microphone, which plays it once it is opened: at 48 kHz, silence last."""
    at = np.arange(0, len(wave.samples), SAMPLING_RATE / RECORDER_HZ)
    clip = np.interp(at, np.arange(len(wave.samples)), wave.samples)
    soundfile.write(path, np.concatenate([clip, np.zeros(round(TAIL_S * RECORDER_HZ))]), RECORDER_HZ, subtype="PCM_16")
    return path
