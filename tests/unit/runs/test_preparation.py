"""What is wrong with the data is said before anything starts: one sentence that names the file and the row."""

import json
import zlib

import numpy as np
import pytest
import soundfile

from asrkit.config import TrainConfig
from asrkit.data import manifest
from asrkit.errors import DataError, ModelError
from asrkit.runs.preparation import is_local, load_leak_findings, prepare_data
from asrkit.runs.report import card

GOOD = [("one", "Hello, one!"), ("two", "hello two"), ("three", "It's three"), ("four", "hello four")]
"""With the normaliser "basic": hello one, hello two, it's three, hello four."""


def clip(path, seconds=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pitch = 10 + zlib.crc32(path.stem.encode()) % 1000 / 100  # another sound for another name
    soundfile.write(path, np.sin(np.arange(round(seconds * 16_000)) / pitch), 16_000)


@pytest.fixture
def data(tmp_path):
    """data([(name, text), ...]) -> an audiofolder; clips that are not there yet get a second of sound."""

    def make(rows=GOOD, name="data", header="file_name,text"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for stem, _ in rows:
            if not (folder / f"{stem}.wav").exists():
                clip(folder / f"{stem}.wav")
        lines = [header, *(f'{stem}.wav,"{text}"' for stem, text in rows)]
        (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
        return folder

    return make


@pytest.fixture
def prepared(store, base):
    def make(folder, **settings):
        return prepare_data(
            TrainConfig().replace({"train": str(folder), "model": str(base), "eval_count": 1, **settings}), store
        )

    return make


def refused(prepared, folder, **settings):
    with pytest.raises(DataError) as caught:
        prepared(folder, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def texts(rows):
    return sorted(row.text for row in rows)


def test_good_data_is_split_and_normalised(prepared, data):
    found = prepared(data(), eval_count=1)
    assert len(found.train) == 3 and len(found.eval) == 1
    assert texts(found.train + found.eval) == ["hello four", "hello one", "hello two", "it's three"]
    assert [row.duration_s for row in found.train] == [1.0] * 3
    assert (found.audit.verdict, found.audit.utterances, found.audit.dropped) == ("ready", 4, 0)
    assert found.audit.hours == pytest.approx(4 / 3600, abs=1e-4)


def test_the_same_seed_gives_the_same_split(prepared, data):
    first, again = prepared(data()), prepared(data())
    others = {prepared(data(), seed=seed).eval[0].audio for seed in range(12)}
    assert first.eval == again.eval and len(others) > 1


@pytest.mark.parametrize("seed", range(8))
def test_clips_are_held_out_of_those_that_can_be_used(prepared, data, seed):
    """A small held-out side never empties, whichever clips are bad."""
    found = prepared(
        data([*GOOD, ("bad0", ""), ("bad1", "?"), ("bad2", "!")]),
        drop_bad_clips=True,
        eval_count=0,
        eval_share=0.1,
        seed=seed,
    )
    assert (len(found.train), len(found.eval), found.audit.dropped) == (3, 1, 3)


def test_how_clips_are_held_out_can_be_chosen(prepared, data):
    folder = data()
    lines = ["file_name,text,speaker", "one.wav,one,ann", "two.wav,two,ann", "three.wav,three,bob", "four.wav,four,bob"]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    for by, sizes in (("auto", {2}), ("speaker", {2}), ("random", {1})):
        found = [prepared(folder, eval_count=0, eval_share=0.25, split_by=by, seed=seed).eval for seed in range(6)]
        assert {len(side) for side in found} == sizes
        assert by == "random" or all(len({row.speaker for row in side}) == 1 for side in found)


def test_what_both_sides_share_is_recorded(prepared, data, store):
    """Equal files on one side, the rest in the audit of the run; but commands are meant to be known."""
    folder = data([(f"c{number}", f"hello {'one two three'.split()[number % 3]}") for number in range(12)])
    for number in range(12):
        clip(folder / "same.wav", 1 + 0.1 * (number // 2))
        (folder / "same.wav").replace(folder / f"c{number}.wav")
    found = prepared(folder, eval_count=4)
    assert {row.duration_s for row in found.train}.isdisjoint(row.duration_s for row in found.eval)
    assert [one.code for one in found.audit.findings] == ["leak-text"]
    assert not prepared(folder, eval_count=4, decoding="words").audit.findings
    assert not prepared(folder, eval=str(data([("x", "goodbye")], name="other"))).audit.findings
    run = store.create(TrainConfig(preset="", train=str(folder)), fill=found.write)
    assert [leak["code"] for leak in load_leak_findings(run)] == ["leak-text"]
    assert "say a sentence that is trained on" in card.render_card(run)


def test_transcripts_go_through_the_rules(prepared, data):
    found = prepared(data([*GOOD, ("five", "5 № ë")]), spell_numbers="en", character_map="№=number ë=e")
    assert "five number e" in texts(found.train + found.eval)


def test_an_evaluation_split_of_its_own_is_used(prepared, data):
    folder = data(GOOD[:3], header="file_name,text")
    lines = ["file_name,text,split", "one.wav,one,train", "two.wav,two,validation", "three.wav,three,train"]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    found = prepared(folder)
    assert texts(found.train) == ["one", "three"] and texts(found.eval) == ["two"]


def test_another_dataset_to_evaluate_on(prepared, data):
    found = prepared(data(), eval=str(data([("five", "Five")], name="other")))
    assert len(found.train) == 4 and texts(found.eval) == ["five"]


def test_manifests_are_written(prepared, data, make_run):
    run, found = make_run(), prepared(data())
    found.write(run)
    assert manifest.read(run.manifest_path("train")) == found.train
    assert manifest.read(run.manifest_path("eval")) == found.eval
    assert json.loads(run.audit_path.read_text())["verdict"] == "ready"


# Each clip that cannot be used: what the sentence says, and how many are left without it


def empty_transcript(folder):
    return "five", " ?! "


def not_audio(folder):
    (folder / "five.wav").write_text("This is a letter.")
    return "five", "five"


def zero_bytes(folder):
    (folder / "five.wav").write_bytes(b"")
    return "five", "five"


def zero_length(folder):
    clip(folder / "five.wav", seconds=0)
    return "five", "five"


def unknown_characters(folder):
    return "five", "año 5"


def text_longer_than_its_frames(folder):
    """A second has 49 frames."""
    return "five", "abcde" * 10


BAD = {
    empty_transcript: "(text '?!'): Nothing is left of the text after normalising",
    not_audio: "five.wav cannot be read as audio",
    zero_bytes: "The file holds no audio.",
    zero_length: "The file holds no audio.",
    unknown_characters: "(5ñ): The model cannot write these characters: 5 ñ.",
    text_longer_than_its_frames: "(50 characters in 49 frames): The text has more characters than the audio has frames",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_clip_that_cannot_be_used(prepared, data, tmp_path, spoil):
    (tmp_path / "data").mkdir()
    folder = data([*GOOD, spoil(tmp_path / "data")])
    sentence = refused(prepared, folder)
    assert sentence.startswith("metadata.csv row 6: five.wav (") and BAD[spoil] in sentence
    assert sentence.endswith("(drop_bad_clips).")

    found = prepared(folder, drop_bad_clips=True)
    assert texts(found.train + found.eval) == ["hello four", "hello one", "hello two", "it's three"]
    assert found.audit.dropped == 1 and found.audit.verdict == "ready-with-drops"
    assert found.audit.findings[0].examples[0].startswith("metadata.csv row 6: five.wav")


def test_the_sentence_counts_the_others(prepared, data):
    rows = [*GOOD, *((f"bad{number}", "") for number in range(8))]
    folder = data(rows)
    lines = [f"{stem}.wav,{text.replace(',', '')},{'train' if text else 'test'}" for stem, text in rows]
    lines[4] = lines[4].replace("test", "train")
    (folder / "metadata.csv").write_text("\n".join(["file_name,text,split", *lines, "one.wav,one,test"]) + "\n")
    assert refused(prepared, folder).startswith("metadata.csv row 6: bad0.wav (text ''): ")
    lines = [line.replace(",test", ",train") for line in lines]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text,split", *lines, "one.wav,one,test"]) + "\n")
    assert refused(prepared, folder).startswith("metadata.csv row 6: bad0.wav (text '') (8 clips in all): ")


def test_a_bad_clip_to_evaluate_on_is_refused_too(prepared, data):
    other = data([("five", "five"), ("six", "año")], name="other")
    assert "metadata.csv row 3: six.wav (ñ)" in refused(prepared, data(), eval=str(other))


@pytest.mark.parametrize("vocabulary", ["extend", "fresh"])
def test_characters_may_be_new_where_the_vocabulary_grows(prepared, data, vocabulary):
    found = prepared(data([*GOOD, ("five", "año")]), vocabulary=vocabulary)
    assert "año" in texts(found.train + found.eval)


def test_a_base_without_an_output_layer_knows_every_character(prepared, data, base):
    (base / "vocab.json").unlink()
    assert prepared(data([*GOOD, ("five", "año")])).audit.verdict == "ready"


def test_frames_are_those_of_the_base_model(prepared, data, base):
    """Half as many as usual: 16,000 samples of stride 640 carry 25 frames at most, and the text has 30 characters."""
    result = {"model_type": "wav2vec2", "conv_kernel": [640], "conv_stride": [640]}
    (base / "config.json").write_text(json.dumps(result))
    rows = [*GOOD, ("five", "abcdefghij" * 3)]
    assert "30 characters in 25 frames" in refused(prepared, data(rows))


def test_length_limits_leave_out_without_asking(prepared, data, tmp_path):
    clip(tmp_path / "data" / "short.wav", 0.2)
    clip(tmp_path / "data" / "long.wav", 3.0)
    folder = data([*GOOD, ("short", "a"), ("long", "long")])
    found = prepared(folder, min_duration_s=0.5, max_duration_s=2.0)
    assert "a" not in texts(found.train + found.eval) and "long" not in texts(found.train + found.eval)
    assert {finding.code: finding.count for finding in found.audit.findings} == {"too-short": 1, "too-long": 1}
    everything = "; add data or change the clip length limits"
    assert refused(prepared, folder, min_duration_s=5, max_duration_s=9) == (
        f"{folder}: no clip is left to train on{everything}."
    )
    other = data([("brief", "a")], name="other")
    assert "no clip is left to evaluate on" in refused(prepared, folder, eval=str(other), min_duration_s=1.5)


# Data that is no data


def test_one_clip_cannot_be_split(prepared, data):
    folder = data(GOOD[:1])
    assert refused(prepared, folder) == (
        f"{folder} holds 1 clip and no evaluation split; add clips, or name an evaluation dataset."
    )


def test_more_held_out_than_there_is(prepared, data):
    assert "4 of 4 utterances cannot be held out" in refused(prepared, data(), eval_count=4)


def test_missing_path(prepared, tmp_path):
    assert f"There is no data at '{tmp_path / 'gone'}'" in refused(prepared, tmp_path / "gone")
    assert "There is no data at" in refused(prepared, tmp_path / "gone", eval=str(tmp_path))


def test_empty_folder(prepared, tmp_path):
    (tmp_path / "data").mkdir()
    assert f"{tmp_path / 'data'} is empty" in refused(prepared, tmp_path / "data")


def test_a_table_without_the_columns(prepared, data):
    sentence = refused(prepared, data(header="sound,words"))
    assert "metadata.csv" in sentence and "column" in sentence


def test_columns_by_name(prepared, data):
    found = prepared(data(header="sound,words"), audio_column="sound", text_column="words")
    assert len(found.train) == 3


def test_the_base_model_is_looked_at_first(store, tmp_path):
    bert = tmp_path / "bert"
    bert.mkdir()
    (bert / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="no CTC speech model"):
        prepare_data(TrainConfig(model=str(bert), train=str(tmp_path / "gone")), store)


@pytest.mark.parametrize(
    ("train", "eval", "local"),
    [
        ("callsigns", "", True),
        ("hub:a/b", "", False),
        ("/data", "hub:a/b:test", False),
        ("/data", "/other", True),
    ],
)
def test_is_local(train, eval, local):
    assert is_local(TrainConfig(train=train, eval=eval)) is local


@pytest.mark.parametrize(
    ("language", "vocabulary", "sentence"),
    [
        ("", "keep", "has a vocabulary for each of 2 languages; set MMS language"),
        ("fra", "extend", "has no language 'fra'; set MMS language (adapter_language) to one of deu, eng"),
    ],
)
def test_a_language_that_mms_lacks_is_said_before_the_start(data, prepared, base, language, vocabulary, sentence):
    letters = json.loads((base / "vocab.json").read_text())
    (base / "vocab.json").write_text(json.dumps({"eng": letters, "deu": letters}))
    with pytest.raises(ModelError) as caught:
        prepared(data(), adapter_language=language, vocabulary=vocabulary)
    assert sentence in str(caught.value)
    assert prepared(data(), adapter_language="deu").train
