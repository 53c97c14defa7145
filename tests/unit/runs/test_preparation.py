"""Preparation reports invalid data before a run starts, in one sentence with the file and the row."""

import json
import zlib

import numpy as np
import pytest
import soundfile
from tokenizers import Tokenizer, models, pre_tokenizers

from asrkit.config import TrainConfig
from asrkit.data import manifest, terms
from asrkit.errors import DataError, ModelError, UndecidedError
from asrkit.files import write_json
from asrkit.runs import preparation
from asrkit.runs.audit_record import load_assumptions, load_leak_findings, read_audit
from asrkit.runs.preparation import is_local, prepare_data
from asrkit.runs.report import card

GOOD = [("one", "Hello, one!"), ("two", "hello two"), ("three", "It's three"), ("four", "hello four")]
"""The normaliser "basic" turns these into: hello one, hello two, it's three, hello four."""


def write_clip(path, duration_s=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pitch = 10 + zlib.crc32(path.stem.encode()) % 1000 / 100  # a different sound for each name
    soundfile.write(path, np.sin(np.arange(round(duration_s * 16_000)) / pitch), 16_000)


@pytest.fixture
def data(tmp_path):
    """data([(name, text), ...]) -> an audiofolder; missing clips are created with one second of sound."""

    def make(rows=GOOD, name="data", header="file_name,text"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for stem, _ in rows:
            if not (folder / f"{stem}.wav").exists():
                write_clip(folder / f"{stem}.wav")
        lines = [header, *(f'{stem}.wav,"{text}"' for stem, text in rows)]
        (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
        return folder

    return make


@pytest.fixture
def prepare(store, base):
    def run(folder, **settings):
        return prepare_data(
            TrainConfig().replace({"train": str(folder), "model": str(base), "eval_count": 1, **settings}), store
        )

    return run


def get_error(prepare, folder, **settings):
    with pytest.raises(DataError) as error:
        prepare(folder, **settings)
    assert all(line.endswith(".") for line in str(error.value).split("\n")), "a sentence for each problem"
    return str(error.value)


def sorted_texts(rows):
    return sorted(row.text for row in rows)


def test_good_data_is_split_and_normalised(prepare, data):
    prepared = prepare(data(), eval_count=1)
    assert len(prepared.train) == 3 and len(prepared.eval) == 1
    assert sorted_texts(prepared.train + prepared.eval) == ["hello four", "hello one", "hello two", "it's three"]
    assert [row.duration_s for row in prepared.train] == [1.0] * 3
    assert (prepared.audit.verdict, prepared.audit.utterances, prepared.audit.dropped) == ("ready", 4, 0)
    assert prepared.audit.hours == pytest.approx(4 / 3600, abs=1e-4)


def test_the_same_seed_gives_the_same_split(prepare, data):
    first, second = prepare(data()), prepare(data())
    others = {prepare(data(), seed=seed).eval[0].audio for seed in range(12)}
    assert first.eval == second.eval and len(others) > 1


@pytest.mark.parametrize("seed", range(8))
def test_only_valid_clips_are_held_out(prepare, data, seed):
    """A small evaluation set is never empty, whichever clips are invalid."""
    prepared = prepare(
        data([*GOOD, ("bad0", ""), ("bad1", "?"), ("bad2", "!")]),
        drop_bad_clips=True,
        eval_count=0,
        eval_share=0.1,
        seed=seed,
    )
    assert (len(prepared.train), len(prepared.eval), prepared.audit.dropped) == (3, 1, 3)


def test_split_by_selects_how_clips_are_held_out(prepare, data):
    folder = data()
    lines = ["file_name,text,speaker", "one.wav,one,ann", "two.wav,two,ann", "three.wav,three,bob", "four.wav,four,bob"]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    for by, sizes in (("auto", {2}), ("speaker", {2}), ("random", {1})):
        eval_sets = [prepare(folder, eval_count=0, eval_share=0.25, split_by=by, seed=seed).eval for seed in range(6)]
        assert {len(rows) for rows in eval_sets} == sizes
        assert by == "random" or all(len({row.speaker for row in rows}) == 1 for rows in eval_sets)


def test_leaks_between_the_splits_are_recorded(prepare, data, store):
    """Equal files stay in one split; equal texts are findings, except with a fixed list of commands."""
    folder = data([(f"c{number}", f"hello {'one two three'.split()[number % 3]}") for number in range(12)])
    for number in range(12):
        write_clip(folder / "same.wav", 1 + 0.1 * (number // 2))
        (folder / "same.wav").replace(folder / f"c{number}.wav")
    prepared = prepare(folder, eval_count=4)
    assert {row.duration_s for row in prepared.train}.isdisjoint(row.duration_s for row in prepared.eval)
    assert [finding.code for finding in prepared.audit.findings] == ["leak-text"]
    assert not prepare(folder, eval_count=4, decoding="words").audit.findings
    assert not prepare(folder, eval=str(data([("x", "goodbye")], name="other"))).audit.findings
    run = store.create(TrainConfig(preset="", train=str(folder)), fill=prepared.write)
    assert [leak["code"] for leak in load_leak_findings(run)] == ["leak-text"]
    assert "say a sentence that is trained on" in card.render_card(run)


def test_text_rules_apply_to_transcripts(prepare, data):
    prepared = prepare(data([*GOOD, ("five", "5 № ë")]), spell_numbers="en", character_map="№=number ë=e")
    assert "five number e" in sorted_texts(prepared.train + prepared.eval)


def test_validation_split_of_the_dataset_is_used(prepare, data):
    folder = data(GOOD[:3], header="file_name,text")
    lines = ["file_name,text,split", "one.wav,one,train", "two.wav,two,validation", "three.wav,three,train"]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    prepared = prepare(folder)
    assert sorted_texts(prepared.train) == ["one", "three"] and sorted_texts(prepared.eval) == ["two"]


def test_number_of_evaluation_clips_binds_for_evaluation_data_of_its_own(prepare, data):
    folder, other = data(), data([(f"x{number}", "hello") for number in range(9)], name="other")
    sizes = {count: len(prepare(folder, eval=str(other), eval_count=count).eval) for count in (0, 3, 20)}
    assert sizes == {0: 9, 3: 3, 20: 9}


def test_separate_evaluation_dataset(prepare, data):
    prepared = prepare(data(), eval=str(data([("five", "Five")], name="other")))
    assert len(prepared.train) == 4 and sorted_texts(prepared.eval) == ["five"]


def test_terms_of_recorded_data_go_into_the_audit(prepare, data, make_run):
    folder = data(name="clips")
    (folder.parent / terms.FILE).write_text('{"licence": "CC0", "consents": {"ann": "yes"}}')
    run = make_run()
    prepare(folder).write(run)
    assert read_audit(run)["terms"] == [{"dataset": folder.parent.name, "licence": "CC0", "consents": {"ann": "yes"}}]


def test_terms_of_a_run_stay_with_the_models_trained_from_it(make_run, store):
    old = {"dataset": "older", "licence": "CC BY 4.0", "consents": {}}
    write_json(make_run("before").audit_path, {"terms": [old]})
    config = TrainConfig().replace({"model": "before"})
    assert preparation._collect_terms(frozenset(), config, store) == [old]


def test_manifests_are_written(prepare, data, make_run):
    run, prepared = make_run(), prepare(data())
    prepared.write(run)
    assert manifest.read(run.manifest_path("train")) == prepared.train
    assert manifest.read(run.manifest_path("eval")) == prepared.eval
    assert json.loads(run.audit_path.read_text())["verdict"] == "ready"


# Invalid clips: the error message, and the clips left when they are dropped


def empty_transcript(folder):
    return "five", " ?! "


def not_audio(folder):
    (folder / "five.wav").write_text("This is not audio.")
    return "five", "five"


def zero_bytes(folder):
    (folder / "five.wav").write_bytes(b"")
    return "five", "five"


def zero_length(folder):
    write_clip(folder / "five.wav", duration_s=0)
    return "five", "five"


def unknown_characters(folder):
    return "five", "año 5"


def text_longer_than_its_frames(folder):
    """One second has 49 frames."""
    return "five", "abcde" * 10


INVALID_CLIPS = {
    empty_transcript: "(text '?!'): Nothing is left of the text after normalising",
    not_audio: "five.wav cannot be read as audio",
    zero_bytes: "The file holds no audio.",
    zero_length: "The file holds no audio.",
    unknown_characters: "(5): The model cannot write these characters: 5.",
    text_longer_than_its_frames: "(50 characters in 49 frames): The text has more characters than the audio has frames",
}


@pytest.mark.parametrize("make_invalid", INVALID_CLIPS, ids=lambda function: function.__name__)
def test_invalid_clip_is_rejected_or_dropped(prepare, data, tmp_path, make_invalid):
    (tmp_path / "data").mkdir()
    folder = data([*GOOD, make_invalid(tmp_path / "data")])
    message = get_error(prepare, folder)
    assert message.startswith("metadata.csv row 6: five.wav (") and INVALID_CLIPS[make_invalid] in message
    assert message.endswith("(drop_bad_clips).")

    prepared = prepare(folder, drop_bad_clips=True)
    assert sorted_texts(prepared.train + prepared.eval) == ["hello four", "hello one", "hello two", "it's three"]
    assert prepared.audit.dropped == 1 and prepared.audit.verdict == "ready-with-drops"
    assert prepared.audit.findings[0].examples[0].startswith("metadata.csv row 6: five.wav")


def test_error_counts_the_invalid_clips(prepare, data):
    rows = [*GOOD, *((f"bad{number}", "") for number in range(8))]
    folder = data(rows)
    lines = [f"{stem}.wav,{text.replace(',', '')},{'train' if text else 'test'}" for stem, text in rows]
    lines[4] = lines[4].replace("test", "train")
    (folder / "metadata.csv").write_text("\n".join(["file_name,text,split", *lines, "one.wav,one,test"]) + "\n")
    assert get_error(prepare, folder).startswith("metadata.csv row 6: bad0.wav (text '') (8 clips in all): ")
    lines = [line.replace(",test", ",train") for line in lines]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text,split", *lines, "one.wav,one,test"]) + "\n")
    assert get_error(prepare, folder).startswith("metadata.csv row 6: bad0.wav (text '') (8 clips in all): ")


def test_invalid_evaluation_clip_is_rejected(prepare, data):
    other = data([("five", "five"), ("six", "año")], name="other")
    assert "metadata.csv row 3: six.wav (ñ)" in get_error(prepare, data(), eval=str(other), vocabulary="keep")


@pytest.mark.parametrize("vocabulary", ["auto", "extend", "fresh"])
def test_new_characters_are_accepted_with_a_growing_vocabulary(prepare, data, vocabulary):
    prepared = prepare(data([*GOOD, ("five", "año")]), vocabulary=vocabulary)
    assert "año" in sorted_texts(prepared.train + prepared.eval)


def test_characters_of_held_out_clips_alone_are_reported(prepare, data):
    folder, other = data(), data([("five", "año")], name="other")
    findings = {finding.code: finding for finding in prepare(folder, eval=str(other)).audit.findings}
    assert "untrained-characters" in findings and findings["untrained-characters"].cause.endswith(": ñ.")


def test_digits_are_refused_unless_they_are_spelled_or_wanted(prepare, data):
    folder = data([*GOOD, ("five", "page 5")])
    assert "(5): The model cannot write these characters: 5." in get_error(prepare, folder)
    assert "page five" in sorted_texts((prepared := prepare(folder, spell_numbers="en")).train + prepared.eval)
    assert "page 5" in sorted_texts((prepared := prepare(folder, vocabulary="extend")).train + prepared.eval)


def test_text_that_would_be_learned_wrongly_needs_acceptance(prepare, data):
    folder = data([*GOOD, ("five", "[noise] hello")])
    assert "marks that are not words: [noise]" in get_error(prepare, folder)
    assert "noise hello" in sorted_texts((yes := prepare(folder, accept_assumptions=True)).train + yes.eval)
    assert "hello" in sorted_texts((removed := prepare(folder, markup="remove")).train + removed.eval)
    assert "※ hello" in sorted_texts((tokens := prepare(folder, markup="tokens")).train + tokens.eval)


def test_lower_case_follows_the_language(prepare, data):
    folder = data([("one", "İzmir IŞIK"), ("two", "Isparta ırmak"), ("three", "iyi")])
    assert "ı is said" in get_error(prepare, folder)
    prepared = prepare(folder, language="tr")
    assert sorted_texts(prepared.train + prepared.eval) == ["iyi", "izmir ışık", "ısparta ırmak"]


def test_base_model_without_a_vocabulary_accepts_every_character(prepare, data, base):
    (base / "vocab.json").unlink()
    assert prepare(data([*GOOD, ("five", "año")])).audit.verdict == "ready"


def test_frame_count_follows_the_base_model(prepare, data, base):
    """With stride 640, 16,000 samples give at most 25 frames; the text has 30 characters."""
    model_config = {"model_type": "wav2vec2", "conv_kernel": [640], "conv_stride": [640]}
    (base / "config.json").write_text(json.dumps(model_config))
    rows = [*GOOD, ("five", "abcdefghij" * 3)]
    assert "30 characters in 25 frames" in get_error(prepare, data(rows))


@pytest.mark.parametrize("in_config", [True, False])
def test_adapter_halves_the_frames(prepare, data, base, in_config):
    """A second has 49 frames of w2v-BERT, and 25 behind an adapter; the text has 30 characters."""
    model_config = {
        "model_type": "wav2vec2-bert",
        "adapter_kernel_size": 3,
        "adapter_stride": 2,
        "num_adapter_layers": 1,
    }
    (base / "config.json").write_text(json.dumps(model_config))
    folder = data([*GOOD, ("five", "abcdefghij" * 3)])
    assert prepare(folder).audit.verdict == "ready"
    (base / "config.json").write_text(json.dumps(model_config | {"add_adapter": in_config}))
    message = get_error(prepare, folder, add_adapter=not in_config)
    assert "five.wav (30 characters in 25 frames)" in message and "(one every 40 ms)" in message


def test_pieces_of_words_need_fewer_frames_than_characters(prepare, data, base):
    """A second has 13 frames of 80 ms: enough for two pieces, not for the 14 characters of a fresh vocabulary."""
    (base / "config.json").write_text('{"model_type": "parakeet_ctc", "architectures": ["ParakeetForCTC"]}')
    (base / "vocab.json").unlink()
    pieces = {piece: number for number, piece in enumerate(["<unk>", *"▁abcdefghijklmnopqrstuvwxyz'", "▁h"])}
    words = ["▁hello", "▁one", "▁two", "▁three", "▁four", "▁it's", "▁somewhere"]
    vocabulary = pieces | {word: len(pieces) + number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0 / len(piece)) for piece in vocabulary], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.save(str(base / "tokenizer.json"))
    folder = data([*GOOD, ("five", "hello somewhere")])
    assert prepare(folder).audit.verdict == "ready"
    assert "five.wav (15 characters in 13 frames)" in get_error(prepare, folder, vocabulary="fresh")
    message = get_error(prepare, data([*GOOD, ("five", "hello one two three four " * 3)]))
    assert "five.wav (15 pieces in 13 frames)" in message and "(one every 80 ms)" in message


def test_base_model_that_cannot_be_trained_so_is_named_before_the_start(prepare, data, base):
    (base / "config.json").write_text('{"model_type": "omniasr_ctc"}')
    with pytest.raises(
        ModelError, match=r"\(omniasr_ctc\) has no time masking; set Time masking \(mask_time_prob\) to 0"
    ):
        prepare(data(), mask_time_prob=0.1)
    (base / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="has no usable preprocessor_config.json; copy all files of the model"):
        prepare(data())


def test_clips_outside_the_length_limits_are_skipped(prepare, data, tmp_path):
    write_clip(tmp_path / "data" / "short.wav", 0.2)
    write_clip(tmp_path / "data" / "long.wav", 3.0)
    folder = data([*GOOD, ("short", "a"), ("long", "long")])
    prepared = prepare(folder, min_duration_s=0.5, max_duration_s=2.0)
    assert "a" not in sorted_texts(prepared.train + prepared.eval) and "long" not in sorted_texts(
        prepared.train + prepared.eval
    )
    assert {finding.code: finding.count for finding in prepared.audit.findings} == {"too-short": 1, "too-long": 1}
    remedy = "; add data or change the clip length limits"
    assert get_error(prepare, folder, min_duration_s=5, max_duration_s=9) == (
        f"{folder}: no clip is left to train on{remedy}."
    )
    other = data([("brief", "a")], name="other")
    assert "no clip is left to evaluate on" in get_error(prepare, folder, eval=str(other), min_duration_s=1.5)


# Unusable datasets


def test_one_clip_cannot_be_split(prepare, data):
    folder = data(GOOD[:1])
    assert get_error(prepare, folder) == (
        f"{folder} holds 1 clip and no evaluation split; add clips, or name an evaluation dataset."
    )


def test_evaluation_count_must_leave_training_data(prepare, data):
    assert "4 of 4 utterances cannot be held out" in get_error(prepare, data(), eval_count=4)


def test_missing_path(prepare, tmp_path):
    assert f"There is no data at '{tmp_path / 'missing'}'" in get_error(prepare, tmp_path / "missing")
    assert "There is no data at" in get_error(prepare, tmp_path / "missing", eval=str(tmp_path))


def test_empty_folder(prepare, tmp_path):
    (tmp_path / "data").mkdir()
    assert f"{tmp_path / 'data'} is empty" in get_error(prepare, tmp_path / "data")


def test_columns_that_were_guessed_have_to_be_accepted(prepare, data):
    message = get_error(prepare, data(header="sound,words"))
    assert "the audio is in 'sound' and its text in 'words'" in message and "accept" in message
    assert len(prepare(data(header="sound,words"), accept_assumptions=True).train) > 0


def test_columns_can_be_named(prepare, data):
    prepared = prepare(data(header="sound,words"), audio_column="sound", text_column="words")
    assert len(prepared.train) == 3


def test_base_model_is_checked_before_the_data(store, tmp_path):
    bert = tmp_path / "bert"
    bert.mkdir()
    (bert / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="not a CTC speech model"):
        prepare_data(TrainConfig(model=str(bert), train=str(tmp_path / "missing")), store)


@pytest.mark.parametrize(
    ("train", "eval", "expected"),
    [
        ("callsigns", "", True),
        ("hub:a/b", "", False),
        ("/data", "hub:a/b:test", False),
        ("/data", "/other", True),
    ],
)
def test_is_local(train, eval, expected):
    assert is_local(TrainConfig(train=train, eval=eval)) is expected


@pytest.mark.parametrize(
    ("language", "vocabulary", "message"),
    [
        ("", "keep", "has a vocabulary for each of 2 languages; set MMS language"),
        ("fra", "extend", "has no language 'fra'; set MMS language (adapter_language) to one of deu, eng"),
    ],
)
def test_missing_mms_language_is_rejected_before_the_start(data, prepare, base, language, vocabulary, message):
    vocab = json.loads((base / "vocab.json").read_text())
    (base / "vocab.json").write_text(json.dumps({"eng": vocab, "deu": vocab}))
    with pytest.raises(ModelError) as error:
        prepare(data(), adapter_language=language, vocabulary=vocabulary)
    assert message in str(error.value)
    assert prepare(data(), adapter_language="deu").train


def test_assumptions_want_a_yes(data, prepare, store):
    folder = data([*GOOD, ("five", "fifty% off")])
    message = get_error(prepare, folder)
    assert "metadata.csv row 6 (%): % are read aloud but removed from the text" in message
    assert message.endswith("(accept_assumptions; --yes on the command line).")
    prepared = prepare(folder, accept_assumptions=True)
    assert prepared.audit.verdict == "ready-with-drops" and prepared.audit.dropped == 0
    run = store.create(TrainConfig(), None, prepared.write)
    assert [finding["code"] for finding in load_assumptions(run)] == ["spoken-symbols"]


def test_all_that_is_to_be_decided_is_said_at_once(data, prepare):
    folder = data([*GOOD, ("five", "fifty% off"), ("six", ""), ("seven", "x" * 900)])
    with pytest.raises(UndecidedError) as error:
        prepare(folder)
    lines = str(error.value).split("\n")
    assert ["six.wav" in lines[0], "seven.wav" in lines[1], "(%)" in lines[2], len(lines)] == [True, True, True, 3]
    assert error.value.settings == ("drop_bad_clips", "accept_assumptions")
    with pytest.raises(UndecidedError) as error:
        prepare(folder, drop_bad_clips=True)
    assert error.value.settings == ("accept_assumptions",)
    assert prepare(folder, drop_bad_clips=True, accept_assumptions=True).audit.dropped == 2


def test_rows_read_on_assumptions_want_a_yes_and_stay(data, prepare):
    folder = data([*GOOD, ("five", "hello five")])
    table = folder / "metadata.csv"
    table.write_text(table.read_text().replace('"hello five"', '"hello five'))
    message = get_error(prepare, folder, drop_bad_clips=True)
    assert message.startswith("metadata.csv row 6: five.wav (") and "accept_assumptions" in message
    prepared = prepare(folder, accept_assumptions=True)
    assert "hello five" in sorted_texts([*prepared.train, *prepared.eval])
    assert not any(row.marks for row in [*prepared.train, *prepared.eval])
    assert (prepared.audit.verdict, prepared.audit.dropped) == ("ready-with-drops", 0)


def test_bad_row_is_left_out_where_bad_clips_may_be(data, prepare):
    folder = data(GOOD)
    lines = (folder / "metadata.csv").read_text().splitlines()
    ends = ["end_s", "x", "1", "1", "1"]
    (folder / "metadata.csv").write_text("".join(f"{line},{end}\n" for line, end in zip(lines, ends, strict=True)))
    assert "end_s is 'x'; give seconds" in get_error(prepare, folder)
    prepared = prepare(folder, drop_bad_clips=True)
    assert prepared.audit.dropped == 1 and len(prepared.train) + len(prepared.eval) == 3
