"""Plays a run without a model: `python fake_run.py RUN_DIR [--steps N] [--pause S] [--fail] [--from-step S]`.

It is a process of its own that writes the events a worker would and listens to the same flags, so that the page can be
tried (and photographed) in seconds. It stays for the tests of the page; nothing in asrkit uses it.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from asrkit.files import write_json
from asrkit.runs import processes
from asrkit.runs.events import make_event
from asrkit.runs.run import CANCEL, STOP, Run

CLIPS = (
    "november four two lima",
    "alfa seven kilo niner",
    "quebec one one tango",
    "sierra three echo zero",
    "whiskey five five romeo",
    "<script>window.hacked = 1</script> bravo",
)
WRONG = {"four": "for", "two": "too", "kilo": "keelo", "one": "won", "niner": "nine", "romeo": "rome"}


def main() -> None:
    options = _options(sys.argv[1:])
    run = Run(options.run_dir)
    write_json(
        run.process_path, {**processes.identify_process(os.getpid()), "host": socket.gethostname(), "command": sys.argv}
    )
    play(run, options.steps, options.pause, options.fail, options.from_step)


def play_instantly(run: Run, arguments: Sequence[str]) -> None:
    """Play a whole run in this process, without pauses, as that of a worker that has ended."""
    options = _options([str(run.path), *arguments])
    ended = {**processes.identify_process(os.getpid()), "start": "ended"}
    write_json(run.process_path, {**ended, "host": socket.gethostname(), "command": []})
    play(run, options.steps, 0, options.fail, options.from_step)


def play(run: Run, steps: int, pause: float, fail: bool, from_step: int = 0) -> None:
    """The whole life of a run, up to an end that its flags or `fail` decide."""
    _prepare(run, pause)
    if fail:
        run.append(
            make_event(
                "failed",
                error="DataError",
                message="metadata.csv names 3 clips that do not exist.",
                remedy="Put the files beside metadata.csv, or take their rows out.",
                traceback="Traceback (most recent call last):\n  <b>worker.py</b>, line 1\nDataError",
            )
        )
        return
    run.append(
        make_event(
            "started",
            step=from_step,
            epoch=0.0,
            total_steps=steps,
            metric_for_best_model="wer",
            train_utterances=380,
            eval_utterances=100,
            train_hours=0.27,
            parameters=3_100_000,
            device="cpu",
        )
    )
    chance = random.Random(7)
    for step in range(from_step + 1, steps + 1):
        time.sleep(pause)
        share = step / steps
        run.append(
            make_event(
                "train",
                step=step,
                epoch=6 * share,
                loss=3 * math.exp(-4 * share) + chance.random() * 0.2,
                learning_rate=6e-4 * (1 - share),
                grad_norm=1.0,
                audio_seconds_per_second=40.0,
            )
        )
        _log(run, f"step {step} of {steps}")
        if run.has_flag(CANCEL):
            run.append(make_event("stopped", step=step, message="Cancelled.", saved=False, model=None))
            return
        if step % max(1, steps // 6) == 0 or step == steps:
            _evaluate(run, step, steps, pause)
        if run.has_flag(STOP):
            _save(run, pause)
            run.append(
                make_event("stopped", step=step, message="Stopped and saved.", saved=True, model=str(run.model_dir))
            )
            return
    _save(run, pause)
    run.append(make_event("finished", step=steps, message="Finished.", saved=True, model=str(run.model_dir)))


def _prepare(run: Run, pause: float) -> None:
    for phase, text, total in (("loading", "Loading the base model", None), ("preparing", "Reading 480 clips", 480)):
        for done in (0, 240, 480) if total else (None,):
            run.append(make_event("phase", step=0, phase=phase, text=text, done=done, total=total))
            time.sleep(2 * pause)


def _evaluate(run: Run, step: int, steps: int, pause: float) -> None:
    for done in (24, 60, 100):
        run.append(make_event("phase", step=step, phase="evaluating", text="Evaluating", done=done, total=100))
        time.sleep(pause)
    share = step / steps
    chance = random.Random(step)
    samples = [
        {"id": str(index), "reference": text, "hypothesis": _heard(text, 1 - share, chance)}
        for index, text in enumerate(CLIPS)
    ]
    wer = 0.9 * math.exp(-3.4 * share)
    run.append(
        make_event(
            "eval",
            step=step,
            epoch=6 * share,
            loss=2.6 * math.exp(-3 * share) + 0.1,
            wer=wer,
            cer=wer / 2.6,
            mer=wer,
            blank_share=0.6,
            length_ratio=1.0,
            utterances=100,
            normaliser="basic",
            samples=samples,
        )
    )


def _heard(text: str, badness: float, chance: random.Random) -> str:
    heard = []
    for word in text.split():
        luck = chance.random()
        if luck < badness * 0.3:
            continue
        heard.append(WRONG.get(word, word) if luck < badness else word)
        if luck > 1 - badness * 0.2:
            heard.append("the")
    return " ".join(heard)


def _save(run: Run, pause: float) -> None:
    run.append(make_event("phase", phase="saving", text="Saving the model"))
    time.sleep(pause)
    run.model_dir.mkdir(exist_ok=True)
    (run.model_dir / "config.json").write_text("{}")


def _log(run: Run, line: str) -> None:
    with open(run.log_path, "a", encoding="utf-8") as log:
        print(line, file=log)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--pause", type=float, default=0.3)
    parser.add_argument("--from-step", type=int, default=0)
    parser.add_argument("--fail", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
