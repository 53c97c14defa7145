"""Shards: what is written is read again, by this package and by others; interrupted work goes on."""

import io
import json
import tarfile

import numpy as np
import pytest
import soundfile

from asrkit.data import shards, sources
from asrkit.data.manifest import Utterance
from asrkit.errors import DataError

RATE = 16_000


@pytest.fixture
def dataset(tmp_path):
    """Twelve clips of 0.2 s of two speakers, each of a tone of its own; three to evaluate on."""
    folder = tmp_path / "clips"
    for index in range(12):
        split = "test" if index >= 9 else "train"
        path = folder / split / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(index), RATE)
    for split, indices in (("train", range(9)), ("test", range(9, 12))):
        rows = [f"{index}.wav,text {index},{'ann' if index % 2 else 'bob'}" for index in indices]
        (folder / split / "metadata.csv").write_text("\n".join(["file_name,text,speaker", *rows]))
    return folder


def tone(index):
    return 0.5 * np.sin(2 * np.pi * (200 + 100 * index) * np.arange(RATE // 5) / RATE)


def write(dataset, out, **options):
    return shards.write_shards(sources.load(str(dataset)), out, **{"max_bytes": 20_000} | options)


def dominant_hz(path):
    samples, rate = soundfile.read(path)
    return np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples)


@pytest.mark.parametrize("audio_format", ["flac", "opus"])
def test_shards_are_a_dataset_with_its_splits_and_speakers(dataset, tmp_path, audio_format):
    counts = write(dataset, tmp_path / "out", audio_format=audio_format)
    assert counts.num_clips == 12 and not counts.left_out and counts.seconds == pytest.approx(2.4)
    assert len([name for name in counts.shards if name.startswith("train-")]) > 1
    read = sources.load(str(tmp_path / "out"))
    assert (len(read.train), len(read.eval or read.test)) == (9, 3)
    for row in read.utterances:
        index = int(row.text.removeprefix("text "))
        assert row.speaker == ("ann" if index % 2 else "bob")
        assert dominant_hz(row.audio) == pytest.approx(200 + 100 * index, abs=5)
    assert not read.notes


def test_order_is_random_and_the_same_each_time(dataset, tmp_path):
    def texts(out):
        found = []
        for path in sorted(out.glob("train-*.tar")):
            with tarfile.open(path) as tar:
                found += [tar.extractfile(name).read().decode() for name in tar.getnames() if name.endswith(".txt")]
        return found

    for out in ("one", "two"):
        write(dataset, tmp_path / out)
    assert texts(tmp_path / "one") == texts(tmp_path / "two") != sorted(texts(tmp_path / "one"))


def test_datasets_reads_them(dataset, tmp_path):
    datasets = pytest.importorskip("datasets")
    write(dataset, tmp_path / "out")
    files = {"train": str(tmp_path / "out" / "train-*.tar"), "validation": str(tmp_path / "out" / "validation-*.tar")}
    text = datasets.Value("string")
    about = {"text": text, "speaker": text, "duration_s": datasets.Value("float64"), "source": text}
    # Audio() would need the package torchcodec, which decodes for datasets.
    features = datasets.Features({"flac": datasets.Value("binary"), "txt": text, "json": about})
    read = datasets.load_dataset("webdataset", data_files=files, features=features, streaming=True)
    rows = list(read["train"])
    assert sorted(row["txt"] for row in rows) == [f"text {index}" for index in range(9)]
    assert all(row["json"]["speaker"] in ("ann", "bob") for row in rows)
    samples, rate = soundfile.read(io.BytesIO(rows[0]["flac"]))
    assert rate == RATE and len(samples) == RATE // 5


def test_interrupted_work_goes_on(dataset, tmp_path):
    write(dataset, tmp_path / "whole")
    out = tmp_path / "out"

    def stop(message, done, total):
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(dataset, out, on_progress=stop)
    finished = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar") if not path.name.startswith(".")}
    assert finished, "some shards were whole"
    seen = []
    counts = write(dataset, out, on_progress=lambda message, done, total: seen.append(done))
    assert 0 < len(seen) < 12 and counts.num_clips == 12
    assert all((out / name).stat().st_mtime_ns == time for name, time in finished.items())
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in (tmp_path / "whole").iterdir())
    for path in (tmp_path / "whole").glob("*.tar"):
        assert (out / path.name).read_bytes() == path.read_bytes()
    assert write(dataset, out, on_progress=lambda *args: pytest.fail("all is done")) == counts


def test_clip_that_cannot_be_read_is_left_out_and_named(dataset, tmp_path):
    (dataset / "train" / "3.wav").write_bytes(b"RIFF")
    counts = write(dataset, tmp_path / "out")
    assert counts.num_clips == 11 and len(counts.left_out) == 1 and "3.wav" in counts.left_out[0]


def test_nothing_is_mixed_with_other_files(dataset, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").write_text("")
    with pytest.raises(DataError, match="has files in it"):
        write(dataset, tmp_path / "out")
    write(dataset, tmp_path / "new")
    with pytest.raises(DataError, match="other data, or with other options"):
        write(dataset, tmp_path / "new", audio_format="opus")
    (dataset / "train" / "metadata.csv").write_text("file_name,text\n1.wav,other\n")
    with pytest.raises(DataError, match="other data"):
        write(dataset, tmp_path / "new")


def test_data_without_a_readable_clip_is_refused(tmp_path):
    rows = [Utterance(str(tmp_path / "none.wav"), "text", 1.0)]
    with pytest.raises(DataError, match="None of the 1 clips can be read"):
        shards.write_shards(sources.Source(rows, None, ""), tmp_path / "out", max_bytes=10_000)


def test_json_beside_a_recording_that_is_no_description_is_passed_over(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1), RATE)
    (tmp_path / "a.txt").write_text("hello")
    for content in (b"[1", b"[]", b'{"speaker": 7}', json.dumps({"speaker": " "}).encode()):
        (tmp_path / "a.json").write_bytes(content)
        assert sources.load(str(tmp_path)).train[0].speaker is None
