import pytest

from asrkit.errors import DataError
from asrkit.speech import audio, hub, sources

datasets = pytest.importorskip("datasets")


def dataset(*rows):
    """A Dataset with an Audio column, made without decoding or encoding."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    made = datasets.Dataset.from_dict(columns)
    return made.cast_column("audio", datasets.Audio()) if isinstance(rows[0]["audio"], dict) else made


def row(clip, text, **more):
    return {"audio": {"bytes": clip.read_bytes(), "path": clip.name}, "text": text, **more}


@pytest.fixture
def hub_of(monkeypatch):
    """Let load_dataset answer with the given object; returns the calls it got."""

    def install(answer):
        calls = []

        def load_dataset(name, config=None, *, split=None):
            calls.append((name, config, split))
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return calls

    return install


def test_saved_dict(clip, tmp_path):
    saved = datasets.DatasetDict(
        train=dataset(row(clip("a.flac", 1.5), "one", speaker_id=7), row(clip("b.wav", 0.5), "two", speaker_id=8)),
        test=dataset(row(clip("c.wav"), "three", speaker_id=9)),
    )
    saved.save_to_disk(tmp_path / "saved")
    source = sources.load(str(tmp_path / "saved"), hub_dir=tmp_path / "clips")
    assert [(u.text, u.duration_s, u.speaker) for u in source.train] == [("one", 1.5, "7"), ("two", 0.5, "8")]
    assert [(u.text, u.split, u.row) for u in source.eval] == [("three", "test", "saved test row 0")]
    assert audio.load(source.train[0].audio).duration_s == 1.5
    assert source.train[0].audio.endswith(".flac")
    again = sources.load(str(tmp_path / "saved"), hub_dir=tmp_path / "clips")
    assert again == source
    assert len(list((tmp_path / "clips").iterdir())) == 3


def test_saved_dataset_with_a_split_column(clip, tmp_path):
    path = clip("a.wav")
    rows = dataset(row(path, "one", split="train"), row(path, "two", split="dev"))
    rows.save_to_disk(tmp_path / "saved")
    source = sources.load(str(tmp_path / "saved"), hub_dir=tmp_path / "clips")
    assert ([u.text for u in source.train], [u.text for u in source.eval]) == (["one"], ["two"])


def test_column_of_paths(clip, tmp_path):
    path = clip("a.wav", 2.0)
    dataset({"audio": str(path), "transcript": "hi"}).save_to_disk(tmp_path / "saved")
    (utterance,) = sources.load(str(tmp_path / "saved")).train
    assert (utterance.audio, utterance.duration_s) == (str(path), 2.0)


def test_the_audio_column_wins_over_a_path_column(clip, tmp_path):
    dataset(row(clip("a.wav"), "hi", path="en_1.mp3")).save_to_disk(tmp_path / "saved")
    assert len(sources.load(str(tmp_path / "saved"), hub_dir=tmp_path / "clips").train) == 1


@pytest.mark.parametrize(
    ("data", "call"),
    [
        ("hub:owner/name", ("owner/name", None, None)),
        ("hub:owner/name:en", ("owner/name", "en", None)),
        ("hub:owner/name:en:test", ("owner/name", "en", "test")),
        ("hub:owner/name:validation", ("owner/name", None, "validation")),
        ("hub:owner/name:train[:10%]", ("owner/name", None, "train[:10%]")),
        ("hub:owner/name:en:other[:10%]", ("owner/name", "en", "other[:10%]")),
    ],
)
def test_names(clip, tmp_path, hub_of, data, call):
    rows = dataset(row(clip("a.wav"), "hi", split="anything"))
    calls = hub_of(rows if call[2] else datasets.DatasetDict(train=rows))
    source = sources.load(data, hub_dir=tmp_path / "clips")
    assert calls == [call]
    assert [u.text for u in source.train] == ["hi"]
    assert source.eval is None


def test_bytes_without_a_name_get_a_suffix(clip, tmp_path, hub_of):
    content = clip("a.flac").read_bytes()
    hub_of(dataset({"audio": {"bytes": content, "path": None}, "text": "hi"}))
    (utterance,) = sources.load("hub:owner/name:train", hub_dir=tmp_path / "clips").train
    assert utterance.audio.endswith(".flac") and utterance.duration_s == 1.0


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("train", "train"),
        ("train.clean.100", "train"),
        ("Validation", "eval"),
        ("test-other", "eval"),
        ("valid", "eval"),
        ("eval", "eval"),
        ("trainer", None),
        ("other", None),
    ],
)
def test_side(name, side):
    assert hub.side(name) == side


class TestErrors:
    def test_configurations_are_listed(self, hub_of):
        hub_of(ValueError("Config name is missing.\nPlease pick one among the available configs: ['en', "
                          "'es']\nExample"))
        with pytest.raises(DataError, match=r"available configs: \['en', 'es'\]\); check the name, configuration"):
            sources.load("hub:owner/name")

    def test_not_reachable(self, hub_of):
        hub_of(ConnectionError("Couldn't reach 'owner/name' on the Hub.\nmore"))
        sentence = r"hub:owner/name cannot be loaded .*\(Couldn't reach 'owner/name' on the Hub\); check the name"
        with pytest.raises(DataError, match=sentence):
            sources.load("hub:owner/name")

    def test_no_name(self):
        with pytest.raises(DataError, match="names no dataset; write hub:owner/name"):
            sources.load("hub:")

    def test_no_usable_split(self, clip, hub_of):
        hub_of(datasets.DatasetDict(other=dataset(row(clip("a.wav"), "hi"))))
        with pytest.raises(DataError, match="no split that is named like train, validation or test, only other"):
            sources.load("hub:owner/name")

    def test_no_text_column(self, clip, hub_of):
        hub_of(dataset({"audio": {"bytes": b"x", "path": None}, "label": "hi"}))
        with pytest.raises(DataError, match="hub:owner/name:test has no text column: found 'audio', 'label'"):
            sources.load("hub:owner/name:test")

    def test_audio_that_is_not_there(self, hub_of):
        hub_of(datasets.DatasetDict(train=dataset({"audio": "gone.wav", "text": "hi"})))
        with pytest.raises(DataError, match="hub:owner/name train row 0: audio holds neither the bytes"):
            sources.load("hub:owner/name")

    def test_no_rows(self, hub_of):
        hub_of(dataset({"audio": "a.wav", "text": "hi"}).select([]))
        with pytest.raises(DataError, match="hub:owner/name:train has no rows"):
            sources.load("hub:owner/name:train")

    def test_damaged(self, tmp_path):
        (tmp_path / "state.json").write_text("{}")
        with pytest.raises(DataError, match="cannot be read as a saved dataset"):
            sources.load(str(tmp_path))
