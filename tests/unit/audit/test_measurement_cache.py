"""The cache of measured clips: unchanged files are not read again, and everything else is."""

import os
import shutil
import time

import pytest

from asrkit.audio.confined import AudioReader, Measured
from asrkit.audio.notes import AudioNote
from asrkit.audit import clips, inspection, measurement_cache
from asrkit.audit.clips import Limits
from asrkit.data import access
from asrkit.data.file_cache import FileCache
from asrkit.data.manifest import Utterance
from asrkit.data.sources import Source


@pytest.fixture
def cache(tmp_path):
    with FileCache(tmp_path / "cache" / "clips.sqlite") as cache:
        yield cache


@pytest.fixture
def decoded(monkeypatch):
    """The files that were read, since it was cleared."""
    files, measure = [], AudioReader.measure

    def count(reader, parts, max_decoded_s):
        files.extend(os.path.basename(part.path) for part in parts)
        return measure(reader, parts, max_decoded_s)

    monkeypatch.setattr(AudioReader, "measure", count)
    return files


def make_rows(clip, names):
    """Utterances of clips that were recorded a minute ago."""
    return [age(Utterance(str(clip(name, 0.5 + 0.01 * number)), "hello", 1.0)) for number, name in enumerate(names)]


def age(row, seconds=60.0):
    os.utime(row.audio, (time.time() - seconds,) * 2)
    return row


def check(rows, cache, decode=True, **limits):
    return list(clips.check_clips(rows, Limits(**limits), decode, cache))


def test_only_new_clips_are_decoded(clip, cache, decoded):
    rows = make_rows(clip, [f"{number}.wav" for number in range(100)])
    first = check(rows, cache)
    assert len(decoded) == 100
    decoded.clear()
    rows += make_rows(clip, ["new.wav"])
    again = check(rows, cache)
    assert decoded == ["new.wav"] and again[:100] == first == check(rows[:100], None)


def test_a_changed_file_is_decoded_again(clip, cache, decoded):
    rows = make_rows(clip, ["a.wav", "b.wav", "c.wav"])
    check(rows, cache)
    decoded.clear()
    age(rows[0], 30.0)
    shutil.copy2(rows[1].audio, f"{rows[1].audio}.copy")
    os.replace(f"{rows[1].audio}.copy", rows[1].audio)
    check(rows, cache)
    assert decoded == ["a.wav", "b.wav"]


def test_an_audit_that_was_stopped_goes_on(clip, cache, decoded, tmp_path):
    rows = make_rows(clip, [f"{number}.wav" for number in range(4 * clips.BATCH_CLIPS)])
    found = clips.check_clips(rows, Limits(), True, cache)
    for _ in range(2 * clips.BATCH_CLIPS):
        next(found)
    found.close()
    cache.close()
    decoded.clear()
    with FileCache(cache.path) as reopened:
        check(rows, reopened)
    assert sorted(decoded) == sorted(os.path.basename(row.audio) for row in rows[2 * clips.BATCH_CLIPS :])


def test_headers_and_decoded_audio_are_kept_apart(clip, cache, decoded):
    rows = make_rows(clip, ["a.wav"])
    assert check(rows, cache, decode=False)[0].stats is None
    assert check(rows, cache)[0].stats is not None
    assert check(rows, cache, decode=False)[0].stats is None
    assert decoded == ["a.wav", "a.wav"]


def test_headers_of_decoded_clips_are_not_read_again(clip, cache, decoded):
    rows = make_rows(clip, ["a.wav", "b.wav"])
    checked = check(rows[:1], cache)
    decoded.clear()
    (again, _) = check(rows, cache, decode=False)
    assert decoded == ["b.wav"]
    assert again.stats is None and again.row == checked[0].row


def test_headers_of_decoded_clips_with_notes_are_read(clip, cache, decoded, monkeypatch):
    rows = make_rows(clip, ["a.wav"])
    noted = Measured(0.5, None, (AudioNote("cut-short", "0.1 of 0.5 s"),))
    monkeypatch.setattr(AudioReader, "measure", lambda *_: [noted])
    check(rows, cache)
    monkeypatch.undo()
    assert not check(rows, cache, decode=False)[0].notes


def test_a_clip_that_was_too_long_is_decoded_with_another_limit(clip, cache, decoded):
    rows = make_rows(clip, ["a.wav"])
    assert check(rows, cache, max_duration_s=0.2)[0].code == "too-long"
    assert check(rows, cache)[0].stats is not None and len(decoded) == 2


def test_parts_of_one_file_are_kept_apart(clip, cache, decoded):
    path = make_rows(clip, ["a.wav"])[0].audio
    rows = [Utterance(path, "hi", 0.2, start_s=start_s, end_s=start_s + 0.2) for start_s in (0.0, 0.2)]
    first = check(rows, cache)
    assert check(rows, cache) == first and len(decoded) == 2


def test_what_cannot_be_read_and_what_is_new_is_tried_again(clip, cache, decoded, tmp_path):
    rows = [*make_rows(clip, ["a.wav"]), Utterance(str(clip("new.wav")), "hi", 1.0)]
    (tmp_path / "bad.wav").write_text("no audio")
    rows += [age(Utterance(str(tmp_path / "bad.wav"), "hi", 1.0)), Utterance(str(tmp_path / "gone.wav"), "hi", 1.0)]
    for _ in range(2):
        check(rows, cache)
    assert decoded[4:] == ["new.wav", "bad.wav", "gone.wav"]


@pytest.mark.parametrize("content", [b"no database" * 1000, b""])
def test_a_damaged_cache_is_begun_anew(tmp_path, clip, decoded, content):
    path = tmp_path / "clips.sqlite"
    path.write_bytes(content)
    rows = make_rows(clip, ["a.wav"])
    for _ in range(2):
        with FileCache(path) as cache:
            check(rows, cache)
    assert decoded == ["a.wav"]


def test_an_audit_needs_no_cache(tmp_path, clip, decoded, caplog):
    (tmp_path / "file").touch()
    rows = make_rows(clip, ["a.wav"])
    with FileCache(tmp_path / "file" / "clips.sqlite") as cache:
        assert check(rows, cache) == check(rows, None)
    assert "is not used" in caplog.text


def test_nothing_is_kept_of_visitors_and_of_small_data(tmp_path):
    with access.as_visitor("somebody"), measurement_cache.open_cache(tmp_path, 1000) as cache:
        assert cache is None
    with measurement_cache.open_cache(tmp_path, 1) as cache:
        assert cache is None
    with measurement_cache.open_cache(tmp_path, 1000) as cache:
        assert cache is not None


def test_a_sample_is_heard_first(clip, cache, decoded, monkeypatch):
    monkeypatch.setattr(inspection, "MIN_SAMPLED_CLIPS", 40)
    monkeypatch.setattr(inspection, "SAMPLE_CLIPS", 10)
    rows = make_rows(clip, [f"{number}.wav" for number in range(60)])
    samples = []

    def keep(sample):
        samples.append((sample, list(decoded)))

    whole = inspection.inspect(Source(rows, None, ""), Limits(), cache=cache, on_sample=keep)
    ((sample, heard),) = samples
    assert len(sample.clips) == 10 and sample.num_all == 60 and len(heard) == 10
    assert [rows[sample.index_in_dataset(index)].audio for index in range(10)] == [
        clip.row.audio for clip in sample.clips
    ]
    assert min(sample.drawn) < 20 and max(sample.drawn) >= 40, "spread over all of the data"
    assert len(decoded) == 60 and len(whole.clips) == 60, "no clip is heard twice"
    inspection.inspect(Source(rows[:39], None, ""), Limits(), on_sample=keep)
    assert len(samples) == 1, "few clips are heard at once"
