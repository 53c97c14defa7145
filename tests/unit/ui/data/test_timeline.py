"""The picture of a long recording in the Data tab, without a browser."""

import io

import numpy as np
import pytest
import soundfile

from asrkit.errors import AsrkitError, DataError
from asrkit.ui.data import timeline
from asrkit.ui.data.dataset_cache import DatasetCache
from asrkit.ui.data.timeline import TimelineApi
from tests.support.annotations import aligned_tier, make_eaf
from tests.support.waiting import wait_for

RATE, SECONDS = 8_000, 33.0


@pytest.fixture
def timeline_api():
    return TimelineApi(DatasetCache())


@pytest.fixture
def story(tmp_path):
    """A recording that becomes louder, with two speakers, and spans that are too short, too long and too late."""
    folder = tmp_path / "story"
    folder.mkdir()
    samples = np.linspace(0, 0.9, round(SECONDS * RATE)) * np.sin(np.arange(round(SECONDS * RATE)) / 3)
    soundfile.write(folder / "story.wav", samples, RATE)
    slots = [1000, 2000, 2000, 2050, 2500, 32_900, 32_950, 40_000]
    tiers = (
        aligned_tier(
            "tx@ana", ("a1", 0, 1, "um dia"), ("a2", 2, 3, "a b"), ("a3", 6, 7, "o fim"), type="tx", speaker="ana"
        ),
        aligned_tier("tx@beto", ("b1", 4, 5, "dois dias"), type="tx", speaker="beto"),
    )
    (folder / "story.eaf").write_text(make_eaf(*tiers, slots=slots))
    return folder


def find(api, folder, **fields):
    reply = api.list_recordings({"data": str(folder), **fields})
    return {"data": str(folder), "id": reply["recordings"][0]["id"], **fields}


def read_part(api, request, **times):
    part = api.open_part({**request, **{name: str(value) for name, value in times.items()}})
    return part, part.read(0, part.size_bytes)


def test_recordings_and_speakers_are_listed(timeline_api, story):
    reply = timeline_api.list_recordings({"data": str(story)})
    assert [(each["name"], each["clips"]) for each in reply["recordings"]] == [("story.wav", 4)]
    assert reply["speakers"] == ["ana", "beto"]


def test_dataset_of_single_clips_has_no_recordings(timeline_api, tmp_path, clip):
    clip("clips/a.wav")
    (tmp_path / "clips/a.txt").write_text("hello")
    assert timeline_api.list_recordings({"data": str(tmp_path / "clips")})["recordings"] == []


def test_spans_are_described_with_what_becomes_of_them(timeline_api, story):
    reply = timeline_api.list_spans(find(timeline_api, story))
    assert reply["duration_s"] == pytest.approx(SECONDS)
    ana, beto = reply["tiers"]
    assert ana["start"] == [1.0, 2.0, 32.95] and ana["end"] == [2.0, 2.05, 40.0] and ana["text"][0] == "um dia"
    described = [[reply["states"][state] for state in tier["state"]] for tier in (ana, beto)]
    assert described == [
        [
            {"kind": "used", "text": "Trained on"},
            {"kind": "out", "text": "Left out: too short"},
            {"kind": "out", "text": "Left out: it ends beyond the recording"},
        ],
        [{"kind": "out", "text": "Left out: too long"}],
    ]
    longer = timeline_api.list_spans(find(timeline_api, story) | {"settings": {"max_duration_s": 40.0}})
    assert longer["states"][longer["tiers"][1]["state"][0]]["kind"] != "out"


def test_chosen_tiers_come_first(timeline_api, story):
    reply = timeline_api.list_spans(find(timeline_api, story, tiers="tx@beto"))
    assert [(tier["name"], tier["is_chosen"]) for tier in reply["tiers"]] == [("tx@beto", True), ("tx@ana", False)]
    assert reply["states"][reply["tiers"][1]["state"][0]]["text"] == "Left out: another tier"


def test_clips_of_a_table_have_a_tier_for_each_speaker(timeline_api, story):
    (story / "story.eaf").unlink()
    lines = [
        "file_name,start_s,end_s,text,speaker",
        "story.wav,5,6,two,ann",
        "story.wav,1,2,one,",
        "story.wav,3,4,x,ann",
    ]
    (story / "metadata.csv").write_text("\n".join(lines))
    reply = timeline_api.list_spans(find(timeline_api, story))
    assert [(tier["name"], tier["start"]) for tier in reply["tiers"]] == [("clips", [1.0]), ("ann", [3.0, 5.0])]


def test_waveform_is_read_once_and_given_in_tiles(timeline_api, story, monkeypatch):
    request = find(timeline_api, story)

    def fetch(number, position):
        reply = timeline_api.show_waveform(request | {"number": number, "position": position})
        return reply if reply.get("error") or reply["is_complete"] else None

    whole = wait_for(lambda: fetch(4, 0), "the waveform")
    assert whole["bin_s"] == 0.01 and whole["known_s"] == pytest.approx(SECONDS)
    assert len(whole["high"]) == -(-3300 // 16) and whole["high"][-1] == pytest.approx(0.9 * 127, abs=2)
    assert whole["high"] == sorted(whole["high"])
    monkeypatch.setattr(timeline, "_read_waveform", lambda *_: pytest.fail("it was read again"))
    assert fetch(0, 3)["high"] and len(fetch(0, 3)["high"]) == 3300 - 3 * 1024
    assert fetch(0, 4)["high"] == []
    assert "no such part" in fetch(99, 0)["error"] and "no such part" in fetch(0, -1)["error"]


def test_part_is_a_wav_file_of_which_any_bytes_can_be_read(timeline_api, story):
    part, content = read_part(timeline_api, find(timeline_api, story), start=2, end=27.5)
    samples, rate = soundfile.read(io.BytesIO(content))
    assert rate == 16_000 and len(samples) == 25.5 * 16_000 and part.size_bytes == len(content)
    whole, _ = soundfile.read(story / "story.wav")
    loudness = [np.abs(part).max() for part in (whole[3 * RATE : 4 * RATE], samples[rate : 2 * rate])]
    assert loudness[0] == pytest.approx(loudness[1], rel=0.05)
    for start, stop in ((0, 10), (30, 100), (319_990, 320_100), (700_000, len(content)), (len(content), len(content))):
        assert part.read(start, stop) == content[start:stop]


def test_part_goes_to_the_end_by_default(timeline_api, story):
    request = find(timeline_api, story)
    assert read_part(timeline_api, request, start=32)[0].size_bytes == 44 + 2 * 16_000
    assert read_part(timeline_api, request)[0].size_bytes == 44 + 2 * 33 * 16_000


@pytest.mark.parametrize("times", [{"start": "x"}, {"start": "5", "end": "4"}, {"start": "99"}, {"start": "inf"}])
def test_times_that_are_none_are_one_sentence(timeline_api, story, times):
    with pytest.raises(DataError, match=r"^The recording has no such part\.$"):
        read_part(timeline_api, find(timeline_api, story), **times)


def test_other_files_cannot_be_named(timeline_api, story):
    request = find(timeline_api, story) | {"id": str(story / "story.wav"), "number": 0, "position": 0}
    for function in (timeline_api.list_spans, timeline_api.show_waveform):
        assert "no longer has that recording" in function(request)["error"]
    with pytest.raises(AsrkitError, match="no longer has that recording"):
        timeline_api.open_part(request)


def test_recording_that_is_gone_is_one_sentence(timeline_api, story):
    request = find(timeline_api, story) | {"number": 0, "position": 0}
    (story / "story.wav").unlink()
    for function in (timeline_api.list_spans, timeline_api.show_waveform):
        assert function(request)["error"].count(". ") == 0
    with pytest.raises(AsrkitError):
        timeline_api.open_part(request)
