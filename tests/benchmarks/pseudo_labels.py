"""Whether pseudo-labels help: a third of the texts known, the other recordings labelled by the model trained on it.

    python -m tests.benchmarks.pseudo_labels DATASET OUT [--seeds 0 1 2] [--keep 0.9] [--epochs 40]

The clips are split by text: a fifth to evaluate on, of the rest a third with texts, two thirds whose texts are hidden.
For each seed a model is trained on the third alone, labels the hidden recordings with `asrkit label`, calibrated on a
fifth of the third, and a second model is trained from the same base on both. Both are evaluated on the fifth. Each
step is skipped where OUT has its result, so an interrupted measurement goes on.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asrkit.data import sources
from asrkit.data.manifest import Utterance
from asrkit.text.normalisers import normalise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--keep", type=float, default=0.9)
    parser.add_argument("--epochs", type=float, default=40)
    options = parser.parse_args()
    rows = sources.load(options.dataset).utterances
    results = []
    for seed in options.seeds:
        folder = options.out / f"seed-{seed}"
        results.append(measure(folder, rows, seed, options.keep, options.epochs))
        print(f"seed {seed}: " + ", ".join(f"{name} {value}" for name, value in results[-1].items()), flush=True)
    for name in ("third", "labelled", "all"):
        rates = [result[name]["wer"] for result in results]
        print(f"{name}: mean WER {sum(rates) / len(rates):.2%} of {len(rates)} seeds")


def measure(folder: Path, rows: list[Utterance], seed: int, keep: float, epochs: float) -> dict[str, Any]:
    """Return the scores of the models trained on the third, on the third with labels, and on all true texts."""
    known, hidden, test = split(rows, seed)
    for name, part in (("known", known), ("test", test), ("all", known + hidden)):
        write_table(folder / f"{name}.csv", part)
    recordings = folder / "recordings"
    if not recordings.exists():
        recordings.mkdir()
        for row in hidden:
            shutil.copy(row.audio, recordings / Path(row.audio).name)
    settings = ["--preset", "few-clips", "--set", f"num_epochs={epochs}", "--set", f"seed={seed}"]
    settings += [
        "--set",
        "decoding=greedy",
        "--set",
        "eval_share=0.2",
        "--set",
        "split_by=text",
        "--set",
        "markup=remove",
    ]
    scores: dict[str, Any] = {}
    train(folder, "third", folder / "known.csv", settings)
    labelled = folder / "labelled"
    if not labelled.exists():
        command = ["label", recordings, "--model", "third", "--out", labelled, "--keep", keep]
        print(run(folder, *command, "--with", folder / "known.csv").strip(), flush=True)
    train(folder, "labelled", labelled, settings)
    train(folder, "all", folder / "all.csv", settings)
    for name in ("third", "labelled", "all"):
        result = folder / f"{name}.json"
        if not result.exists():
            result.write_text(run(folder, "evaluate", folder / "test.csv", "--model", name, "--json"))
        scores[name] = json.loads(result.read_text())
    return scores


def split(rows: list[Utterance], seed: int) -> tuple[list[Utterance], list[Utterance], list[Utterance]]:
    """Return (with texts, with hidden texts, to evaluate on); a text is in one of them alone."""
    texts = sorted({normalise(row.text, "basic") for row in rows})
    random.Random(seed).shuffle(texts)
    num_test = len(texts) // 5
    num_known = (len(texts) - num_test) // 3
    parts = texts[num_test : num_test + num_known], texts[num_test + num_known :], texts[:num_test]
    known, hidden, test = ([row for row in rows if normalise(row.text, "basic") in set(part)] for part in parts)
    return known, hidden, test


def write_table(path: Path, rows: Sequence[Utterance]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["audio", "text"])
        table.writerows([row.audio, row.text] for row in rows)


def train(folder: Path, name: str, data: Path, settings: list[str]) -> None:
    if (folder / "runs" / name / "model").exists():
        return
    shutil.rmtree(folder / "runs" / name, ignore_errors=True)
    run(folder, "train", *settings, "--train", data, "--run-id", name, "--set", "drop_bad_clips=true", "--yes")


def run(folder: Path, *arguments: object) -> str:
    """Run a command of asrkit and return what it prints. Its progress goes to a log file."""
    words = [str(argument) for argument in arguments]
    with open(folder / "log.txt", "a", encoding="utf-8") as log:
        command = [sys.executable, "-m", "asrkit", *words, "--runs-dir", str(folder / "runs")]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, check=True).stdout


if __name__ == "__main__":
    main()
