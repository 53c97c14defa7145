"""Compare with Hugging Face's example script `run_speech_recognition_ctc.py`, which is not part of this repository.

    python -m tests.benchmarks.example_script SCRIPT.py DATA [--epochs 5] [--learning-rate 1e-3]

Both train the same encoder (the starter's, with a fresh output layer) on the same clips of up to 20 s, of which a
random fifth is held out, with the same epochs, batches of 8 clips, learning rate, masks and frozen feature encoder.
Three processes run one after the other: the script with its default settings, with its fastest flags (bf16, batches by
length, a loader process), and ours. Prints audio seconds per second of the whole process and of training alone, and the
WER of each model by our `evaluate`.

The script receives Parquet files that contain the audio, so that it needs no decoder of its own. Adjust it first if it
downloads its metric from the Hub or if its arguments are of another release.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asrkit.data import sources
from asrkit.models import resolution
from asrkit.runs import events
from asrkit.runs.store import RunStore
from asrkit.text.normalisers import normalise

CLIPS = 8
LONGEST_S = 20.0
BEST_FLAGS = [
    "--bf16",
    "--train_sampling_strategy",
    "group_by_length",
    "--length_column_name",
    "input_length",
    "--dataloader_num_workers",
    "1",
]


@dataclass(frozen=True)
class Result:
    """name, seconds of the whole process and of its training, the model's directory, and what it said of its WER."""

    name: str
    whole_s: float
    training_s: float
    model: Path
    own_wer: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("script", type=Path)
    parser.add_argument("data")
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        audio_s = options.epochs * prepare(options.data, folder)
        print(f"{audio_s:.0f} s of audio in {options.epochs:g} epochs", flush=True)
        results = [ours(folder, options)]
        for label, flags in (("defaults", []), ("best flags", BEST_FLAGS)):
            results.append(theirs(label, flags, folder, options))
        for result in results:
            wer = evaluate(result.model, folder / "test.csv")
            print(
                f"{result.name}: whole process {audio_s / result.whole_s:.1f}, training alone "
                f"{audio_s / result.training_s:.1f} audio seconds a second; WER {wer:.3f} (its own figure: "
                f"{result.own_wer:.3f})",
                flush=True,
            )
        for other in results[1:]:
            print(
                f"ours against its {other.name}: {other.whole_s / results[0].whole_s:.2f} whole process, "
                f"{other.training_s / results[0].training_s:.2f} training alone"
            )


def prepare(data: str, folder: Path) -> float:
    """Write both splits as CSV for us and as parquet for the script, and the encoder; -> seconds of training audio."""
    from datasets import Audio, Dataset

    rows = [row for row in sources.load(data).utterances if row.duration_s < LONGEST_S]
    mixed = [rows[place] for place in np.random.default_rng(42).permutation(len(rows))]
    parts = {"test": mixed[: len(mixed) // 5], "train": mixed[len(mixed) // 5 :]}
    for split, part in parts.items():
        texts = [normalise(row.text, "basic") for row in part]
        with open(folder / f"{split}.csv", "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["file_name", "text"])
            table.writerows([Path(row.audio).resolve(), text] for row, text in zip(part, texts, strict=True))
        sounds = [{"bytes": Path(row.audio).read_bytes(), "path": None} for row in part]
        made = Dataset.from_dict({"audio": sounds, "text": texts}).cast_column("audio", Audio(decode=False))
        made.to_parquet(folder / "parquet" / f"{split}.parquet")
    write_encoder(folder / "base")
    return sum(row.duration_s for row in parts["train"])


def write_encoder(folder: Path) -> None:
    """Write the starter's encoder as a base model."""
    from transformers import AutoFeatureExtractor, AutoModelForCTC

    AutoModelForCTC.from_pretrained(resolution.STARTER_DIR).float().base_model.save_pretrained(folder)
    AutoFeatureExtractor.from_pretrained(resolution.STARTER_DIR).save_pretrained(folder)


def ours(folder: Path, options: argparse.Namespace) -> Result:
    """The command line, evaluated once at the end as the script does."""
    settings = {
        "vocabulary": "fresh",
        "num_epochs": options.epochs,
        "train_batch_size": CLIPS,
        "batch_seconds": 0,
        "learning_rate": options.learning_rate,
        "mask_time_prob": 0.05,
        "freeze": "feature-encoder",
        "eval_on_start": False,
        "eval_steps": 1_000_000,
        "logging_steps": 500,
        "max_steps": 0,
        "warmup_steps": 0,
        "augmentation": "none",
        "max_duration_s": LONGEST_S,
    }
    whole = timed(
        [
            "-m",
            "asrkit",
            "train",
            "--preset",
            "quick",
            "--run-id",
            "ours",
            "--runs-dir",
            str(folder / "runs"),
            "--train",
            str(folder / "train.csv"),
            "--eval",
            str(folder / "test.csv"),
            "--model",
            str(folder / "base"),
            *(word for name, value in settings.items() for word in ("--set", f"{name}={value}")),
        ],
        folder,
    )
    run_events, _ = RunStore(folder / "runs").get("ours").events()
    begun = next(one.time for one in run_events if one.data.get("phase") == "training")
    ended = next(one.time for one in run_events if one.data.get("phase") == "evaluating")
    (scored,) = (one for one in run_events if one.kind == events.EVAL)
    return Result("ours", whole, ended - begun, folder / "runs" / "ours" / "model", scored.data["wer"])


def theirs(name: str, flags: list[str], folder: Path, options: argparse.Namespace) -> Result:
    """The script with these flags on top of what both have in common."""
    import torch

    out = folder / name.replace(" ", "-")
    device = [] if torch.accelerator.is_available() else ["--use_cpu"]
    whole = timed(
        [
            str(options.script),
            "--dataset_name",
            str(folder / "parquet"),
            "--train_split_name",
            "train",
            "--eval_split_name",
            "test",
            "--model_name_or_path",
            str(folder / "base"),
            "--output_dir",
            str(out),
            "--do_train",
            "--do_eval",
            "--num_train_epochs",
            str(options.epochs),
            "--per_device_train_batch_size",
            str(CLIPS),
            "--learning_rate",
            str(options.learning_rate),
            "--max_duration_in_seconds",
            str(LONGEST_S),
            "--save_strategy",
            "no",
            "--report_to",
            "none",
            *device,
            *flags,
        ],
        folder,
        cache=out,
    )
    metrics = json.loads((out / "all_results.json").read_text())
    return Result(name, whole, metrics["train_runtime"], out, metrics["eval_wer"])


def timed(command: list[str], folder: Path, cache: Path | None = None) -> float:
    """Seconds that a Python process takes; its output goes to a file that is shown where it fails."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1"} | ({"HF_HOME": f"{cache}-cache"} if cache else {})
    begun = time.monotonic()
    with open(folder / "log.txt", "w+", encoding="utf-8") as log:
        done = subprocess.run([sys.executable, *command], stdout=log, stderr=subprocess.STDOUT, env=environment)
        taken = time.monotonic() - begun
        log.seek(0)
        if done.returncode:
            sys.exit(f"{command[0]} failed:\n{log.read()[-3000:]}")
    return taken


def evaluate(model: Path, data: Path) -> float:
    """WER of a model's directory by our own evaluation."""
    process = subprocess.run(
        [sys.executable, "-m", "asrkit", "evaluate", str(data), "--model", str(model), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(process.stdout)["wer"]


if __name__ == "__main__":
    main()
