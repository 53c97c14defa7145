"""`python -m asrkit` in its own process: output, JSON, exit status and errors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asrkit.runs import processes, view
from asrkit.runs.store import RunStore
from tests.support import tiny
from tests.support.commands import run_asrkit
from tests.support.waiting import wait_for

PROJECT = Path(__file__).parents[2]


def asrkit(*arguments: object, runs: Path) -> subprocess.CompletedProcess:
    return run_asrkit([*arguments, "--runs-dir", runs])


def short_training_options(speech: Path, base: Path, **changes) -> list[str]:
    values = {**tiny.SETTINGS, **changes}
    pairs = [argument for name, value in values.items() for argument in ("--set", f"{name}={value}")]
    return ["--train", str(speech), "--model", str(base), *pairs]


def test_trained_run_can_be_used_and_deleted(tmp_path, speech, base):
    done = asrkit("train", *short_training_options(speech, base), "--run-id", "one", runs=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "step 12 of 12" in done.stdout and "evaluation at step 12" in done.stdout

    shown = json.loads(asrkit("runs", "show", "one", "--json", runs=tmp_path).stdout)
    assert shown["status"] == "finished" and shown["step"] == shown["total_steps"] == 12
    assert shown["last_eval"]["step"] == 12 and shown["best"]["wer"] <= shown["last_eval"]["wer"]
    assert [row["run_id"] for row in json.loads(asrkit("runs", "list", "--json", runs=tmp_path).stdout)] == ["one"]

    clip = next((speech / "audio").glob("*.wav"))
    transcripts = json.loads(asrkit("transcribe", clip, "--format", "json", runs=tmp_path).stdout)
    assert transcripts[0]["file"] == str(clip)
    assert transcripts[0]["duration_s"] == pytest.approx(soundfile.info(clip).duration, abs=0.01)

    metrics = json.loads(asrkit("evaluate", speech, "--model", "one", "--json", runs=tmp_path).stdout)
    assert metrics["utterances"] == 6
    assert metrics["wer"] == pytest.approx(shown["best"]["wer"], abs=1e-6)

    again = asrkit("train", *short_training_options(speech, base), "--run-id", "one", runs=tmp_path)
    assert again.returncode == 1 and "Run one already exists" in again.stderr

    assert asrkit("runs", "delete", "one", runs=tmp_path).returncode == 0
    assert json.loads(asrkit("runs", "list", "--json", runs=tmp_path).stdout) == []


def test_interrupt_stops_and_saves(tmp_path, speech, base):
    command = [
        sys.executable,
        "-m",
        "asrkit",
        "train",
        *short_training_options(speech, base, max_steps=2000, num_epochs=2000),
        "--run-id",
        "long",
        "--runs-dir",
        str(tmp_path),
    ]
    # A shell that runs the tests in the background makes them ignore SIGINT, which this child would inherit.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=PROJECT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        run = (
            RunStore(tmp_path).get("long")
            if (tmp_path / "long").exists()
            else wait_for(
                lambda: (tmp_path / "long" / "config.json").exists() and RunStore(tmp_path).get("long"), "the run"
            )
        )
        wait_for(lambda: view.load_view(run).step >= 3, "step 3")
        os.kill(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        for remaining_run in RunStore(tmp_path).all():
            processes.kill_worker(remaining_run)
    assert process.returncode == 0, output
    assert b"Stopping and saving" in output and run.has_model()


def write_dataset(folder: Path, rows: list[tuple[str, str]], header: str = "file_name,text") -> Path:
    """Write a dataset of good clips, followed by `rows`."""
    tiny.write_dataset(folder, train=6, held_out=0)
    lines = [f"audio/{number:03d}.wav,abc" for number in range(4)]
    (folder / "metadata.csv").write_text("\n".join([header, *lines, *(f"{a},{b}" for a, b in rows)]) + "\n")
    return folder


def make_empty_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def write_text_as_audio(folder: Path) -> Path:
    dataset = write_dataset(folder, [("audio/bad.wav", "abc")])
    (dataset / "audio" / "bad.wav").write_text("this is text, not audio")
    return dataset


def write_empty_clip(folder: Path) -> Path:
    dataset = write_dataset(folder, [("audio/none.wav", "abc")])
    soundfile.write(dataset / "audio" / "none.wav", np.zeros(0, np.float32), 16_000)
    return dataset


def write_one_clip(folder: Path) -> Path:
    dataset = write_dataset(folder, [])
    (dataset / "metadata.csv").write_text("file_name,text\naudio/000.wav,abc\n")
    return dataset


BAD_DATA = {
    "missing path": (lambda folder: folder / "nowhere", "nowhere"),
    "empty folder": (make_empty_folder, "is empty"),
    "no columns": (lambda folder: write_dataset(folder, [], header="sound,words"), "is in 'sound'"),
    "not audio": (write_text_as_audio, "bad.wav"),
    "zero length": (write_empty_clip, "none.wav"),
    "empty transcript": (lambda folder: write_dataset(folder, [("audio/004.wav", " ")]), "row 6"),
    "unknown characters": (lambda folder: write_dataset(folder, [("audio/004.wav", "xyz")]), "row 6"),
    "text too long": (lambda folder: write_dataset(folder, [("audio/004.wav", "a" * 400)]), "row 6"),
    "no eval split": (write_one_clip, "1 clip"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_gives_a_one_line_error_and_no_run(case, tmp_path, base):
    make, fault = BAD_DATA[case]
    # By default the vocabulary grows by the characters of the data.
    options = (*short_training_options(make(tmp_path / "data"), base), "--set", "vocabulary=keep")
    refused = asrkit("train", *options, runs=tmp_path / "runs")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1 and refused.stderr.startswith("asrkit: ")
    assert fault in refused.stderr, refused.stderr
    assert RunStore(tmp_path / "runs").all() == []


def write_text_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 3}, "Learning rate (learning_rate) is 3; it must be between"),
        ({"train_batch_size": 0}, "Batch size (clips) (train_batch_size) is 0; it must be between"),
        ({"train_batch_size": "several"}, "must be a whole number"),
        ({"learning_rat": 1}, "There is no setting 'learning_rat'"),
    ],
)
def test_bad_settings_give_a_one_line_error(change, message, tmp_path, speech, base):
    refused = asrkit("train", *short_training_options(speech, base, **change), runs=tmp_path)
    assert refused.returncode == 1 and message in refused.stderr and refused.stderr.count("\n") == 1
    assert RunStore(tmp_path).all() == []


def test_model_without_ctc_is_refused(tmp_path, speech):
    refused = asrkit(
        "train", *short_training_options(speech, write_text_model(tmp_path / "bert")), runs=tmp_path / "runs"
    )
    assert refused.returncode == 1 and "is of type 'bert', which is not a CTC speech model" in refused.stderr
    assert not (tmp_path / "runs").exists() or RunStore(tmp_path / "runs").all() == []


def test_full_disk_is_reported_before_the_start(tmp_path, speech, base):
    small = tmp_path / "small"
    small.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], capture_output=True
        ).returncode
    ):
        pytest.skip("a small file system cannot be mounted here")
    try:
        refused = asrkit("train", *short_training_options(speech, base), runs=small / "runs")
        assert refused.returncode == 1 and "is full" in refused.stderr and refused.stderr.count("\n") == 1
        assert RunStore(small / "runs").all() == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(16_000, np.float32), "silent"),
        (0.5 * np.sin(np.arange(1600) / 3).astype(np.float32), "0.10 s long"),
        (None, "is empty (0 bytes)"),
    ],
)
def test_recording_without_speech_gives_a_one_line_error(samples, message, tmp_path, base):
    clip = tmp_path / "clip.wav"
    clip.touch() if samples is None else soundfile.write(clip, samples, 16_000)
    refused = asrkit("transcribe", clip, "--model", base, runs=tmp_path / "runs")
    assert refused.returncode == 1 and refused.stdout == ""
    assert message in refused.stderr and refused.stderr.count("\n") == 1
