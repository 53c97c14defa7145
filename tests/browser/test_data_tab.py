"""The Data tab: load a dataset, play its clips, check it, train on what can be used; or record one."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from asrkit import config as configs
from asrkit.audio import SAMPLING_RATE, load_audio
from asrkit.languages import guess_language
from asrkit.models import catalogue
from asrkit.runs.advice import advise, find_machine
from tests.support.annotations import aligned_tier, link, make_eaf, reference_tier
from tests.support.transcribe_page import expect_played, record_button_texts
from tests.support.waiting import wait_for

CALLSIGNS = Path(__file__).resolve().parents[2] / "assets" / "demo" / "callsigns"
RECORDER_HZ = 48_000


def field(page: Page, name: str):
    return page.locator(f"#field-{name} input")


def part(page: Page, name: str):
    return page.locator(f"#data [data-part='{name}']")


def open_data(open_page, **options) -> Page:
    page = open_page(**options)
    page.get_by_role("tab", name="Data").click()
    return page


def load(page: Page, data: object) -> None:
    part(page, "path").fill(str(data))
    page.get_by_role("button", name="Load", exact=True).click()
    expect(part(page, "clips").locator("tr").first).to_be_visible()


@pytest.fixture
def folder(tmp_path):
    """Thirty clips of the demo, a silent one, a duplicate, and one with digits in its text."""
    dataset = tmp_path / "mine"
    (dataset / "audio").mkdir(parents=True)
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = [(row["file_name"], row["text"], row["speaker"]) for row in list(csv.DictReader(file))[:30]]
    for name, _, _ in rows:
        shutil.copy(CALLSIGNS / name, dataset / name)
    soundfile.write(dataset / "silent.wav", np.zeros(16_000), 16_000)
    shutil.copy(CALLSIGNS / rows[0][0], dataset / "again.ogg")
    rows += [("silent.wav", "hello", "ann"), ("again.ogg", rows[0][1], rows[0][2]), (rows[1][0], "Alpha 42!", "ann")]
    with open(dataset / "metadata.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("file_name", "text", "speaker"), *rows])
    return dataset


def test_dataset_is_loaded_played_checked_and_trained_on_without_its_faults(open_page, app, folder):
    page = open_data(open_page)
    load(page, folder)
    expect(part(page, "layout")).to_have_text("folder with a metadata table")
    expect(part(page, "facts")).to_contain_text("33 clips")
    expect(part(page, "text_column")).to_have_value("text")
    expect(part(page, "pairs").locator("tr").first).to_contain_text("Alpha 42!alpha 42")
    play = part(page, "clips").get_by_role("button").first
    record_button_texts(play)
    play.click()
    expect_played(page)

    page.get_by_role("button", name="Check", exact=True).click()
    expect(part(page, "verdict")).to_contain_text("2 clips cannot be used")
    silent = page.locator("[data-finding=silent]")
    silent.locator("summary").click()
    expect(silent).to_contain_text("Nothing can be heard")
    digits = page.locator("[data-finding=unknown-characters]")
    digits.locator("summary").click()
    digits.get_by_role("button", name="Apply: numbers in en").click()
    expect(part(page, "verdict")).to_contain_text("1 clip cannot be used")
    expect(part(page, "pairs").locator("tr").first).to_contain_text("alpha forty two")
    expect(part(page, "train-note")).to_contain_text("Without 3 clips")  # the copies of two recordings, and silence
    page.get_by_role("button", name="Train on this").click()
    expect(page.get_by_role("tab", name="Train")).to_have_attribute("aria-selected", "true")
    expect(field(page, "train")).to_have_value(re.compile(r"/data/selections/mine-\w+\.jsonl$"))
    page.get_by_role("button", name="Advanced").click()
    expect(page.locator("#field-spell_numbers textarea")).to_have_value("en")
    field(page, "max_steps").fill("1")
    field(page, "max_steps").press("Tab")
    page.get_by_role("button", name="Start training").click()
    run = wait_for(lambda: next(iter(app.store.all()), None), "a run")
    assert '"code": "duplicate-audio"' in run.audit_path.read_text()
    assert run.config().text_rules == "basic+numbers:en"


def test_french_is_proposed_and_starts_to_train_with_one_click(open_page, app, folder):
    for path in folder.glob("*.*"):
        path.unlink()
    names = sorted(path.name for path in (folder / "audio").iterdir())[:12]
    lines = [f"audio/{name},il est à {number} km" for number, name in enumerate(names, 2)]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text", *lines]), encoding="utf-8")
    page = open_data(open_page)
    load(page, folder)
    expect(part(page, "spell_numbers")).to_have_value("fr")
    expect(part(page, "language-note")).to_contain_text("French. Their numbers are written in it")
    expect(part(page, "pairs").locator("tr").first).to_contain_text(re.compile("à (deux|trois|quatre|[a-z ]+) km"))
    page.get_by_role("button", name="Train on this").click()
    expect(page.get_by_role("tab", name="Train")).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="Start training").click()
    run = wait_for(lambda: next(iter(app.store.all()), None), "a run")
    config = run.config()
    assert (config.text_rules, config.language, config.vocabulary) == ("basic+numbers:fr", "fr", "auto")
    run.set_flag("cancel")


def test_advice_fills_the_form_of_train(open_page, app, folder):
    """From a dataset to the advice, to a form that only needs Start; other bases are found there by language."""
    page = open_data(open_page)
    load(page, folder)
    page.get_by_role("button", name="Check", exact=True).click()
    expect(part(page, "advice")).to_contain_text("Advice: ")
    with open(folder / "metadata.csv", encoding="utf-8", newline="") as file:
        language = guess_language(row["text"] for row in csv.DictReader(file))
    advised = advise(1 / 60, language, find_machine())  # the same for any few minutes
    page.get_by_role("button", name="Train as advised").click()
    expect(page.get_by_role("tab", name="Train")).to_have_attribute("aria-selected", "true")
    base = catalogue.find_model(advised.base)
    assert base is not None, "the starter is advised for more speech than this"
    expect(field(page, "model")).to_have_value(base.label)
    expect(field(page, "preset")).to_have_value(configs.load_preset(advised.preset).title)
    page.get_by_role("button", name="Show the command").click()
    model = f" --set model={base.id}" if configs.load_preset(advised.preset).config.model != base.id else ""
    expect(page.locator("#command textarea")).to_have_value(re.compile(f"--preset {advised.preset}{model} "))
    if not base.is_commercial:
        expect(page.locator("#forecast")).to_contain_text("non-commercial use")
    field(page, "model").fill("")
    field(page, "model").press_sequentially("swh")  # the list follows the keys
    page.get_by_role("option", name="Swahili (sw, swh): hf-audio/omniasr-ctc-300m-v2").click()
    expect(page.locator("#command textarea")).to_have_value(re.compile("model=hf-audio/omniasr-ctc-300m-v2"))


def test_uploaded_archive_becomes_a_dataset(open_page, folder, app):
    archive = shutil.make_archive(str(folder.parent / "My clips (1)"), "zip", folder)
    page = open_data(open_page)
    part(page, "files").set_input_files(archive)
    expect(part(page, "facts")).to_contain_text("33 clips")
    expect(part(page, "path")).to_have_value(str(app.store.data_dir / "My-clips-1"))
    expect(page.get_by_role("button", name="My-clips-1")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bad.zip", b"no archive", "bad.zip is not a readable archive"),
        ("virus.exe", b"MZ", "virus.exe is neither a recording nor a table nor an archive"),
    ],
)
def test_invalid_upload_shows_one_sentence(open_page, app, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    before = set(app.store.data_dir.glob("*"))
    page = open_data(open_page)
    part(page, "files").set_input_files(tmp_path / name)
    expect(part(page, "notice")).to_contain_text(words)
    assert set(app.store.data_dir.glob("*")) == before


def test_missing_path_shows_one_sentence(open_page):
    page = open_data(open_page)
    part(page, "path").fill("/nothing/here")
    page.get_by_role("button", name="Load", exact=True).click()
    expect(part(page, "notice")).to_contain_text("There is no data at '/nothing/here'")
    expect(part(page, "summary")).to_be_hidden()


def write_voice(folder):
    """Write a WAV file for Chromium's microphone, which repeats it; return its path, its text and its seconds."""
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if len(row["text"].split()) == 4)
    clip = load_audio(CALLSIGNS / row["file_name"]).samples
    at = np.arange(0, len(clip), SAMPLING_RATE / RECORDER_HZ)
    loud = np.interp(at, np.arange(len(clip)), clip) * 0.5 / np.abs(clip).max()
    soundfile.write(folder / "voice.wav", loud, RECORDER_HZ, subtype="PCM_16")
    return folder / "voice.wav", row["text"], len(clip) / SAMPLING_RATE


def test_five_recorded_sentences_train_a_model(open_page, app, mic_browser, tmp_path):
    """From a microphone alone to a trained model; a reload in the middle loses nothing."""
    voice, text, seconds = write_voice(tmp_path)
    page = open_data(open_page, within=mic_browser(voice, loops=True))
    page.get_by_role("button", name="Record your own").click()
    part(page, "record-name").fill("my test voice")
    part(page, "record-list").select_option("own")
    part(page, "record-text").fill("\n".join(f"{text} {word}" for word in ("alpha", "bravo", "kilo", "lima", "papa")))
    page.get_by_role("button", name="Start", exact=True).click()
    for number in range(5):
        expect(part(page, "record-count")).to_contain_text(f"{number} clip")
        part(page, "record-start").click()
        expect(part(page, "record-stop")).to_be_visible()
        page.wait_for_timeout(1000 * seconds)  # speaking takes the time that it takes
        if number == 1:  # in the middle of a recording
            page.wait_for_timeout(1500)
            page.reload()
            page.get_by_role("tab", name="Data").click()
            expect(part(page, "record-note")).to_contain_text("Play it, or save it.")
        else:
            part(page, "record-stop").click()
        expect(part(page, "record-note")).to_contain_text("Play it, or save it.")
        if number == 2:
            page.reload()
            page.get_by_role("tab", name="Data").click()
            expect(part(page, "record-count")).to_contain_text("2 clips recorded")
            expect(part(page, "prompt")).to_have_text(f"{text} kilo")
        part(page, "record-save").click()
    expect(part(page, "prompt")).to_have_text("All sentences are recorded.")
    page.get_by_role("button", name="Load this dataset").click()
    expect(part(page, "facts")).to_contain_text("5 clips")
    row = part(page, "clips").locator("tr").nth(1)
    row.get_by_role("button", name=re.compile("^Correct the text")).click()
    row.locator("input").fill(f"{text} tango")
    row.locator("input").press("Enter")
    expect(row).to_contain_text(f"{text} tango")
    expect(row.locator(".play")).to_be_focused()
    page.get_by_role("button", name="Check", exact=True).click()
    expect(part(page, "verdict")).to_contain_text("Ready to train on.")
    expect(part(page, "estimate")).to_contain_text(re.compile(r"uses the preset A few clips\. About \d+ steps"))
    expect(part(page, "advice")).to_contain_text("Advice: 1 minute of ")
    page.get_by_role("button", name="Train on this").click()
    expect(field(page, "num_epochs")).to_have_value("40")
    expect(page.locator("#forecast")).to_contain_text(re.compile(r"About \d+ steps"))  # recordings differ in length
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#live [data-part=outcome]")).to_contain_text("Finished.", timeout=600_000)

    from asrkit.transcription.transcriber import Transcriber

    run = next(iter(app.store.all()))
    recorded = sorted((app.store.data_dir / "my test voice" / "clips").glob("*.flac"))
    assert len(recorded) == 5
    heard = Transcriber(str(run.model_dir)).transcribe(load_audio(recorded[0])).text
    letters = heard.replace(" ", "")  # of five sentences, spaces are learned last
    assert any(word in letters for word in text.split()), heard


def test_leaving_the_recorder_keeps_the_take_and_closes_the_microphone(open_page, mic_browser, tmp_path):
    page = open_data(open_page, within=mic_browser(write_voice(tmp_path)[0]))
    page.evaluate("""() => {
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      window.heard = [];
      navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await ask(wanted);
        window.heard.push(stream);
        return stream;
      };
    }""")
    page.get_by_role("button", name="Record your own").click()
    part(page, "record-name").fill("left early")
    part(page, "record-list").select_option("own")
    part(page, "record-text").fill("Mine.")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(part(page, "prompt")).to_have_text("Mine.")
    part(page, "record-list").select_option("en")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(part(page, "others")).to_contain_text("already has its own sentences")
    expect(part(page, "prompt")).to_have_text("Mine.")
    part(page, "record-start").dblclick()  # before the microphone is open
    expect(part(page, "record-stop")).to_be_visible()
    page.wait_for_timeout(700)  # a recording takes the time that it takes
    page.locator("#data [data-source='add']").click()
    assert page.evaluate("() => window.heard.map((stream) => stream.active)") == [False]
    page.get_by_role("button", name="Record your own").click()
    expect(part(page, "record-save")).to_be_visible()
    page.get_by_role("button", name="Use the chosen sentences instead").click()
    expect(part(page, "prompt")).not_to_have_text("Mine.")
    expect(part(page, "others")).to_be_hidden()


WAKE_LOCK = """() => {
  window.locks = [];
  Object.defineProperty(navigator, "wakeLock", { value: { request: async (kind) => {
    const lock = { kind, released: false, release: async () => { lock.released = true; } };
    window.locks.push(lock);
    return lock;
  } } });
}"""


def test_screen_of_a_phone_stays_on_while_its_microphone_is_open(open_page, mic_browser, tmp_path):
    page = open_data(open_page, within=mic_browser(write_voice(tmp_path)[0]), viewport={"width": 390, "height": 844})
    page.evaluate(WAKE_LOCK)
    page.get_by_role("button", name="Record your own").click()
    part(page, "record-name").fill("on a phone")
    part(page, "record-list").select_option("own")
    part(page, "record-text").fill("Mine.")
    page.get_by_role("button", name="Start", exact=True).click()
    assert page.evaluate("window.locks.length") == 0
    part(page, "record-start").click()
    expect(part(page, "record-stop")).to_be_in_viewport(ratio=1)
    page.wait_for_function("window.locks.length === 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # The browser lets go of the lock of a page that is hidden; shown again, it asks for another, once.
    page.evaluate("""() => {
      window.locks[0].released = true;
      for (let i = 0; i < 2; i++) document.dispatchEvent(new Event("visibilitychange"));
    }""")
    page.wait_for_function("window.locks.length >= 2 && window.locks.filter((each) => !each.released).length === 1")
    part(page, "record-stop").click()
    page.locator("#data [data-source='add']").click()  # closes the microphone
    page.wait_for_function("window.locks.every(({ kind, released }) => kind === 'screen' && released)")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert page.evaluate("window.locks.every(({ released }) => released)")


def test_long_recording_is_aligned_with_its_text_and_loaded(open_page, app, tmp_path):
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:12]
    pause = np.zeros(SAMPLING_RATE // 2, np.float32)
    parts = [part for row in rows for part in (load_audio(CALLSIGNS / row["file_name"]).samples, pause)]
    soundfile.write(tmp_path / "long.flac", np.concatenate(parts), SAMPLING_RATE)
    page = open_data(open_page)
    page.get_by_role("button", name="Align a long recording").click()
    page.get_by_role("button", name="Align", exact=True).click()
    expect(part(page, "notice")).to_have_text("Choose the recording.")
    part(page, "align-audio").set_input_files(tmp_path / "long.flac")
    expect(part(page, "align-chosen")).to_have_text("long.flac")
    part(page, "align-text").fill("\n".join(row["text"] for row in rows))
    part(page, "align-model").select_option("starter")
    page.get_by_role("button", name="Align", exact=True).click()
    expect(part(page, "align-summary")).to_contain_text("words.", timeout=60_000)
    play = part(page, "align-clips").get_by_role("button").first
    record_button_texts(play)
    play.click()
    expect_played(page)
    page.get_by_role("button", name="Use this dataset").click()
    expect(part(page, "layout")).to_have_text("folder with a metadata table")
    expect(part(page, "path")).to_have_value(re.compile("long$"))


def write_story(folder: Path) -> Path:
    """An annotated recording of a minute with two speakers, a translation, an empty span and an unsure one."""
    folder.mkdir()
    soundfile.write(
        folder / "story.wav", np.resize(load_audio(first_clip()).samples, 60 * SAMPLING_RATE), SAMPLING_RATE
    )
    slots = [1000 * second for second in range(60)]
    ana = [(f"a{n}", 4 * n, 4 * n + 2, f"first sentence {n}") for n in range(10)]
    ana += [("a10", 41, 43, ""), ("a11", 44, 46, "xxx")]
    tiers = (
        aligned_tier("tx@ana", *ana, type="tx", speaker="ana"),
        reference_tier(
            "ft@ana", *((f"f{n}", f"a{n}", "", f"translated {n}") for n in range(10)), type="ft", parent="tx@ana"
        ),  # fmt: skip
        aligned_tier(
            "tx@beto",
            *((f"b{n}", 4 * n + 2, 4 * n + 4, f"other voice {n}") for n in range(5)),
            type="tx",
            speaker="beto",
        ),  # fmt: skip
    )
    (folder / "story.eaf").write_text(make_eaf(*tiers, slots=slots, media=link("file:///C:/Users/ana/story.wav")))
    return folder


def first_clip() -> Path:
    with open(CALLSIGNS / "metadata.csv", encoding="utf-8", newline="") as file:
        return CALLSIGNS / next(csv.DictReader(file))["file_name"]


def tier_box(page: Page, name: str):
    return part(page, "tiers-list").get_by_role("checkbox", name=name)


def test_tiers_and_speakers_are_chosen_in_the_picture_of_a_recording(open_page, app, tmp_path):
    page = open_data(open_page, viewport={"width": 390, "height": 844})
    load(page, write_story(tmp_path / "story"))
    counts, detail = part(page, "span-counts"), part(page, "span-detail")
    expect(counts).to_contain_text("15 × Trained on")
    expect(counts).to_contain_text("1 × Left out: no text")
    expect(counts).to_contain_text("1 × Left out: only a mark such as xxx")
    expect(tier_box(page, "tx@ana")).to_be_checked()
    expect(tier_box(page, "ft@ana")).not_to_be_checked()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

    # By keyboard: the next span, the tier below, its sound, a closer view.
    part(page, "span-scroll").focus()
    page.keyboard.press("ArrowRight")
    expect(detail).to_contain_text("first sentence 1")
    page.keyboard.press("ArrowDown")
    expect(detail).to_contain_text("other voice 1")
    with page.expect_response(lambda response: "/audio/part.wav" in response.url) as sound:
        page.keyboard.press("Enter")
    assert sound.value.status == 206 and "start=6&end=8" in sound.value.url
    widths = "(name) => document.querySelector(`#data [data-part=${name}]`).clientWidth"
    before = page.evaluate(widths, "span-extent")
    page.keyboard.press("+")
    assert page.evaluate(widths, "span-extent") == pytest.approx(2 * before, abs=2)
    page.keyboard.press("0")

    # By a click: a span of the first lane. Coloured pixels there show that it is drawn.
    canvas = part(page, "span-canvas")
    x, y = canvas.bounding_box()["width"] * 17 / 60, 20 + 84 + 20
    assert page.evaluate(
        """([x, y]) => {
          const canvas = document.querySelector("#data [data-part=span-canvas]");
          const at = (px) => String(canvas.getContext("2d").getImageData(px, y, 1, 1).data);
          return at(x) !== at(canvas.width - 5);
        }""",
        [x, y],
    )
    canvas.click(position={"x": x, "y": y})
    expect(detail).to_contain_text("first sentence 4")
    expect(detail).to_contain_text("Trained on")

    # Other tiers and speakers are read, and trained on.
    tier_box(page, "tx@ana").uncheck()
    tier_box(page, "tx@beto").uncheck()
    part(page, "tiers-apply").click()
    expect(part(page, "notice")).to_have_text("Choose at least one tier.")
    tier_box(page, "ft@ana").check()
    part(page, "tiers-apply").click()
    expect(part(page, "facts")).to_contain_text("10 clips")
    expect(part(page, "clips")).to_contain_text("translated 0")
    expect(counts).to_contain_text("10 × Trained on")
    part(page, "tiers-reset").click()
    expect(part(page, "facts")).to_contain_text("15 clips")
    part(page, "tier-speakers").get_by_role("checkbox", name="ana").uncheck()
    part(page, "tiers-apply").click()
    expect(part(page, "facts")).to_contain_text("5 clips")
    expect(counts).to_contain_text("10 × Left out: another speaker")
    expect(part(page, "tier-speakers").get_by_role("checkbox", name="ana")).not_to_be_checked()
    with page.expect_response(lambda reply: "prepare_training" in (reply.request.post_data or "")) as prepared:
        part(page, "train-on").click()
    assert prepared.value.json()["settings"]["tiers"] == '"tx@ana", "tx@beto", "speaker:beto"'
