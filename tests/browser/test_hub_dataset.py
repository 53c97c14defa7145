"""A dataset of the Hub: its configurations and splits are offered, and its download shows progress.

The app's Hub client talks to a fake Hub on the loopback.
"""

import re
from pathlib import Path

import pyarrow
import pytest
from playwright.sync_api import expect
from pyarrow import parquet

from asrkit.data import sources
from tests.support import hub

CONFIGS = """---
configs:
- config_name: en
  data_files: [{split: train, path: en/train-*}, {split: validation, path: en/validation-*}]
- config_name: es
  data_files: [{split: train, path: es/train-*}]
---
"""


@pytest.fixture
def hub_server(tmp_path):
    clips = sources.load("callsigns").train[:10]
    for split, some in (("en/train", clips[:5]), ("en/validation", clips[5:8]), ("es/train", clips[8:])):
        file = tmp_path / f"hub/datasets/tiny/two/{split}-00000-of-00001.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(
            pyarrow.table(
                {
                    "audio": [{"bytes": Path(clip.audio).read_bytes(), "path": None} for clip in some],
                    "sentence": [clip.text for clip in some],
                    "noise": [bytes(99_999)] * len(some),
                }
            ),
            file,
            compression="none",
        )
    (tmp_path / "hub/datasets/tiny/two/README.md").write_text(CONFIGS)
    (tmp_path / "hub/datasets/tiny/gated").mkdir()
    (tmp_path / "hub/datasets/tiny/gated/a.txt").write_text("hi")
    with hub.serve(tmp_path / "hub") as started:
        started.gated.add("tiny/gated")
        yield started


@pytest.fixture
def page(hub_server, session_app, new_page, tmp_path, monkeypatch):
    for name, value in hub_server.env(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    app = type(session_app)(tmp_path / "runs")
    app.start()
    opened = new_page()
    opened.goto(app.link())
    opened.get_by_role("tab", name="Data").click()
    yield opened
    app.kill()


def part(page, name):
    return page.locator(f"#data [data-part='{name}']")


def load(page, name):
    part(page, "path").fill(name)
    page.get_by_role("button", name="Load", exact=True).click()


def options(page, name):
    return part(page, name).locator("option").all_inner_texts()


def test_hub_dataset_is_chosen_from_lists_and_downloaded(page, hub_server):
    load(page, "hub:tiny/nothing")
    expect(part(page, "notice")).to_contain_text("tiny/nothing")
    load(page, "hub:tiny/gated")
    expect(part(page, "notice")).to_contain_text("gated")
    expect(part(page, "offer")).to_be_hidden()
    load(page, "hub:tiny/two")
    expect(part(page, "offer")).to_be_visible()
    assert options(page, "config") == ["choose one", "en", "es"] and part(page, "fetch").is_disabled()
    part(page, "config").select_option("en")
    expect(part(page, "split").locator("option")).to_have_count(3)
    assert [words.partition(" (")[0] for words in options(page, "split")] == [
        "train and validation",
        "train",
        "validation",
    ]
    hub_server.bytes_per_second = 40_000
    page.get_by_role("button", name="Download", exact=True).click()
    expect(part(page, "busy")).to_contain_text(re.compile("Fetching tiny/two: .* of .*[kM]B"))
    hub_server.bytes_per_second = None
    expect(part(page, "facts")).to_contain_text("5 to train on, 3 to evaluate on")
    assert part(page, "path").input_value() == "hub:tiny/two:en"
    part(page, "split").select_option("hub:tiny/two:en:validation")
    page.get_by_role("button", name="Download", exact=True).click()
    expect(part(page, "facts")).to_contain_text("3 clips")
    assert {"sentence", "audio"} <= set(options(page, "text_column"))
    page.get_by_role("button", name="Train on this").click()
    expect(page.locator("#field-train input")).to_have_value("hub:tiny/two:en:validation")
    hub_server.broken.add("tiny/two")
    page.get_by_role("tab", name="Data").click()
    load(page, "hub:tiny/other")
    expect(part(page, "notice")).to_contain_text("tiny/other")
