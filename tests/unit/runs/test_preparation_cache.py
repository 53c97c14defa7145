"""Large data that has not changed is prepared once, and its manifests are stored once."""

import os
import random
import shutil

import pytest
import soundfile

from asrkit.audit.clips import Audit
from asrkit.config import TrainConfig
from asrkit.data import access, manifest
from asrkit.data.manifest import Utterance
from asrkit.runs import preparation, preparation_cache, prepared_data
from asrkit.runs.prepared_data import PreparedData
from asrkit.runs.report import archive
from asrkit.runs.store import RunStore


@pytest.fixture
def data(tmp_path):
    """Five clips of different sounds, changed long ago."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(5):
        soundfile.write(folder / f"{number}.wav", [0.1 * (number % 3), -0.1] * 8000, 16_000)
    write_table(folder, "one two three four five".split())
    for path in folder.iterdir():
        os.utime(path, (1_000_000, 1_000_000))
    return folder


def write_table(folder, texts):
    lines = ["file_name,text", *(f"{number}.wav,{text}" for number, text in enumerate(texts))]
    (folder / "metadata.csv").write_text("\n".join(lines))


def read_table(folder, config):
    """Prepare the data as `preparation` would, without a look at the clips."""
    lines = (folder / "metadata.csv").read_text().splitlines()[1:]
    rows = [Utterance(f"{folder}/{name}", text, 1.0) for name, text in (line.split(",") for line in lines)]
    random.Random(config.seed).shuffle(rows)
    return PreparedData(rows[1:], rows[:1], Audit("ready", 5, 0.1, 0, []), folders=frozenset([str(folder)]))


@pytest.fixture
def start(store, data, base, monkeypatch):
    """start("run-1", seed=2) -> (the run, whether its data was prepared anew); five clips are large here."""
    monkeypatch.setattr(prepared_data, "MIN_TABLE_ROWS", 1)
    prepared = []

    def prepare_data(config, *_):
        prepared.append(config)
        return read_table(data, config)

    monkeypatch.setattr(preparation, "prepare_data", prepare_data)

    def run(run_id, **settings):
        prepared.clear()
        config = TrainConfig().replace({"train": str(data), "model": str(base), "eval_count": 1, **settings})
        return store.create(config, run_id, preparation_cache.prepare(config, store).write), bool(prepared)

    return run


def read_all(run):
    return [
        list(manifest.read(run.manifest_path("train"))),
        list(manifest.read(run.manifest_path("eval"))),
        run.audit_path.read_text(),
    ]


def inode(run, split="train"):
    return run.manifest_path(split).stat().st_ino


def test_unchanged_data_is_prepared_once(start):
    (first, is_new), (second, is_new_again) = start("one"), start("two", learning_rate=0.05, max_steps=3)
    assert (is_new, is_new_again) == (True, False)
    assert read_all(first) == read_all(second) and len(read_all(first)[0]) == 4
    assert inode(first) == inode(second) and inode(first, "eval") == inode(second, "eval")


@pytest.mark.parametrize(
    "settings", [{"seed": 7}, {"min_duration_s": 0.2}, {"text_column": "text"}, {"vocabulary": "fresh"}], ids=str
)
def test_settings_that_matter_prepare_it_again(start, settings):
    start("one")
    assert start("two", **settings)[1] and not start("three", **settings)[1]


def test_changed_data_is_prepared_again(start, data):
    first, _ = start("one")
    write_table(data, "six two three four five".split())
    os.utime(data / "metadata.csv", (1_000_001, 1_000_001))
    second, is_new = start("two")
    assert is_new and read_all(second) != read_all(first)
    assert {row.text for row in read_all(first)[0] + read_all(first)[1]} == set("one two three four five".split())


def test_data_that_changes_meanwhile_is_not_remembered(start, data):
    os.utime(data / "metadata.csv", (4_000_000_000, 4_000_000_000))
    start("one")
    assert start("two")[1]


def test_a_changed_base_model_prepares_it_again(start, base, tmp_path):
    copy = shutil.copytree(base, tmp_path / "copy")
    start("one", model=str(copy))
    assert not start("two", model=str(copy))[1]
    os.utime(copy / "vocab.json", (1_000_000, 1_000_000))
    assert start("three", model=str(copy))[1]


def test_equal_manifests_of_different_preparations_are_one_file(start):
    one, two = start("one")[0], start("two", min_duration_s=0.2)[0]
    assert inode(one) == inode(two)


def test_runs_stay_whole_without_the_others(start, store, tmp_path):
    one, two = start("one")[0], start("two")[0]
    expected = read_all(one)
    store.delete(one)
    shutil.rmtree(store.root / preparation_cache.FOLDER)
    assert read_all(two) == expected
    archive.write_zip(archive.iter_archive(two), tmp_path / "two.zip")
    elsewhere = RunStore(tmp_path / "elsewhere")
    assert read_all(archive.import_archive(elsewhere, tmp_path / "two.zip", "two.zip")) == expected


def test_what_no_run_needs_is_deleted(start, store, monkeypatch):
    monkeypatch.setattr(preparation_cache, "MAX_PREPARATIONS", 1)
    one = start("one", seed=1)[0]
    store.delete(one)
    start("two", seed=2)
    start("three", seed=3)
    root = store.root / preparation_cache.FOLDER
    kept = [path for path in root.iterdir() if path.name != "manifests"]
    links = {path.stat().st_ino for path in (root / "manifests").iterdir()}
    assert len(kept) == 1 and links == {inode(run, split) for run in store.all() for split in ("train", "eval")}


def test_without_hard_links_each_run_has_a_copy(start, monkeypatch):
    def link(*_):
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", link)
    (one, _), (two, is_new) = start("one"), start("two")
    assert not is_new and inode(one) != inode(two) and read_all(one) == read_all(two)


def test_small_data_is_kept_as_text_and_prepared_for_each_run(start, monkeypatch, store):
    monkeypatch.setattr(prepared_data, "MIN_TABLE_ROWS", 100)
    run, _ = start("one")
    assert run.manifest_path("train").suffix == ".jsonl" and start("two")[1]


def test_nothing_of_visitors_is_kept(start, store, data, monkeypatch):
    monkeypatch.setenv(access.READABLE_VARIABLE, str(data))
    with access.as_visitor("ann"):
        start("one", model="starter")
    assert not (store.root / preparation_cache.FOLDER).exists()


def test_names_that_were_searched_for_are_searched_for_again(store, data, base, monkeypatch):
    """A table names a clip, which lies in another folder: later a second one may have its name."""
    monkeypatch.setattr(prepared_data, "MIN_TABLE_ROWS", 1)
    (data / "more" / "deep").mkdir(parents=True)
    (data / "4.wav").rename(data / "more" / "4.wav")
    (data / "metadata.csv").rename(data / "table.csv")
    for path in (data, data / "more"):
        os.utime(path, (1_000_000, 1_000_000))
    config = TrainConfig(
        preset="", train=str(data / "table.csv"), model=str(base), eval_count=1, accept_assumptions=True
    )
    store.create(config, "one", preparation_cache.prepare(config, store).write)
    monkeypatch.setattr(preparation, "prepare_data", lambda *_: pytest.fail("unchanged data was prepared again"))
    preparation_cache.prepare(config, store)
    shutil.copy(data / "more" / "4.wav", data / "more" / "deep" / "4.wav")
    with pytest.raises(pytest.fail.Exception):
        preparation_cache.prepare(config, store)


def test_preparation_depends_on_the_named_settings_alone(store, data, base):
    """What else it read would be taken from another run."""
    read = set()

    class RecordingConfig(TrainConfig):
        def __getattribute__(self, name):
            read.add(name)
            return super().__getattribute__(name)

    config = RecordingConfig(preset="", train=str(data), model=str(base), eval_count=1)
    read.clear()
    preparation.prepare_data(config, store)
    checked_each_time = {"model", "optimizer", "mask_time_prob", "blank_id"}
    settings = read & set(TrainConfig.__dataclass_fields__)
    assert settings - checked_each_time <= set(preparation_cache.SETTINGS) and "train" in settings
