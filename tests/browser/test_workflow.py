"""The whole workflow through the page, with real training: start, watch, reload, stop and save, transcribe."""

from __future__ import annotations

import csv
import io
import re
import shutil
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Page, expect

from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.runs import lifecycle
from asrkit.runs.run import Run
from tests.support.transcribe_page import (
    expect_played,
    part,
    record,
    record_button_texts,
    upload,
    write_mic_file,
)
from tests.support.waiting import wait_for

CALLSIGNS = Path(__file__).resolve().parents[2] / "assets" / "demo" / "callsigns"
WORDS = ("delta", "lima", "foxtrot", "two")


def field(page: Page, name: str):
    return page.locator(f"#field-{name} input")


def fill(page: Page, **values: object) -> None:
    for name, value in values.items():
        field(page, name).fill(str(value))
        field(page, name).press("Tab")


def choose(page: Page, **values: str) -> None:
    for name, value in values.items():
        field(page, name).click()
        page.get_by_role("option", name=value, exact=True).click()


def points(page: Page, plot: str, curve: int) -> list[float]:
    return page.evaluate(f"document.querySelector('#live [data-part={plot}]')?.data?.[{curve}]?.x ?? []")


def wait_for_run(app) -> Run:
    return wait_for(lambda: next(iter(app.store.all()), None), "a run")


def write_few_words(folder: Path) -> Path:
    """Write a small part of the demo's data: the clips of four single words. Some of them are evaluated on as well:
    whether the model generalises is not for a test of the page."""
    folder.mkdir()
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train" and row["text"] in WORDS]
    with open(folder / "metadata.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "text", "split"])
        for number, row in enumerate(rows):
            for split in ("train", "eval") if number % 4 == 0 else ("train",):
                shutil.copy(CALLSIGNS / row["file_name"], folder / f"{split}-{number}.ogg")
                table.writerow([f"{split}-{number}.ogg", row["text"], split])
    return folder


def find_recognised_word(folder: Path, run: Run) -> tuple[str, Waveform]:
    """Return a word, and a recording of it (a clip between two silences) that the run's model recognises."""
    from asrkit.transcription.transcriber import Transcriber

    model = Transcriber(str(run.model_dir))
    silence = np.zeros(SAMPLING_RATE, np.float32)
    with open(folder / "metadata.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            clip = load_audio(folder / row["file_name"])
            wave = Waveform(np.concatenate([silence, clip.samples, silence]))
            if model.transcribe_blocks([wave.samples]).text == row["text"]:
                return row["text"], wave
    raise AssertionError("the model recognises none of its training words")


def test_train_stop_and_transcribe(open_page, app, mic_browser, tmp_path):
    """The demo's recipe on a few of its words, so that it takes seconds."""
    page = open_page()
    page.get_by_role("button", name="Advanced").click()
    fill(
        page,
        train=write_few_words(tmp_path / "words"),
        batch_seconds=12,
        num_epochs=1000,
        logging_steps=1,
        eval_steps=20,
        learning_rate=0.001,
    )
    choose(page, augmentation="light")
    page.get_by_role("button", name="Start training").click()
    run = wait_for_run(app)
    expect(page.locator("#live [data-part=activity]")).not_to_be_empty()
    expect(page).to_have_url(re.compile(rf"[?&]run={run.id}"))
    expect(page.locator("#start-message")).to_contain_text("is in progress. A new run will wait in the queue.")

    wait_for(lambda: len(points(page, "loss", 0)) >= 2 and points(page, "rates", 0), "a curve that grows")
    before = points(page, "loss", 0)
    wait_for(lambda: len(points(page, "loss", 0)) > len(before), "a curve that goes on growing")
    page.reload()
    wait_for(lambda: len(points(page, "loss", 0)) > len(before), "the history after a reload")
    assert points(page, "loss", 0)[: len(before)] == before
    expect(page.locator("#live [data-part=caption]")).to_contain_text("WER 0.0 %", timeout=600_000)
    page.get_by_role("button", name="Stop and save").click()
    expect(page.locator("#live [data-part=outcome]")).to_contain_text(
        re.compile(r"Stopped and saved at step \d+\. WER 0\.0 %"), timeout=600_000
    )

    play = page.get_by_role("button", name="Play the clip").first
    record_button_texts(play)
    with page.expect_response(re.compile("/clip/")) as clip:
        play.click()
    heard, rate = soundfile.read(io.BytesIO(clip.value.body()))
    assert rate == SAMPLING_RATE and np.abs(heard).max() > 0.05
    expect_played(page)

    text, wave = find_recognised_word(tmp_path / "words", run)
    listener = open_page(within=mic_browser(write_mic_file(wave, tmp_path / "spoken.wav")))
    listener.get_by_role("tab", name="Transcribe").click()
    expect(listener.locator("#model input")).to_have_value(re.compile(rf"Run {run.id}: "))
    expect(listener.locator("#recorder .recorder")).to_have_attribute("data-model", run.id)
    record(listener, wave.duration_s)
    expect(part(listener, "note")).to_contain_text(f"{run.id} · ")
    expect(part(listener, "words")).to_have_text(text)
    soundfile.write(tmp_path / "file.wav", wave.samples, SAMPLING_RATE, subtype="FLOAT")
    upload(listener, tmp_path / "file.wav")
    expect(part(listener, "note")).to_contain_text(f"{run.id} · {wave.duration_s:.1f} s of audio")
    expect(part(listener, "words")).to_have_text(text)


def test_demo_starts_with_one_click_and_can_be_cancelled(open_page, app):
    page = open_page()
    page.get_by_role("button", name="Start training").click()
    run = wait_for_run(app)
    expect(page.locator("#live [data-part=status]")).to_have_text("Running", timeout=600_000)
    expect(page.locator("#live [data-part=samples] tbody tr").first).to_be_visible(timeout=600_000)
    expect(page.locator("#live [data-part=line]")).to_contain_text(re.compile(r"step \d+ of \d+ · epoch \d"))
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel for good?").click()
    expect(page.locator("#live [data-part=outcome]")).to_contain_text("Cancelled", timeout=600_000)
    assert not run.has_model()


def test_three_runs_are_queued_and_reordered(open_page, app):
    """The third of three runs is moved ahead of the second, which is removed; the third then starts by itself."""
    page = open_page()
    start = page.get_by_role("button", name="Start training")
    for count in (1, 2, 3):
        start.click()
        wait_for(lambda count=count: len(app.store.all()) == count, f"{count} runs")
        expect(page).to_have_url(re.compile(rf"[?&]run={app.store.all()[0].id}"))  # Start was disabled before that
        expect(start).to_be_enabled()
    third, second, first = app.store.all()
    live, choice = page.locator("#live"), page.locator("#live [data-part=runs]")
    choice.select_option(third.id)
    expect(live.locator("[data-part=activity]")).to_have_text(f"Waiting for run {first.id} and 1 more to finish…")
    page.get_by_role("button", name="Start next").click()
    expect(live.locator("[data-part=activity]")).to_have_text(f"Waiting for run {first.id} to finish…")
    choice.select_option(second.id)
    page.get_by_role("button", name="Remove from queue").click()
    expect(live.locator("[data-part=status]")).to_have_text("Stopped")
    choice.select_option(first.id)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel for good?").click()
    expect(live.locator("[data-part=outcome]")).to_contain_text("Cancelled", timeout=600_000)
    choice.select_option(third.id)
    expect(live.locator("[data-part=status]")).to_have_text(re.compile("Starting|Running"), timeout=600_000)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel for good?").click()
    expect(live.locator("[data-part=outcome]")).to_contain_text("Cancelled", timeout=600_000)
    assert [lifecycle.get_status(run) for run in (first, second, third)] == [lifecycle.STOPPED] * 3
