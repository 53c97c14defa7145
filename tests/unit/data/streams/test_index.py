"""Texts first, audio later: the index of parquet files on the Hub, and the pieces of their clips."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from asrkit.audio import load_audio
from asrkit.data.readers import parquet
from asrkit.data.readers.columns import NO_CHOICE, ColumnChoice
from asrkit.data.streams import origins
from asrkit.data.streams.clips import StreamedClips
from asrkit.data.streams.index import index_files, restore_files
from asrkit.errors import AudioError, DataError
from tests.support import streams
from tests.support.waiting import wait_for

PATHS = ["data/train-0.parquet", "data/train-1.parquet"]


@pytest.fixture
def clips():
    store = StreamedClips(1 << 30)
    yield store
    store.close()


def read(served, clips, paths=PATHS, choice=NO_CHOICE):
    files = index_files(served.repository(), paths, choice.audio or "", clips)
    return [row for file in files for row in parquet.read(file, None, choice).utterances]


def test_texts_and_lengths_are_read_without_the_audio(served, clips):
    folder = served.root / "datasets" / streams.NAME
    for number in range(20):
        streams.write_parquet(folder / f"data/more-{number}.parquet", [4.0] * 8, 2)
    paths = sorted(served.repository().sizes)
    rows = read(served, clips, paths)
    assert len(rows) == 172 and not any(row.fault for row in rows)
    assert rows[0].text == "number 0" and rows[0].row == "more-0.parquet row 0"
    total = sum(served.repository().sizes.values())
    assert sum(served.sent.values()) < 0.2 * total + 22 * (1 << 16)  # a few samples, and the ends of the files
    assert sum(row.duration_s for row in rows) == pytest.approx(655, rel=0.05)


def test_clip_is_that_of_its_row(served, clips):
    rows = read(served, clips)
    for row, hertz in zip(rows[6:], range(200, 260, 10), strict=True):
        with clips.hold(row.audio):
            samples = load_audio(row.audio).samples
        spectrum = np.abs(np.fft.rfft(samples))
        assert np.argmax(spectrum) * 16_000 / len(samples) == pytest.approx(hertz, abs=2)


def test_each_piece_is_fetched_once(served, clips):
    rows = read(served, clips)
    for row in rows * 3:
        with clips.hold(row.audio):
            assert Path(row.audio).is_file()
    before = dict(served.sent)
    for row in rows:
        with clips.hold(row.audio):
            pass
    assert served.sent == before
    assert all(served.sent[path] < 1.2 * served.repository().sizes[path] + (1 << 16) for path in PATHS)


def test_index_is_fetched_once(served, clips):
    first = read(served, clips)
    for row in first[:3]:  # which makes no difference to the lengths
        with clips.hold(row.audio):
            pass
    served.sent.clear()
    assert read(served, clips) == first
    assert not served.sent


def test_lost_cache_is_made_again_from_what_a_run_knows(served, clips):
    rows = read(served, clips)
    known = {folder: origin.to_json() for folder, origin in origins.list_origins(row.audio for row in rows).items()}
    shutil.rmtree(origins.cache_root())
    restore_files(json.loads(json.dumps(known)))
    later = StreamedClips(1 << 30)
    for row in rows:
        with later.hold(row.audio):
            assert load_audio(row.audio).duration_s > 0.4
    later.close()
    served.sent.clear()
    restore_files(known)
    assert not served.sent


def test_small_cache_gives_up_pieces(served):
    small = StreamedClips(150_000)  # of six pieces of some 80 kB
    rows = read(served, small)
    for row in rows:
        with small.hold(row.audio):
            assert Path(row.audio).is_file()
        kept = [path.stat().st_size for path in origins.cache_root().glob("*/*/*/*.wav")]
        assert sum(kept) <= 150_000
    small.close()


def test_pieces_are_fetched_ahead(served, clips):
    rows = read(served, clips)
    pieces = list(dict.fromkeys(origins.piece_of(row.audio) for row in rows))
    assert len(pieces) == 6
    clips.fetch_ahead(pieces)
    wait_for(lambda: all(Path(row.audio).is_file() for row in rows), "all clips")


def test_lengths_of_a_column_are_used_in_its_unit(served, clips):
    folder = served.root / "datasets" / streams.NAME
    lengths_s = [1.0, 3.0, 1.0, 3.0]
    milliseconds = [1000 * seconds for seconds in lengths_s]
    streams.write_parquet(folder / "data/timed.parquet", lengths_s, 2, duration=milliseconds)
    rows = read(served, clips, ["data/timed.parquet"])
    assert [row.duration_s for row in rows] == lengths_s


def test_estimated_lengths_follow_the_texts(served, clips):
    folder = served.root / "datasets" / streams.NAME
    streams.write_parquet(
        folder / "data/long.parquet", [1.0, 3.0], 2, ["short", "a far longer text that takes its time"]
    )
    short, long = read(served, clips, ["data/long.parquet"])
    assert 1.5 < long.duration_s / short.duration_s < 5
    assert short.duration_s + long.duration_s == pytest.approx(4.0, rel=0.05)


def test_file_without_recordings_is_refused(served, clips):
    import pyarrow
    from pyarrow import parquet as arrow_parquet

    path = served.root / "datasets" / streams.NAME / "data/texts.parquet"
    arrow_parquet.write_table(pyarrow.table({"audio": ["a.wav"], "text": ["a"]}), path)
    with pytest.raises(DataError, match="no column with the bytes of recordings.*set stream to no"):
        read(served, clips, ["data/texts.parquet"])
    with pytest.raises(DataError, match="no column 'speech' with"):
        read(served, clips, PATHS, ColumnChoice(audio="speech"))


@pytest.mark.parametrize("content", [b"no parquet at all", b"PAR1" + bytes(50) + b"\xff\xff\xff\x7fPAR1"])
def test_damaged_file_is_named(served, clips, content):
    path = served.root / "datasets" / streams.NAME / "data/bad.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"data/bad\.parquet of tiny/streamed is no parquet file"):
        read(served, clips, ["data/bad.parquet"])


def test_damaged_piece_is_an_error_of_its_clips(served, clips):
    rows = read(served, clips)
    number = next(n for n, row in enumerate(rows) if not Path(row.audio).exists())
    group = origins.load_origin(Path(rows[number].audio).parents[1]).groups[int(Path(rows[number].audio).parent.name)]
    path = served.root / "datasets" / streams.NAME / PATHS[number // 6]
    content = bytearray(path.read_bytes())
    content[group.start : group.start + 500] = b"\xff" * 500
    commit = served.repository().commit
    path.write_bytes(content)
    served.aliases[commit] = served.repository().commit
    with pytest.raises(AudioError, match="Row group . of "), clips.hold(rows[number].audio):
        pass


def test_other_files_are_not_streamed(tmp_path):
    assert origins.piece_of(str(tmp_path / "a.wav")) == ""
    assert origins.piece_of(str(tmp_path / origins.FOLDER / "source/file/000000/a.wav")) == ""
    assert list(origins.list_readable(["/a.wav"])) == ["/a.wav"]


def test_readers_are_allowed_the_folder_of_the_source(served, clips):
    rows = read(served, clips)
    audio = [row.audio for row in rows]
    assert list(origins.list_readable([*audio, "/a.wav"])) == [
        str(origins.source_folder(served.repository())),
        "/a.wav",
    ]
    assert len(origins.list_origins(audio)) == 2
