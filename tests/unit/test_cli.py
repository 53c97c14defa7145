"""The command line without a worker and without torch; whole runs are in tests/integration."""

import json
import re
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrkit import cli, transcription
from asrkit.cli import label
from asrkit.cli.options import make_config
from asrkit.config import TrainConfig, list_presets, load_preset
from asrkit.data import sources
from asrkit.data.readers.annotations import elan, praat
from asrkit.decoding.transcript import Transcript, Word
from asrkit.errors import ModelError
from asrkit.runs import queue, supervisor
from asrkit.runs.advice import Machine
from asrkit.runs.events import Event
from asrkit.runs.run import STOP
from asrkit.runs.store import RunStore
from asrkit.transcription import files
from asrkit.transcription.alignment import dataset
from asrkit.transcription.alignment.clips import AlignedClip, Passage
from asrkit.transcription.alignment.dataset import AlignmentResult
from asrkit.transcription.export import publishing
from tests.support.annotations import make_textgrid


@pytest.fixture
def asrkit(tmp_path, capsys):
    """asrkit("runs", "list") -> (exit code, stdout, stderr), with the runs in tmp_path/runs."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main([*map(str, arguments), "--runs-dir", str(tmp_path / "runs")])
        return (code, *capsys.readouterr())

    return call


@pytest.fixture
def refused(asrkit):
    """The one line on stderr of a command that exits with 1 and prints nothing else."""

    def call(*arguments: object) -> str:
        code, out, err = asrkit(*arguments)
        assert (code, out) == (1, "")
        assert re.fullmatch(r"asrkit: [^\n]+\n", err), err
        return err

    return call


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "runs")


@pytest.fixture
def ended(store):
    """A run that finished at step 20."""
    run = store.create(TrainConfig(), "20260101-000000-demo")
    run.append(Event("started", 1000.0, 0, data={"total_steps": 20, "metric_for_best_model": "wer"}))
    run.append(Event("eval", 1010.0, 20, 2.0, {"loss": 0.5, "wer": 0.25, "cer": 0.125, "mer": 0.25}))
    run.append(Event("finished", 1011.0, 20, 2.0, {"message": "Finished.", "saved": True}))
    return run


# Reading the command line


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["runs"],
        ["runs", "nonsense"],
        ["runs", "show"],
        ["transcribe"],
        ["evaluate"],
        ["transcribe", "a.wav", "--format", "pdf"],
        ["presets", "--nonsense"],
        ["train", "--seed", "3"],
    ],
)
def test_wrong_command_line_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == "" and "usage:" in err


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["runs", "start", "--help"]])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 0 and "usage: python -m asrkit" in capsys.readouterr().out


def settings(*flags: str) -> TrainConfig:
    return make_config(cli.build_parser().parse_args(["train", *flags]))


def test_demo_is_the_default_preset():
    assert settings() == load_preset("demo").config


@pytest.mark.parametrize(
    ("changes", "numbers"),
    [
        (["language=fr"], "fr"),
        (["language=fr-CA"], "fr"),
        (["language=pt_BR"], "pt_BR"),
        (["language=fr", "spell_numbers="], ""),
        (["spell_numbers=de", "language=fr"], "de"),
        (["language=xyz"], ""),
    ],
)
def test_language_alone_spells_numbers(changes, numbers):
    found = settings(*(flag for change in changes for flag in ("--set", change)))
    assert found.spell_numbers == numbers


def test_flags_override_the_preset():
    found = settings(
        "--preset",
        "quick",
        "--train",
        "/data",
        "--eval",
        "hub:a/b",
        "--model",
        "a/b",
        "--set",
        "learning_rate=2e-5",
        "--set",
        "drop_bad_clips=yes",
        "--set",
        " language = en",
    )
    assert found == load_preset("quick").config.replace(
        {
            "train": "/data",
            "eval": "hub:a/b",
            "model": "a/b",
            "learning_rate": 2e-5,
            "drop_bad_clips": True,
            "language": "en",
            "spell_numbers": "en",
        }
    )


def test_set_accepts_equals_signs_and_the_last_one_wins():
    assert settings("--set", "train=/data/a=b").train == "/data/a=b"
    assert settings("--train", "/one", "--set", "train=/two", "--set", "train=/three").train == "/three"
    assert settings("--set", "eval=").eval == ""


def test_config_file_is_the_base(tmp_path):
    (tmp_path / "mine.json").write_text('{"preset": "quick", "seed": 7}')
    found = settings("--config", str(tmp_path / "mine.json"), "--set", "warmup_steps=3")
    assert (found.preset, found.seed, found.warmup_steps, found.max_steps) == ("quick", 7, 3, 200)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--set", "learning_rate"], "--set learning_rate: write FIELD=VALUE"),
        (["--set", "learning_rat=1"], "There is no setting 'learning_rat'; the settings are preset, "),
        (["--set", "=1"], "There is no setting ''"),
        (["--set", "learning_rate=3"], "Learning rate (learning_rate) is 3; it must be between 1e-07 and 0.1"),
        (
            ["--set", "train_batch_size=8.5"],
            "Batch size (clips) (train_batch_size) is '8.5'; it must be a whole number",
        ),
        (["--set", "learning_rate=fast"], "is 'fast'; it must be a number"),
        (["--set", "freeze=everything"], "choose one of nothing, feature-encoder, all-but-adapters, all-but-head"),
        (["--set", "preset=nonsense"], "There is no preset 'nonsense'"),
        (["--preset", "nonsense"], "There is no preset 'nonsense'; choose one of demo, "),
        (["--preset", "demo", "--config", "x.json"], "Give --preset or --config, not both."),
        (["--config", "/nowhere/x.json"], "/nowhere/x.json cannot be read (No such file or directory)"),
        (["--train", ""], "Dataset is empty; enter a value."),
        (["--model", "nonsense"], "There is no model 'nonsense'"),
        (["--run-id", "../x"], "Run id '../x' cannot be used"),
    ],
)
@pytest.mark.parametrize("command", [["train"], ["runs", "start"]], ids=" ".join)
def test_invalid_settings_start_nothing(refused, store, monkeypatch, command, flags, words):
    if "--run-id" in flags:
        monkeypatch.setattr(supervisor.preparation_cache, "prepare", lambda *_: None)
    assert words in refused(*command, *flags)
    assert store.all() == []


def test_start_needs_a_writable_runs_directory(refused, tmp_path):
    (tmp_path / "runs").write_text("a file")
    assert "runs cannot be written" in refused("runs", "start", "--train", "hub:a/b", "--model", "a/b")


@pytest.mark.parametrize(
    ("text", "content", "words"),
    [
        ("none.txt", None, "none.txt is no file"),
        ("empty.txt", "\n", "empty.txt holds no text"),
        ("bad.srt", "1\n00:01 -> 00:02\nhello\n", "bad.srt has no captions"),
    ],
)
def test_align_needs_a_text(refused, clip, tmp_path, text, content, words):
    if content is not None:
        (tmp_path / text).write_text(content)
    assert words in refused("align", clip("a.wav"), tmp_path / text, "--out", tmp_path / "out")


def test_align_overwrites_no_folder(refused, tmp_path):
    assert "exists already" in refused("align", tmp_path / "a.wav", tmp_path / "a.txt", "--out", tmp_path)


def test_align_prints_doubtful_clips_first_and_passages(asrkit, clip, listener, monkeypatch, tmp_path):
    clips = [AlignedClip(1.0, 4.0, "A fine clip.", -0.5, 3), AlignedClip(5.0, 7.0, "A bad clip.", -3.0, 3)]
    passages = [Passage("missing", 4.0, 4.0, "Nobody says so."), Passage("extra", 8.0, 65.0, "")]
    result = AlignmentResult(clips, passages, 70.0, 20, 6, {"ж": "zh"}, 0.25)
    monkeypatch.setattr(dataset, "align_recording", lambda *arguments, **options: result)
    (tmp_path / "a.txt").write_text("A fine clip.")
    arguments = ("align", clip("a.wav"), tmp_path / "a.txt", "--out", tmp_path / "out")
    code, out, err = asrkit(*arguments)
    assert (code, err) == (0, "") and listener == ["starter"]
    assert "2 clips, 5 s of 1 min 10 s, with 6 of 20 words." in out
    assert "25.0 % of the letters" in out and "ж as zh" in out and "Little of the text was found" in out
    assert out.index("A bad clip.") < out.index("A fine clip.")
    assert "Text without speech, 0:00:04.0 to 0:00:04.0: Nobody says so." in out
    assert "Speech without text, 0:00:08.0 to 0:01:05.0\n" in out
    code, out, err = asrkit(*arguments, "--json")
    assert json.loads(out)["passages"][1] == {"kind": "extra", "start_s": 8.0, "end_s": 65.0, "text": ""}


def test_label_says_what_it_needs(refused, tmp_path, store):
    (tmp_path / "out").mkdir()
    assert "exists already; give a new folder" in refused("label", tmp_path, "--out", tmp_path / "out")
    assert "--keep is 1.5; it must be a share" in refused("label", tmp_path, "--out", tmp_path / "new", "--keep", 1.5)
    words = "What the confidence of starter is worth has to be measured"
    assert words in refused("label", tmp_path, "--out", tmp_path / "new", "--model", "starter")


def test_label_keeps_held_out_clips_apart(data):
    """What the model was calibrated on is not trained on by the next one, where the data has no split of its own."""
    source = sources.load(str(data("one", "two", "three")))
    splits = label._split_transcribed(source, source.train[1:2])
    assert [(split, row.text) for split, row in splits] == [("train", "one"), ("eval", "two"), ("train", "three")]
    own = types.SimpleNamespace(train=source.train[:1], eval=source.train[1:])
    assert [split for split, _ in label._split_transcribed(own, [])] == ["train", "eval", "eval"]


def test_licence_is_printed_before_the_start(asrkit, store):
    code, out, err = asrkit("train", "--model", "facebook/mms-1b-all", "--train", "/nowhere")
    assert (code, out) == (1, "") and err.startswith("facebook/mms-1b-all has a licence for non-commercial use")
    assert "/nowhere" in err and store.all() == []


# Runs


def test_list_runs(asrkit, store, ended):
    store.create(TrainConfig(), "20260102-000000-demo")
    code, out, err = asrkit("runs", "list", "--json")
    assert (code, err) == (0, "")
    assert [(row["run_id"], row["status"]) for row in json.loads(out)] == [
        ("20260102-000000-demo", "queued"),
        ("20260101-000000-demo", "finished"),
    ]
    code, out, _ = asrkit("runs", "list")
    assert (code, out.splitlines()) == (
        0,
        ["20260102-000000-demo  queued  step 0 of ?", "20260101-000000-demo  finished  step 20 of 20  best WER 25.00%"],
    )


def test_list_of_no_runs(asrkit):
    assert asrkit("runs", "list", "--json") == (0, "[]\n", "")
    assert asrkit("runs", "list") == (0, "", "")


def test_show_run(asrkit, ended):
    code, out, err = asrkit("runs", "show", ended.id, "--json")
    result = json.loads(out)
    assert (code, err) == (0, "")
    metrics = {"step": 20, "loss": 0.5, "wer": 0.25, "cer": 0.125, "mer": 0.25}
    assert result["best"] == result["last_eval"] == metrics | {"clips": None, "of": None, "wer_interval": None}
    code, out, _ = asrkit("runs", "show", ended.id)
    assert code == 0 and "status: finished\n" in out and "step: 20\n" in out


@pytest.mark.parametrize("action", ["stop", "cancel"])
def test_ended_run_gets_no_flag(asrkit, ended, action):
    code, out, _ = asrkit("runs", action, ended.id, "--json")
    assert code == 0 and json.loads(out)["status"] == "finished" and not ended.has_flag(STOP)


def test_delete(asrkit, store, ended):
    assert asrkit("runs", "delete", ended.id) == (0, "", "")
    assert store.all() == []


@pytest.mark.parametrize("action", ["show", "stop", "cancel", "resume", "delete"])
def test_missing_run_is_an_error(refused, action):
    for name in ("gone", "../runs", ""):
        assert f"There is no run {name!r} in " in refused("runs", action, name)


def test_finished_run_is_not_resumed(refused, ended):
    assert "is finished; only a stopped, failed or crashed run can be resumed" in refused("runs", "resume", ended.id)


def test_archive_writes_a_zip(asrkit, refused, ended, tmp_path):
    code, out, _ = asrkit("runs", "archive", ended.id, tmp_path / "packed.zip")
    assert code == 0 and out.startswith(f"{tmp_path / 'packed.zip'}: ")
    assert f"{ended.id}/config.json" in zipfile.ZipFile(tmp_path / "packed.zip").namelist()
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused("runs", "archive", ended.id, tmp_path / "file" / "packed.zip")


def test_runs_dir_comes_from_the_environment(monkeypatch, capsys, store, ended):
    monkeypatch.setenv("ASRKIT_RUNS", str(store.root))
    assert cli.main(["runs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["run_id"] == ended.id


# Presets


def test_presets(asrkit):
    code, out, err = asrkit("presets", "--json")
    result = json.loads(out)
    assert (code, err) == (0, "") and [row["name"] for row in result] == list_presets()
    assert set(result[0]) == {"name", "title", "summary", "source", "config"}
    assert {row["name"]: row["config"]["learning_rate"] for row in result}["english-xlsr-53"] == 0.0001
    code, out, _ = asrkit("presets")
    assert code == 0 and out.splitlines()[0].startswith("demo: Teaches the starter")


# Data and speech


@pytest.fixture
def clip(tmp_path):
    """clip("a.wav", seconds) -> its path; `seconds` of a tone."""

    def write(name: str, seconds: float = 1.0, peak: float = 0.5) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, peak * np.sin(np.arange(round(seconds * 16_000)) / 5), 16_000)
        return path

    return write


@pytest.fixture
def listener(monkeypatch):
    """A transcriber that hears the length of what it is given; it keeps the names of the models asked for."""
    asked = []

    def get_transcriber(model, store, on_progress=None):
        if model == "broken":
            raise ModelError("The model broken cannot be loaded for transcription: no.")
        asked.append(model)
        return types.SimpleNamespace(iter_words=iter_words, transcribe_batch=transcribe_batch, decoder=None)

    def iter_words(blocks, decoder):
        samples = sum(len(block) for block in blocks)
        yield samples, [Word(f"{samples / 16_000:g}", 0.1, 0.5, 0.9), Word("seconds", 0.6, 0.9, 0.8)]

    def transcribe_batch(waves, decoder):
        return [
            Transcript([word for _, words in iter_words([wave.samples], decoder) for word in words], wave.duration_s)
            for wave in waves
        ]

    stub = types.SimpleNamespace(get_transcriber=get_transcriber)
    monkeypatch.setitem(sys.modules, "asrkit.transcription.model_cache", stub)
    monkeypatch.setattr(transcription, "model_cache", stub, raising=False)
    return asked


def test_transcribe(asrkit, listener, clip):
    one, two = clip("one.wav", 1.0), clip("two.wav", 1.5)
    assert asrkit("transcribe", one) == (0, "1 seconds\n", "")
    assert asrkit("transcribe", one, two) == (0, f"{one}: 1 seconds\n{two}: 1.5 seconds\n", "")
    code, out, err = asrkit("transcribe", one, two, "--format", "json", "--model", "mine")
    assert (code, err) == (0, "")
    assert json.loads(out) == [
        {
            "file": str(path),
            "text": f"{length:g} seconds",
            "duration_s": length,
            "words": [
                {"word": f"{length:g}", "start_s": 0.1, "end_s": 0.5, "confidence": 0.9},
                {"word": "seconds", "start_s": 0.6, "end_s": 0.9, "confidence": 0.8},
            ],
        }
        for path, length in ((one, 1.0), (two, 1.5))
    ]
    assert set(listener) == {"starter", "mine"}


def test_transcribe_into_annotations(asrkit, listener, clip, refused, tmp_path):
    audio = clip("story.wav", 3.0)
    grid = audio.with_suffix(".TextGrid")
    grid.write_text(make_textgrid(seg=[(0, 1, ""), (1, 3, "")]))
    assert asrkit("transcribe", grid, "--output", tmp_path / "out") == (0, "", "")
    (recording,) = praat.read(tmp_path / "out" / "story.TextGrid")
    assert [span.text for span in recording.tiers[1].spans] == ["1 seconds", "2 seconds"]
    assert "Give --output DIR" in refused("transcribe", grid)
    assert "is no .eaf or .TextGrid" in refused("transcribe", grid, audio, "--output", tmp_path)
    assert "is one of the recordings and would be overwritten" in refused("transcribe", grid, "--output", tmp_path)
    code, out, err = asrkit("transcribe", grid, "--tiers", "x", "--output", tmp_path / "out")
    assert (code, out) == (1, "") and "has no tier x; there are 'seg' (0 texts)" in err


def test_audit_lists_tiers(asrkit, clip):
    grid = clip("story.wav", 3.0).with_suffix(".TextGrid")
    grid.write_text(make_textgrid(text=[(0, 1, "olá a todos"), (1, 3, "")], translation=[(0, 1, "hello")]))
    code, out, err = asrkit("audit", grid)
    assert "tier text: read, 1 of 2 annotations have a text, 0.0 minutes: olá a todos\n" in out
    assert "tier translation: not read, 1 of 1 annotations have a text" in out
    tiers = json.loads(asrkit("audit", grid, "--json", "--set", "tiers=translation")[1])["tiers"]
    assert [(tier["name"], tier["is_chosen"]) for tier in tiers] == [("translation", True), ("text", False)]


def test_transcribe_channels(asrkit, listener, refused, tmp_path, sine):
    samples = np.stack([sine(2.0), np.zeros(32_000, np.float32), sine(2.0, hertz=300.0)], axis=1)
    soundfile.write(path := tmp_path / "meeting.wav", samples, 16_000)
    code, out, err = asrkit("transcribe", path, "--channels", "--format", "ctm")
    assert (code, err) == (0, "") and [line.split()[1] for line in out.splitlines()] == ["1", "1", "3", "3"]
    asrkit("transcribe", path, "--channels", "--format", "eaf", "--output", tmp_path / "out")
    (recording,) = elan.read(tmp_path / "out" / "meeting.eaf")
    assert [(tier.name, tier.speaker) for tier in recording.tiers if not tier.parent] == [
        ("channel 1 transcription", "channel 1"),
        ("channel 3 transcription", "channel 3"),
    ]
    assert "srt cannot tell channels apart" in refused("transcribe", path, "--channels", "--format", "srt")
    soundfile.write(mono := tmp_path / "mono.wav", sine(1.0), 16_000)
    assert "has 1 channel; between 2 and 8" in asrkit("transcribe", mono, "--channels", "--format", "ctm")[2]


def test_subtitles_on_stdout_and_in_files(asrkit, refused, listener, clip, tmp_path):
    one, other = clip("one.wav", 1.0), clip("other/one.wav", 1.5)
    assert asrkit("transcribe", one, "--format", "srt") == (0, "1\n00:00:00,100 --> 00:00:01,000\n1 seconds\n", "")
    assert asrkit("transcribe", one, other, "--format", "vtt", "--output", tmp_path / "out") == (0, "", "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one-2.vtt", "one.vtt"]
    assert "1.5 seconds" in (tmp_path / "out" / "one-2.vtt").read_text()
    listener.clear()
    assert "one.wav is a file; give a folder" in refused("transcribe", one, "--output", one)
    for name in ("srt", "vtt", "tsv"):
        assert "give --output DIR" in refused("transcribe", one, other, "--format", name)
    assert listener == [], "known only after listening"


def test_text_of_the_files_before_an_interrupt_is_printed(asrkit, listener, clip, monkeypatch):
    one, two = clip("one.wav", 1.0), clip("two.wav", 1.5)
    transcribe_file = files.transcribe_file

    def interrupt_the_second(name, *arguments, **options):
        if name == str(two):
            raise KeyboardInterrupt
        return transcribe_file(name, *arguments, **options)

    monkeypatch.setattr(files, "transcribe_file", interrupt_the_second)
    code, out, err = asrkit("transcribe", one, two, "--format", "json")
    assert (code, [row["file"] for row in json.loads(out)], err) == (130, [str(one)], "asrkit: interrupted\n")
    assert asrkit("transcribe", two, "--format", "json") == (130, "", "asrkit: interrupted\n")


def test_file_that_cannot_be_written_is_saved_elsewhere(asrkit, listener, clip, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "out"
    transcribe_file = files.transcribe_file

    def remove_folder(*arguments, **options):
        transcript = transcribe_file(*arguments, **options)
        folder.rmdir()
        folder.write_text("a file by now")
        return transcript

    monkeypatch.setattr(files, "transcribe_file", remove_folder)
    code, out, err = asrkit("transcribe", clip("one.wav"), "--output", folder)
    assert (code, out) == (1, "") and err.endswith(f"the text was saved as {tmp_path / 'one.txt'}\n")
    assert (tmp_path / "one.txt").read_text() == "1 seconds\n"


def missing(folder, clip):
    return folder / "gone.wav", "gone.wav does not exist"


def empty(folder, clip):
    (folder / "none.wav").write_bytes(b"")
    return folder / "none.wav", "none.wav is empty (0 bytes)"


def text_file(folder, clip):
    (folder / "letter.wav").write_text("Dear friend,")
    return folder / "letter.wav", "letter.wav cannot be read as audio"


def a_folder(folder, clip):
    return folder, "is a folder; give an audio file"


def silence(folder, clip):
    return clip("silence.wav", 1.0, peak=0.0), "silence.wav: The recording is silent"


def a_tenth_of_a_second(folder, clip):
    return clip("blip.wav", 0.1), "blip.wav: The recording is 0.10 s long"


@pytest.mark.parametrize("bad", [missing, empty, text_file, a_folder, silence, a_tenth_of_a_second])
def test_unusable_recordings_are_errors(asrkit, refused, listener, clip, tmp_path, bad):
    path, words = bad(tmp_path, clip)
    assert words in refused("transcribe", path)
    assert listener == [], "a model was loaded for nothing"
    good = clip("good.wav")
    code, out, err = asrkit("transcribe", path, good, "--format", "json")
    assert code == 1 and words in err and err.count("\n") == 1
    assert [row["file"] for row in json.loads(out)] == [str(good)]


def test_model_that_cannot_be_loaded(refused, listener, clip):
    assert "broken cannot be loaded" in refused("transcribe", clip("good.wav"), "--model", "broken")


@pytest.fixture
def data(tmp_path, clip):
    def make(*texts: str) -> Path:
        for number in range(len(texts)):
            clip(f"data/{number}.wav")
        rows = [f'{number}.wav,"{text}"' for number, text in enumerate(texts)]
        (tmp_path / "data" / "metadata.csv").write_text("\n".join(["file_name,text", *rows]) + "\n")
        return tmp_path / "data"

    return make


def test_evaluate(asrkit, listener, data):
    """Two references of two words against "1 seconds": one word of four is wrong."""
    code, out, err = asrkit("evaluate", data("1 seconds", "1 minutes"), "--json")
    result = json.loads(out)
    assert (code, err) == (0, "")
    assert list(result) == ["wer", "cer", "mer", "utterances", "audio_seconds", "seconds", "rtfx"]
    assert (result["wer"], result["utterances"], result["audio_seconds"]) == (0.25, 2, 2.0)
    code, out, _ = asrkit("evaluate", data("1 seconds", "1 minutes"))
    assert code == 0 and out.startswith("WER 25.00% (95 % interval 0.00% to 50.00%)  CER ")


def test_evaluate_lowers_by_the_language_of_the_texts(asrkit, listener, data):
    folder = data("1 saniye İYİ", "1 saat ılık")
    code, out, err = asrkit("evaluate", folder, "--json")
    assert code == 0 and json.loads(out)["normaliser"] == "basic+case:tr"
    assert "The normaliser is basic+case:tr;" in err
    _, out, err = asrkit("evaluate", folder, "--json", "--normaliser", "basic+markup:remove")
    assert json.loads(out)["normaliser"] == "basic+markup:remove"
    assert "--normaliser basic+case:tr+markup:remove lowers" in err


def test_evaluate_reports_unreadable_clips(asrkit, listener, data):
    folder = data("1 seconds", "1 minutes")
    next(Path(folder).rglob("*.wav")).write_text("no sound")
    code, out, err = asrkit("evaluate", folder)
    assert code == 0 and "(1 clip, " in out and "Not counted, because unreadable: 1 clip; one of them: " in err


def test_evaluate_reports_assumptions_and_bad_rows(asrkit, listener, data):
    folder = Path(data("1 seconds", "1 minutes"))
    table = folder / "metadata.csv"
    table.write_text(f'{table.read_text()}gone.wav,"1 hour\n')
    _, _, err = asrkit("evaluate", folder)
    assert "Read on assumptions, which `asrkit audit` lists: 1 clip." in err
    assert "Not counted, because unreadable: 1 clip" in err


def test_evaluate_without_data(refused, listener, tmp_path):
    assert "There is no data at" in refused("evaluate", tmp_path / "gone")


def test_audit(asrkit, data, monkeypatch):
    monkeypatch.setattr("asrkit.cli.audit.find_machine", lambda: Machine(8, True, None))
    code, out, err = asrkit("audit", data("one", "two", ""), "--json")
    result = json.loads(out)
    assert (code, err) == (0, "") and list(result)[:5] == ["verdict", "utterances", "hours", "dropped", "findings"]
    assert (result["verdict"], result["utterances"], result["dropped"]) == ("ready-with-drops", 2, 1)
    assert list(result["findings"][0]) == ["code", "count", "examples", "effect", "fix"]
    advice = result["advice"]
    assert list(advice) == ["sentence", "base", "preset", "settings", "evidence", "memory_gb"]
    assert (advice["base"], advice["preset"]) == ("facebook/mms-1b-all", "low-resource") and "arXiv" in advice[
        "evidence"
    ]
    assert advice["sentence"].startswith("1 minute of an unknown language, 8 GB: MMS 1B with adapters only")
    code, out, _ = asrkit("audit", data("", "", "three"))
    assert code == 1 and "recognised as: folder with a metadata table\n" in out
    assert "\nnot-ready: 1 clip, 0.00 hours, 2 left out\nempty-transcript (2): " in out


def test_audit_and_train_ask_for_a_yes_to_assumptions(asrkit, refused, data, monkeypatch):
    folder = data("fifty% off", "two", "three")
    code, out, _ = asrkit("audit", folder)
    assert code == 0 and "\nready-with-drops: 3 clips" in out
    assert out.endswith("To accept these assumptions, train with --yes: spoken-symbols\n")
    (finding,) = [row for row in json.loads(asrkit("audit", folder, "--json")[1])["findings"] if "changes" in row]
    assert (finding["code"], finding["changes"]) == ("spoken-symbols", "text")
    assert "--yes on the command line" in refused("train", "--train", folder, "--set", "vocabulary=fresh")
    assert settings("--train", str(folder), "--yes").accept_assumptions


def test_audit_writes_the_selection(asrkit, data, store):
    folder = data("one", "two", "three", "")
    code, out, _ = asrkit("audit", folder, "--leave-out", "duplicate-audio", "--set", "min_duration_s=0.2")
    path = Path(out.strip().splitlines()[-1].partition(": ")[2])
    assert code == 0 and path.parent == store.data_dir / "selections"
    assert json.loads(asrkit("audit", path, "--json")[1])["verdict"] == "ready"
    _, out, err = asrkit("audit", folder, "--leave-out", "duplicate-audio", "--set", "min_duration_s=0.2", "--json")
    assert json.loads(out)["utterances"] and err.endswith(f": {path}\n")
    result = json.loads(path.with_suffix(".left-out.json").read_text())
    assert {left["code"]: left["count"] for left in result["left_out"]} == {"empty-transcript": 1, "duplicate-audio": 2}
    assert result["kept"] == 1 and result["data"] == str(folder)


def test_audit_rejects_an_unknown_finding_code(refused, data):
    assert "'loud' is not a finding; choose from unreadable-audio, " in refused(
        "audit", data("one"), "--leave-out", "loud"
    )


def test_ctrl_c_exits_with_one_line(asrkit, data, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("asrkit.audit.inspection.inspect", interrupt)
    assert asrkit("audit", data("one")) == (130, "", "asrkit: interrupted\n")


def test_audit_without_data(refused, tmp_path):
    assert "There is no data at" in refused("audit", tmp_path / "gone", "--json")
    assert "There is no model 'nonsense'" in refused("audit", tmp_path, "--model", "nonsense")


def test_queue_is_reordered_from_the_command_line(asrkit, store):
    for place, name in enumerate("abc"):
        run = store.create(TrainConfig(), name)
        run.queue_path.write_text(f'{{"place": {place}}}')
    code, out, _ = asrkit("runs", "move", "c", 2, "--json")
    assert (code, json.loads(out)["status"]) == (0, "queued")
    assert [run.id for run in queue.list_queue(store)] == ["a", "c", "b"]
    asrkit("runs", "next", "b")
    assert [run.id for run in queue.list_queue(store)] == ["b", "a", "c"]
    result = asrkit("runs", "list")[1].splitlines()
    assert sorted(line.split("  ")[:2] for line in result) == [
        ["a", "queued (2 of 3)"],
        ["b", "queued (1 of 3)"],
        ["c", "queued (3 of 3)"],
    ]


def test_export_prints_what_was_measured(asrkit, tmp_path, monkeypatch):
    measured = {
        "path": "out",
        "total_bytes": 7_700_000,
        "clips": 98,
        "clips_from": "run",
        "max_difference": 3e-5,
        "pytorch": {"wer": 0.05},
        "float32": {"wer": 0.05, "changed_texts": 0},
        "int8": {"wer": 0.06, "changed_texts": 2},
    }
    fake = types.SimpleNamespace(export_model=lambda *arguments, **options: measured, require_free=lambda target: None)
    monkeypatch.setitem(sys.modules, "asrkit.transcription.export.exporter", fake)
    monkeypatch.setattr("asrkit.transcription.export.exporter", fake, raising=False)
    code, out, _ = asrkit("export", "starter", tmp_path / "out", "--int8")
    assert code == 0 and "out: 7.7 MB" in out
    assert "Checked against PyTorch on 98 of the run's evaluation clips" in out
    assert "WER in int8 6.00%, another text on 2 of 98 clips" in out
    code, out, _ = asrkit("export", "starter", tmp_path / "out", "--json")
    assert json.loads(out) == measured


def test_public_and_private_exclude_each_other(asrkit, ended, capsys):
    with pytest.raises(SystemExit):
        asrkit("runs", "publish", ended.id, "ana/page", "--public", "--private")
    assert "--private: not allowed with argument --public" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "form", "options"),
    [
        ([], "model", {"private": True, "replace": False}),
        (["--space"], "page", {"private": True, "replace": False}),
        (["--space", "app", "--public", "--replace"], "app", {"private": False, "replace": True}),
    ],
)
def test_run_is_published_privately_unless_asked(asrkit, ended, monkeypatch, flags, form, options):
    def publish_run(run, name, asked, *, on_progress, **given):
        assert (run.id, name, asked, given) == (ended.id, "ana/tones", form, options)
        return "https://example.org/ana/tones"

    monkeypatch.setattr(publishing, "publish_run", publish_run)
    assert asrkit("runs", "publish", ended.id, "ana/tones", *flags)[1] == "https://example.org/ana/tones\n"


def test_card_is_shown_before_it_is_published(asrkit, ended):
    code, out, _ = asrkit("runs", "publish", ended.id, "ana/tones", "--show-card")
    assert code == 0 and out.startswith("---\n") and 'from_pretrained("ana/tones")' in out


def test_archive_is_imported(asrkit, refused, ended, tmp_path):
    asrkit("runs", "archive", ended.id, tmp_path / "packed.zip")
    assert f"Run {ended.id} already exists" in refused("runs", "import", tmp_path / "packed.zip")
    code, out, _ = asrkit("runs", "import", tmp_path / "packed.zip", "--run-id", "two", "--json")
    assert code == 0 and (json.loads(out)["run_id"], json.loads(out)["status"]) == ("two", "finished")
    assert "There is no file" in refused("runs", "import", tmp_path / "gone.zip")


def test_model_is_packed_by_itself(asrkit, refused, ended, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "has no model yet" in refused("runs", "archive", ended.id, "--model")
    ended.model_dir.mkdir()
    (ended.model_dir / "config.json").write_text("{}")
    assert asrkit("runs", "archive", ended.id, "--model")[1].startswith(f"{ended.id}-model.zip: ")


# Sweeps


def test_sweep_is_compared_when_its_runs_have_ended(asrkit, store, monkeypatch):
    def start(store, config, run_id, description):
        run = store.create(config, run_id)
        rate = config.learning_rate * 1e4 + config.seed / 100
        run.append(Event("eval", 10.0, 4, 1.0, {"wer": rate, "cer": rate, "loss": 1.0}))
        run.append(Event("finished", 11.0, 4, 1.0, {"message": "Finished."}))
        run.process_path.write_text("{}")
        return run

    monkeypatch.setattr(supervisor, "start", start)
    flags = ["--sweep", "learning_rate=1e-5,3e-5", "--sweep", "seed=1,2", "--run-id", "tuning"]
    code, out, _ = asrkit("train", "--preset", "quick", *flags)
    assert code == 0 and "Sweep tuning: 4 runs" in out and "tuning-4  finished" in out
    assert "1e-05          2 of 2  11.50 ± 0.71 %" in out
    _, out, _ = asrkit("runs", "sweep", "tuning", "--json")
    rows = json.loads(out)["rows"]
    assert [row["values"]["learning_rate"] for row in rows] == [1e-5, 3e-5] and rows[0]["wer"]["runs"] == 2


def test_unknown_sweep_is_refused(refused):
    assert "There is no sweep tuned" in refused("runs", "sweep", "tuned")
