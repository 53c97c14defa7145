"""Streamed clips in training: audited as they arrive, and what is said while the Hub is waited for."""

import numpy as np
import pytest
import soundfile

from asrkit.config import TrainConfig
from asrkit.data.manifest import Utterance
from asrkit.data.streams import origins
from asrkit.data.streams.clips import StreamedClips
from asrkit.data.streams.origins import Group, Origin
from asrkit.hub.ranges import RemoteFile
from asrkit.training import streaming
from asrkit.training.bad_clips import BadClips
from asrkit.training.data import Collator, SpeechDataset
from asrkit.training.findings import FindingReporter
from asrkit.training.model import load
from asrkit.training.streaming import select_reports
from tests.support import streams, tiny
from tests.support.walking import iter_contents


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    base = str(tiny.write_checkpoint(tmp_path_factory.mktemp("base") / "tiny"))
    return load(base, TrainConfig(model=base), ["abc"])[0]


@pytest.fixture
def cached(tmp_path):
    """cached(samples, ...) -> rows of a piece that is in the cache."""
    folder = tmp_path / origins.FOLDER / "source" / "file"
    piece = folder / origins.name_group(0)

    def make(*clips):
        piece.mkdir(parents=True)
        for number, samples in enumerate(clips):
            soundfile.write(piece / f"{number}.wav", samples, 16_000)
        Origin(RemoteFile("a/b", "dataset", "0", "x", 1), "audio", (Group(len(clips), 0, 1, 1),)).write(folder)
        return [Utterance(str(piece / f"{number}.wav"), "ab", 1.0) for number in range(len(clips))]

    return make


def noise(seconds):
    return 0.1 * np.random.default_rng(0).standard_normal(round(16_000 * seconds))


def test_streamed_clips_are_audited_as_they_arrive(cached, processor):
    rows = cached(noise(1.0), noise(3.0), np.zeros(16_000), noise(0.05), noise(1.5))
    dataset = SpeechDataset(rows, processor, streamed=StreamedClips(1 << 30), limits_s=(0.1, 2.0))
    about = Collator(processor)([dataset[number] for number in range(5)])["about"]
    assert about["clips"] == [0, 4]
    assert about["outside"] == [1, 3]
    assert list(about["bad"]) == [2] and about["bad"][2].endswith("is silent.")


def test_clips_of_other_lengths_are_counted_and_end_no_run(cached):
    rows = cached(*[noise(3.0)] * 5)
    emitted = []
    bad_clips = BadClips(rows, [], FindingReporter(None, lambda kind, **data: emitted.append(data)), None)
    for clip in range(5):
        bad_clips.note([{"about": {"clips": [], "bad": {}, "outside": [clip]}}])
        bad_clips.report()
    assert [data["code"] for data in emitted] == ["clips-outside-limits"]
    assert bad_clips.describe() == " 5 clips turned out too short or too long and were left out."


def test_an_outage_is_reported_now_and_then(monkeypatch):
    times = iter([0.0, 5.0, 20.0, 21.0])
    monkeypatch.setattr(streaming.time, "monotonic", lambda: next(times))
    said = ["", "wait 1", "wait 2", "wait 3", "", "", "wait 4"]
    over = "The Hugging Face Hub sends again; training goes on."
    assert list(select_reports(iter(said))) == ["wait 1", "wait 3", over, "wait 4"]


NUM_CLIPS, CACHE_BYTES = 96, 1_000_000


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Six files with two row groups of eight clips each, 3 MB in all."""
    for number in range(6):
        path = tmp_path / "hub/datasets" / streams.NAME / f"data/train-{number}.parquet"
        streams.write_parquet(path, [0.5 + 0.1 * (n % 8) for n in range(NUM_CLIPS // 6)], 8, ["ab"] * (NUM_CLIPS // 6))
    with streams.serve(tmp_path / "hub") as stand_in:
        streams.use_in_process(stand_in, tmp_path, monkeypatch)
        yield stand_in


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_fetches_each_piece_about_once_through_a_small_cache(served, processor, num_workers):
    rows = streams.read_rows(served)
    served.sent.clear()
    served.fail_every, served.retry_after = 20, "0"
    loader = streams.make_loader(rows, processor, num_workers, CACHE_BYTES, batch_seconds=6.0)
    try:
        for epoch in range(2):
            loader.set_epoch(epoch)
            batches = [batch["about"] for batch in loader]
            assert not any(about["bad"] for about in batches)
            assert [about["clips"] for about in batches] == [
                [index for _, index, *_ in batch] for batch in loader.epochs.iter_epoch(epoch)
            ]
            assert sorted({clip for about in batches for clip in about["clips"]}) == list(range(NUM_CLIPS))
            files = iter_contents(origins.cache_root())
            assert sum(len(content) for path, content in files if path.suffix == ".wav") <= CACHE_BYTES
    finally:
        loader.close()
    size = sum(served.repository().sizes.values())
    assert size < sum(served.sent.values()) < 3.5 * size  # two epochs, and what is fetched ahead for the third
