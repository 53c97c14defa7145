"""The Transcribe tab in a real browser with a fake microphone: live text, files, subtitles, several visitors.

The starter misrecognises synthetic callsigns, but always in the same way: the page's text of a sound is compared with
the command line's text of the same sound as a file.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pysubs2
import pytest
import soundfile
from playwright.sync_api import Page, expect

from asrkit import cli
from asrkit.audio import SAMPLING_RATE, Waveform, load_audio
from asrkit.data import collection
from asrkit.models.resolution import STARTER_DIR
from asrkit.transcription.writers import WRITERS
from tests.support import hub
from tests.support.transcribe_page import open_tab, part, record, upload, write_mic_file
from tests.support.waiting import wait_for

CALLSIGNS = Path(__file__).resolve().parents[2] / "assets" / "demo" / "callsigns"


RECORD_TEXTS = """() => {
  const part = (name) => document.querySelector(`#recorder [data-part=${name}]`);
  window.seen = []; window.partials = 0;
  new MutationObserver(() => {
    window.seen.push([...part("words").querySelectorAll(".word")].map((word) => word.textContent));
    if (part("partial").textContent) window.partials += 1;
  }).observe(part("transcript"), { childList: true, subtree: true, characterData: true });
}"""
"""Records every text that is shown."""


RECORD_PLAYED_WORDS = """() => {
  window.playedWords = new Set();
  new MutationObserver((records) => {
    for (const { target } of records) {
      if (target.matches(".word.playing")) window.playedWords.add(target.dataset.index);
    }
  }).observe(document.querySelector("#recorder"), { subtree: true, attributeFilter: ["class"] });
}"""
"""Records the indexes of the words that are marked as they are played."""


COUNT_PLAYING = """() => {
  window.played = []; window.most = 0;
  const play = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () {
    window.played.push(this);
    const result = play.call(this);
    window.most = Math.max(window.most, new Set(window.played.filter((one) => !one.paused)).size);
    return result;
  };
}"""
"""Counts how many sounds play at the same time."""


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> tuple[Path, list[dict]]:
    """Four clips with pauses between them, without silence at the end; and the words that the command line gives."""
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "eval"][:4]
    parts = [np.zeros(SAMPLING_RATE // 2, np.float32)]
    for row in rows:
        parts += [load_audio(CALLSIGNS / row["file_name"]).samples, np.zeros(int(0.7 * SAMPLING_RATE), np.float32)]
    path = tmp_path_factory.mktemp("speech") / "a talk.wav"
    soundfile.write(path, np.concatenate(parts[:-1]), SAMPLING_RATE)
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        assert cli.main(["transcribe", str(path), "--format", "json", "--model", "starter"]) == 0
    return path, json.loads(stdout.getvalue())[0]["words"]


def shown(page: Page) -> list[str]:
    return part(page, "words").locator(".word").all_inner_texts()


def similarity(found: list[str], wanted: list[dict]) -> float:
    """How similar two texts are, 0 to 1. A recording begins at another sample than the file: letters may differ."""
    return difflib.SequenceMatcher(None, " ".join(found), " ".join(word["word"] for word in wanted)).ratio()


def test_live_text_never_changes_and_includes_the_tail(open_page, mic_browser, speech, tmp_path):
    path, wanted = speech
    wave = load_audio(path)
    page = open_tab(open_page(within=mic_browser(write_mic_file(wave, tmp_path / "mic.wav"))), "starter")
    upload(page, path)
    expect(part(page, "done")).to_be_visible()  # the model is loaded: words appear as they are spoken
    part(page, "record").click()
    expect(part(page, "record")).to_have_text("Stop")
    page.evaluate(RECORD_TEXTS)
    page.wait_for_timeout(1000 * wave.duration_s)  # the last word ends as Stop is pressed, or before on a slow machine
    page.wait_for_function("window.partials >= 3")  # text appears while somebody speaks
    part(page, "record").click()
    expect(part(page, "record")).to_have_text("Record")
    seen = page.evaluate("window.seen")
    grown = [words for words in seen if words]
    final = shown(page)
    live = [words for words in grown if len(words) < len(final)]
    assert live and all(final[: len(words)] == words for words in live), "a word once final never changes"
    assert similarity(final, wanted) > 0.75, (final, wanted)
    last = part(page, "words").locator(".word").last.get_attribute("title")  # "8.03 to 8.56 s · 97 % sure"
    assert float(last.split()[2]) > wave.duration_s - 1.0, "the tail is there"
    expect(part(page, "note")).to_contain_text("starter · ")


def test_chunks_are_sent_again_after_lost_requests(open_page, mic_browser, speech, tmp_path):
    path, wanted = speech
    wave = load_audio(path)
    page = open_tab(open_page(within=mic_browser(write_mic_file(wave, tmp_path / "mic.wav"))), "starter")
    asked = []

    def route(one):
        heard = "component_server" in one.request.url and '"push_chunk"' in (one.request.post_data or "")
        asked.extend([one.request.url] * heard)
        if heard and len(asked) in (3, 4):
            one.abort()
        else:
            one.fallback()

    page.route("**/*", route)
    part(page, "record").click()
    expect(part(page, "record")).to_have_text("Stop")
    page.wait_for_timeout(1000 * wave.duration_s)
    # Two that did not arrive are sent again; silence follows the speech for as long as it takes.
    page.wait_for_event("request", lambda _: len(asked) > 4)
    part(page, "record").click()
    expect(part(page, "record")).to_have_text("Record")
    assert similarity(shown(page), wanted) > 0.75
    expect(part(page, "error")).to_be_hidden()


def test_viewing_a_file_while_recording_keeps_both_apart(open_page, mic_browser, speech, tmp_path):
    path, wanted = speech
    wave = load_audio(path)
    page = open_tab(open_page(within=mic_browser(write_mic_file(wave, tmp_path / "mic.wav"))), "starter")
    upload(page, path)
    expect(part(page, "done")).to_be_visible()
    part(page, "record").click()
    expect(part(page, "record")).to_have_text("Stop")
    rows = part(page, "rows").locator(".row")
    expect(rows).to_have_count(2)
    rows.nth(0).click()
    expect(part(page, "note")).to_contain_text("a talk.wav")
    page.wait_for_timeout(1000 * wave.duration_s)
    assert shown(page) == [word["word"] for word in wanted]
    rows.nth(1).click()
    expect(part(page, "note")).to_have_text("Listening…")
    expect(part(page, "words").locator(".word").first).to_be_visible()
    rows.nth(0).click()
    expect(part(page, "note")).to_contain_text("a talk.wav")
    part(page, "record").click()
    expect(part(page, "record")).to_have_text("Record")
    expect(rows.nth(1)).to_contain_text("Done")
    assert shown(page) == [word["word"] for word in wanted]
    rows.nth(1).click()
    expect(part(page, "note")).to_contain_text("Recording 1 · starter")
    assert similarity(shown(page), wanted) > 0.75


def test_two_visitors_record_at_once(open_page, mic_browser, speech, tmp_path):
    path, wanted = speech
    wave = load_audio(path)
    half = Waveform(wave.samples[: len(wave.samples) // 2])
    first = open_tab(open_page(within=mic_browser(write_mic_file(wave, tmp_path / "one.wav"))), "starter")
    second = open_tab(open_page(within=mic_browser(write_mic_file(half, tmp_path / "two.wav"))), "starter")
    for page in (first, second):
        part(page, "record").click()
        expect(part(page, "record")).to_have_text("Stop")
    first.wait_for_timeout(1000 * wave.duration_s)
    for page in (first, second):
        part(page, "record").click()
    for page in (first, second):
        expect(part(page, "record")).to_have_text("Record")
    assert similarity(shown(first), wanted) > 0.75
    assert 0 < len(shown(second)) < len(shown(first))
    assert similarity(shown(second), [word for word in wanted if word["end_s"] < half.duration_s]) > 0.6


def test_file_transcript_playback_and_subtitles(open_page, app, speech, tmp_path):
    path, wanted = speech
    page = open_tab(open_page(), "starter")
    upload(page, path)
    expect(part(page, "note")).to_contain_text("a talk.wav · starter · ")
    assert shown(page) == [word["word"] for word in wanted]
    expect(part(page, "lanes").locator(".word")).to_have_count(len(wanted))
    for name in ("srt", "vtt", "tsv", "json", "txt"):
        with page.expect_download() as saved:
            page.locator(f"#recorder [data-format={name}]").click()
        assert saved.value.suggested_filename == f"a talk.{name}"
        saved.value.save_as(tmp_path / f"out.{name}")
    for name in ("srt", "vtt"):
        read = pysubs2.load(str(tmp_path / f"out.{name}"))
        assert " ".join(line.plaintext.replace("\n", " ") for line in read).split() == shown(page)
    assert json.loads((tmp_path / "out.json").read_text())["words"] == wanted
    page.evaluate(RECORD_PLAYED_WORDS)
    part(page, "lanes").locator(".word").first.click()
    page.wait_for_function("window.playedWords.has('0')")
    expect(part(page, "play")).to_have_text("Play")  # its end
    part(page, "play").dblclick()  # which is one click: it plays, and goes on after the first word
    page.wait_for_function("window.playedWords.size > 1")
    part(page, "play").click()
    expect(part(page, "play")).to_have_text("Play")

    page.get_by_text("Correct the transcript and save it for training").click()
    part(page, "corrected").fill("golf echo oscar five")
    part(page, "dataset").fill("my words")
    part(page, "save-correction").click()
    expect(part(page, "kept")).to_contain_text("now has 1 clip")
    (clip,) = collection.open_collection(app.store.data_dir, "my words").clips()
    assert clip.text == "golf echo oscar five"


def test_several_files_at_once(open_page, speech, tmp_path):
    path, wanted = speech
    (tmp_path / "words.wav").write_text("no sound at all")
    soundfile.write(tmp_path / "silence.wav", np.zeros(SAMPLING_RATE), SAMPLING_RATE)
    soundfile.write(
        tmp_path / "six.wav", np.stack([np.repeat(load_audio(path).samples, 6)] * 6, axis=1), 6 * SAMPLING_RATE
    )
    page = open_tab(open_page(), "starter")
    upload(page, path, tmp_path / "words.wav", tmp_path / "silence.wav", tmp_path / "six.wav")
    rows = part(page, "rows").locator(".row")
    expect(rows).to_have_count(4)
    expect(part(page, "cancel")).to_be_hidden()
    expect(rows.nth(1)).to_contain_text("cannot be read as audio")
    expect(rows.nth(2)).to_contain_text("silent")
    for width in (1280, 390):  # why it failed is there to be read, all of it
        page.set_viewport_size({"width": width, "height": 900})
        assert rows.nth(1).locator(".row-text").evaluate("(one) => one.scrollWidth <= one.clientWidth")
    rows.nth(0).click()
    expect(part(page, "note")).to_contain_text("a talk.wav · starter · ")
    assert shown(page) == [word["word"] for word in wanted]
    with page.expect_download() as saved:
        part(page, "download-all").click()
    saved.value.save_as(tmp_path / "all.zip")
    names = zipfile.ZipFile(tmp_path / "all.zip").namelist()
    assert {"a talk.srt", "six.json"} <= set(names) and len(names) == 2 * len(WRITERS)
    rows.nth(0).focus()
    upload(page, path)
    expect(rows).to_have_count(5)
    expect(part(page, "cancel")).to_be_hidden()
    expect(rows.nth(0)).to_be_focused()
    page.reload()
    open_tab(page, "starter")
    expect(rows).to_have_count(5)
    rows.nth(0).click()
    part(page, "again").click()
    wait_for(lambda: shown(page) == [word["word"] for word in wanted], "the words of the recording, transcribed again")
    remove = part(page, "rows").get_by_label("Remove words.wav")
    remove.click()
    expect(remove).to_have_text("Remove?")
    remove.click()
    expect(rows).to_have_count(4)
    expect(part(page, "rows").get_by_label("Remove silence.wav")).to_be_focused()


def test_cancel_stops_files_that_are_not_sent_yet(open_page, speech, tmp_path):
    files = [shutil.copy(speech[0], tmp_path / f"{number}.wav") for number in range(4)]
    page = open_tab(open_page(), "starter")
    sent, held = [], []

    def hold_second(route):
        sent.append(route)
        held.append(route) if len(sent) == 2 else route.continue_()

    page.route(re.compile(r"/upload(\?|$)"), hold_second)
    upload(page, *files)
    expect(part(page, "rows").locator(".row")).to_contain_text("Done")
    part(page, "cancel").click()
    held[0].continue_()
    expect(part(page, "error")).to_contain_text("2 of 4 files were not sent")
    expect(part(page, "cancel")).to_be_hidden()
    expect(part(page, "rows").locator(".row")).to_have_count(2)


def test_focus_stays_on_the_pressed_button(open_page, mic_browser, speech, tmp_path):
    """Record keeps the focus until its words are shown; so does Evaluate."""
    page = open_tab(
        open_page(within=mic_browser(write_mic_file(load_audio(speech[0]), tmp_path / "mic.wav"))),
        "starter",
    )
    part(page, "record").focus()
    page.keyboard.press("Space")
    expect(part(page, "record")).to_have_text("Stop")
    expect(part(page, "record")).to_be_focused()
    expect(part(page, "transcript")).not_to_be_empty()
    page.keyboard.press("Space")
    expect(part(page, "record")).to_have_text("Record")
    expect(part(page, "record")).to_be_focused()
    page.get_by_text("Evaluate the model on a dataset").click()
    page.locator("#evaluation [data-part=dataset]").fill("no dataset at all")
    page.locator("#evaluation [data-part=evaluate]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#evaluation [data-part=error]")).to_be_visible()
    expect(page.locator("#evaluation [data-part=evaluate]")).to_be_focused()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.wav", b"", "0 bytes"),
        ("words.wav", b"no sound at all", "cannot be read as audio"),
        ("silence.wav", np.zeros(16_000), "silent"),
        ("blink.wav", np.full(800, 0.3), "0.05 s long"),
    ],
)
def test_file_without_speech_shows_one_sentence(open_page, tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else soundfile.write(path, content, 16_000)
    page = open_tab(open_page())
    upload(page, path)
    expect(part(page, "error")).to_contain_text(words)
    expect(part(page, "words")).to_be_empty()


def test_silent_recording_shows_one_sentence(open_page, mic_browser, tmp_path):
    page = open_tab(
        open_page(
            within=mic_browser(write_mic_file(Waveform(np.zeros(SAMPLING_RATE, np.float32)), tmp_path / "mic.wav"))
        )
    )
    record(page, 1.0)
    expect(part(page, "warning")).to_contain_text("silent")


def test_compare_and_evaluate(open_page, speech, tmp_path):
    """The starter against itself, and on four clips of the demo; the report can be read, played and downloaded."""
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "eval"][:4]
    with open(tmp_path / "few.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerows([["file_name", "text"], *([CALLSIGNS / row["file_name"], row["text"]] for row in rows)])
    page = open_tab(open_page(), "starter")
    page.locator("#recorder").get_by_text("Words to expect").click()
    part(page, "expect").fill("\n".join(row["text"] for row in rows))
    expect(part(page, "expecting")).to_be_visible()
    upload(page, speech[0])
    expect(part(page, "done")).to_be_visible()
    said = [{"word": word} for row in rows for word in row["text"].split()]
    greedy = similarity([word["word"] for word in speech[1]], said)
    assert similarity(shown(page), said) > max(0.7, greedy + 0.1), "expected words are recognised"
    page.get_by_text("Compare with another model").click()
    part(page, "other").select_option("starter")
    part(page, "reference").fill(" ".join(row["text"] for row in rows))
    part(page, "compare").click()
    expect(part(page, "compared").locator("tbody tr")).to_have_count(1)
    expect(part(page, "compared").locator("mark").first).to_be_visible()

    page.get_by_text("Evaluate the model on a dataset").click()
    evaluation = page.locator("#evaluation")
    evaluation.locator("[data-part=evaluate]").click()
    expect(evaluation.locator("[data-part=error]")).to_contain_text("Choose which dataset")
    evaluation.locator("[data-part=dataset]").fill(str(tmp_path / "few.csv"))
    evaluation.get_by_text("Words to expect").click()
    evaluation.locator("[data-part=hot]").fill("november, oscar")
    evaluation.locator("[data-part=evaluate]").click()
    expect(evaluation.locator(".figures")).to_contain_text("95 % interval")
    expect(evaluation.locator("[data-part=report]")).to_contain_text("starter on")
    expect(evaluation.locator("[data-part=report]")).to_contain_text("with words to expect")
    expect(evaluation.locator("[data-clip]").first).to_be_visible()
    page.evaluate(COUNT_PLAYING)
    evaluation.locator("[data-clip]").first.dblclick()
    page.wait_for_function("window.played.some((one) => one.ended)")
    expect(evaluation.locator("[data-part=error]")).to_be_hidden()
    assert page.evaluate("window.most") == 1, "one at a time"
    with page.expect_download() as saved:
        evaluation.locator("[data-part=csv]").click()
    saved.value.save_as(tmp_path / "out.csv")
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()) == 5


def test_download_progress_of_a_hub_model_is_shown(session_app, new_page, mic_browser, speech, tmp_path, monkeypatch):
    """Its download is shown while somebody speaks, of which nothing is lost; then for a file, and for an evaluation."""
    path, wanted = speech
    wave = load_audio(path)
    for name in ("a", "b", "c"):
        shutil.copytree(STARTER_DIR, tmp_path / f"hub/models/tiny/{name}")
    with hub.serve(tmp_path / "hub") as served:
        for name, value in served.env(tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        app = type(session_app)(tmp_path / "runs")
        app.start()
        try:
            page = new_page(within=mic_browser(write_mic_file(wave, tmp_path / "mic.wav")))
            page.goto(app.link())
            open_tab(page, "tiny/a")
            served.bytes_per_second = 500_000
            part(page, "record").click()
            expect(part(page, "note")).to_contain_text("Fetching tiny/a: ")
            page.wait_for_timeout(1000 * wave.duration_s)
            part(page, "record").click()
            expect(part(page, "record")).to_have_text("Finishing…")
            served.bytes_per_second = None
            expect(part(page, "note")).to_contain_text("tiny/a · ")
            assert similarity(shown(page), wanted) > 0.75

            served.bytes_per_second = 500_000
            open_tab(page, "tiny/b")
            upload(page, path)
            expect(part(page, "note")).to_contain_text("Fetching tiny/b: ")
            served.bytes_per_second = None
            expect(part(page, "note")).to_contain_text("a talk.wav · tiny/b · ")
            assert shown(page) == [word["word"] for word in wanted]

            served.bytes_per_second = 500_000
            open_tab(page, "tiny/c")
            page.get_by_text("Evaluate the model on a dataset").click()
            evaluation = page.locator("#evaluation")
            evaluation.locator("[data-part=dataset]").fill("callsigns")
            evaluation.locator("[data-part=evaluate]").click()
            expect(evaluation.locator("[data-part=note]")).to_contain_text("Fetching tiny/c: ")
            evaluation.locator("[data-part=cancel]").click()
            expect(evaluation.locator("[data-part=error]")).to_contain_text("Cancelled")

            app.kill()
            part(page, "play").click()
            expect(part(page, "error")).to_contain_text("the app is not responding")
            part(page, "record").click()
            expect(part(page, "error")).to_have_text("The app is not responding; try again in a moment.")
            expect(part(page, "record")).to_have_text("Record")
        finally:
            app.kill()
