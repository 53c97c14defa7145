"""Measure what a dataset of some size costs before and beside training on it.

    python -m tests.benchmarks.dataset_scale [--clips 1000 10000 100000] [--evaluations] [--script SCRIPT.py]
    python -m tests.benchmarks.dataset_scale --page 1000000

The clips are hard links to the 480 of the demo (1 to 4 s) as FLAC, with a table of names, texts and speakers.

verdict_s: from the name of the dataset to what 200 clips of it are like. audit_s: until all are heard. again_s,
again_verdict_s: the same for the unchanged dataset. more_s: for one that has grown by 1 %. first_s, next_s, grown_s:
from Start to the worker, for the first run after an audit, the next one, and one after the growth. worker_s: from there
to the first step, in a process that has loaded the libraries. app_mb, worker_mb: memory that the dataset takes in the
app and the worker. loader_mb: that of a process of its loader. script_s, script_gb: Hugging Face's example script with
its default settings, to its first step, and its cache on the disk; see `example_script` for what it needs.

Seconds are processor time of all processes, which other load changes less than the clock (`clock_s`). The exponents are
slopes of logarithms: 1 is proportional, and a fixed part makes them smaller.

--evaluations: the share of evaluations in the time of a run of `quick` that holds out a fifth of the clips. --page:
what the Data tab asks for first; reader_mb is the peak of the process that reads the table.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile

from asrkit import config as configs
from asrkit.audio import SAMPLING_RATE, load_audio
from asrkit.config import TrainConfig
from asrkit.data import confined, manifest, sources
from asrkit.runs import lifecycle, preparation_cache, supervisor, view
from asrkit.runs.dataset_audit import inspect_dataset, make_limits
from asrkit.runs.report import export
from asrkit.runs.store import RunStore
from asrkit.ui.data.api import DataApi
from tests.benchmarks import example_script, starts

FOLDER_CLIPS = 1_000
"""Clips in one folder."""
GROWTH = 0.01
NUM_SPEAKERS = 300
METER_INTERVAL_S = 0.2
SETTLE_S = 1.0
"""What is measured of files that are newer is not kept."""
NUM_EVALUATION_STEPS = 60
READ_BATCHES, BATCH_CLIPS = 100, 8

Result = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--evaluations", action="store_true")
    parser.add_argument("--script", type=Path)
    parser.add_argument("--page", type=int)
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part, folder = options.part
        print(json.dumps(PARTS[part](Path(folder))))
        return
    if options.page:
        with dataset(options.page) as folder:
            print_result(options.page, run_part("page", folder))
        return
    results = {}
    for num_clips in options.clips:
        with dataset(num_clips) as folder:
            results[num_clips] = measure(folder, num_clips, options)
        print_result(num_clips, results[num_clips])
    print_exponents(results)


@contextlib.contextmanager
def dataset(num_clips: int) -> Iterator[Path]:
    """A folder with a dataset of so many clips in `data`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        add_clips(folder / "data", 0, num_clips)
        time.sleep(SETTLE_S)
        yield folder


def add_clips(folder: Path, start: int, stop: int) -> None:
    """Link the clips of these numbers into the dataset, and add their rows."""
    known = sources.load("callsigns").utterances
    originals = [folder.parent / "originals" / f"{index}.flac" for index in range(len(known))]
    if not originals[0].parent.exists():
        originals[0].parent.mkdir()
        for clip, path in zip(known, originals, strict=True):
            soundfile.write(path, load_audio(clip.audio).samples, SAMPLING_RATE)
    with open(folder / "metadata.csv", "a", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        if not start:
            rows.writerow(["file_name", "text", "speaker"])
        for number in range(start, stop):
            name = f"{number // FOLDER_CLIPS:04d}/{number:07d}.flac"
            (folder / name).parent.mkdir(exist_ok=True)
            os.link(originals[number % len(known)], folder / name)
            rows.writerow([name, known[number % len(known)].text, f"speaker-{number % NUM_SPEAKERS}"])


def measure(folder: Path, num_clips: int, options: argparse.Namespace) -> Result:
    """Measure one size, each part in a process of its own."""
    first, again = run_part("audit", folder), run_part("audit", folder)
    result = {
        "verdict_s": first["verdict_s"],
        "verdict_clock_s": first["verdict_clock_s"],
        "audit_s": first["audit_s"],
        "audit_clock_s": first["audit_clock_s"],
        "again_s": again["audit_s"],
        "again_verdict_s": again["verdict_s"],
        "first_s": run_part("prepare", folder)["s"],
        "next_s": run_part("prepare", folder)["s"],
        "app_mb": again["app_mb"],
        **run_part("work", folder),
        **run_part("load_clips", folder),
    }
    if options.evaluations:
        result |= run_part("evaluate", folder)
    if options.script:
        result |= run_script(options.script.absolute(), folder)
    add_clips(folder / "data", num_clips, num_clips + max(1, round(GROWTH * num_clips)))
    time.sleep(SETTLE_S)
    return result | {
        "more_s": run_part("audit", folder)["audit_s"],
        "grown_s": run_part("prepare", folder)["s"],
    }


def run_part(part: str, folder: Path) -> Result:
    command = [sys.executable, "-m", "tests.benchmarks.dataset_scale", "--part", part, str(folder)]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
    result: Result = json.loads(output.splitlines()[-1])
    return result


def audit(folder: Path) -> Result:
    """Load and check the dataset, as the Data tab and the command line do."""
    import pyarrow  # noqa: F401  # part of the app, and not of what the dataset takes

    process, meter, begin_clock_s = psutil.Process(), Meter(), time.monotonic()
    before_bytes = process.memory_full_info().uss
    result: Result = {}

    def on_sample(_: Any) -> None:
        result["verdict_s"], result["verdict_clock_s"] = meter.cpu_s(), time.monotonic() - begin_clock_s

    config, store = make_config(folder), RunStore(folder / "runs")
    source = confined.load(config.train)
    result["app_mb"] = (process.memory_full_info().uss - before_bytes) / 1e6
    inspect_dataset(
        source, make_limits(config, None), config, store, None, on_sample=on_sample, on_progress=lambda *_: None
    )
    return result | {"audit_s": meter.cpu_s(), "audit_clock_s": time.monotonic() - begin_clock_s}


def prepare(folder: Path) -> Result:
    """Make a run, as Start does, up to the start of its worker."""
    config, store, meter = make_config(folder), RunStore(folder / "runs"), Meter()
    store.create(config, fill=preparation_cache.prepare(config, store).write)
    return {"s": meter.cpu_s()}


def work(folder: Path) -> Result:
    """Begin the newest run in this process, up to its first step."""
    cost = starts.work("", RunStore(folder / "runs"))
    return {"worker_s": cost["cpu_s"], "worker_mb": cost["mb"]}


def load_clips(folder: Path) -> Result:
    """Load clips from all over the training manifest in a process of a loader."""
    from transformers import AutoProcessor

    from asrkit.models.resolution import STARTER_DIR
    from asrkit.training.data import SpeechDataset
    from asrkit.training.loaders import make_eval_loader

    rows = manifest.read(RunStore(folder / "runs").all()[0].manifest_path("train"))
    processor = AutoProcessor.from_pretrained(STARTER_DIR)
    chosen = np.linspace(0, len(rows) - 1, READ_BATCHES * BATCH_CLIPS, dtype=int).reshape(READ_BATCHES, -1).tolist()
    batches: Any = iter(make_eval_loader(SpeechDataset(rows, processor), chosen, processor, 1))
    for _ in range(READ_BATCHES - 1):
        next(batches)
    return {"loader_mb": psutil.Process(batches._workers[0].pid).memory_full_info().uss / 1e6}


def evaluate(folder: Path) -> Result:
    """Train for a while; return the share of the evaluations in the time from the start of the training on."""
    changes = {"max_steps": NUM_EVALUATION_STEPS, "eval_steps": NUM_EVALUATION_STEPS // 4, "eval_share": 0.2}
    run = supervisor.start(RunStore(folder / "runs"), make_config(folder, eval_on_start=True, **changes))
    while lifecycle.get_status(run) in lifecycle.ACTIVE:
        time.sleep(1)
    run_view = view.load_view(run)
    assert run_view.step == NUM_EVALUATION_STEPS, run.log_tail()
    first, last = (float(run_view.evaluations[index].elapsed_s or 0) for index in (0, -1))
    spent_s = sum(event.data["seconds"] for event in run_view.evaluations)
    clips = run_view.evaluations[-1].data["utterances"]
    begin_s = first - run_view.evaluations[0].data["seconds"]
    return {"evaluations": spent_s / (last - begin_s), "evaluated_clips": clips}


def page(folder: Path) -> Result:
    """Ask for what the Data tab shows first, twice: the second time the lengths of all files are known."""
    import pyarrow  # noqa: F401

    process, api = psutil.Process(), DataApi(RunStore(folder / "runs"))
    before_bytes, result = process.memory_full_info().uss, Result()
    request = {"data": make_config(folder).train}
    for name in ("first", "again"):
        meter, begin_clock_s = Meter(), time.monotonic()
        reply = api.load(request)
        result |= {f"{name}_s": meter.cpu_s(), f"{name}_clock_s": time.monotonic() - begin_clock_s}
        result["reader_mb"] = max(meter.largest_mb, result.get("reader_mb", 0.0))
        assert reply.get("clips"), reply
    begin_s = time.process_time()
    api.preview(request)
    api.open_clip({"data": request["data"], "index": str(reply["train"] - 1)})
    result["preview_and_clip_s"] = time.process_time() - begin_s
    result["app_mb"] = (process.memory_full_info().uss - before_bytes) / 1e6
    return result


def run_script(script: Path, folder: Path) -> Result:
    """Run the example script on the same clips, up to its first step."""
    begin_gb = measure_gb(folder)
    write_parquet(folder)
    result_folder, cache = folder / "script", folder / "script-cache"
    command = [sys.executable, str(script), "--output_dir", str(result_folder), "--dataset_name"]
    command += [str(folder / "parquet"), "--train_split_name", "train", "--eval_split_name", "test", "--do_train"]
    command += ["--do_eval", "--model_name_or_path", str(folder / "base"), "--per_device_train_batch_size", "8"]
    command += ["--logging_steps", "1", "--max_steps", "2", "--save_strategy", "no", "--report_to", "none", "--use_cpu"]
    begin_clock_s = time.monotonic()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cache)},
    ) as process:
        meter, lines = Meter(psutil.Process(process.pid)), list[str]()
        for line in process.stdout or ():
            lines.append(line)
            if "'loss':" in line:
                break
        else:
            sys.exit("".join(lines[-30:]))
        result = {
            "script_s": meter.cpu_s(),
            "script_clock_s": time.monotonic() - begin_clock_s,
            "script_gb": measure_gb(cache),
        }
        process.kill()
    for name in ("script", "script-cache", "parquet", "base"):
        shutil.rmtree(folder / name)
    assert measure_gb(folder) - begin_gb < 1e-3
    return result


def write_parquet(folder: Path) -> None:
    """Write both splits with their audio, so that the script needs no files beside them, and the encoder.

    The audio is the Ogg of the demo: torchcodec, with which `datasets` decodes, cannot seek in FLAC that has no file.
    """
    from datasets import Audio, Dataset

    known, num_clips = sources.load("callsigns").utterances, len(sources.load(f"{folder}/data/metadata.csv").utterances)
    rows = [known[number % len(known)] for number in range(num_clips)]
    for split, part in (("test", rows[: num_clips // 10]), ("train", rows[num_clips // 10 :])):
        audio = [{"bytes": Path(row.audio).read_bytes(), "path": None} for row in part]
        made = Dataset.from_dict({"audio": audio, "text": [row.text for row in part]})
        made.cast_column("audio", Audio(decode=False)).to_parquet(folder / "parquet" / f"{split}.parquet")
    example_script.write_encoder(folder / "base")


def make_config(folder: Path, **changes: Any) -> TrainConfig:
    values = {"train": f"{folder}/data/metadata.csv", "eval_on_start": False, "accept_assumptions": True}
    return configs.load_preset("quick").config.replace({**values, "logging_steps": 1, **changes})


class Meter(threading.Thread):
    """Measures the processor time of a process and of all that it starts, which are looked at now and then.

    The readers of foreign files are not waited for, so that the kernel adds their time to no other process.
    largest_mb: the most memory that one of them had.
    """

    def __init__(self, process: psutil.Process | None = None) -> None:
        super().__init__(daemon=True)
        self.process, self.largest_mb = process or psutil.Process(), 0.0
        self._seconds: dict[tuple[int, float], float] = {}
        self._own_s = 0.0
        self._lock = threading.Lock()
        self._begin_s = self._look()
        self.start()

    def run(self) -> None:
        while self.process.is_running():
            time.sleep(METER_INTERVAL_S)
            self._look()

    def cpu_s(self) -> float:
        """Return the seconds since this was made."""
        return self._look() - self._begin_s

    def _look(self) -> float:
        with self._lock, contextlib.suppress(psutil.NoSuchProcess):
            begin_s = time.thread_time()
            for process in [self.process, *self.process.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    times = process.cpu_times()
                    self._seconds[process.pid, process.create_time()] = times.user + times.system
                    if process != self.process:
                        self.largest_mb = max(self.largest_mb, process.memory_info().rss / 1e6)
            if self.process.pid == os.getpid():
                self._own_s += time.thread_time() - begin_s
        return sum(self._seconds.values()) - self._own_s


def measure_gb(folder: Path) -> float:
    return export.measure_disk_usage(folder) / 1e9


def print_result(num_clips: int, result: Result) -> None:
    print(f"{num_clips:,} clips")
    for name, value in result.items():
        print(f"  {name:20} {value:10.3f}", flush=True)


def print_exponents(results: dict[int, Result]) -> None:
    """Print how each figure grows with the number of clips, and the memory of each clip more."""
    if len(results) < 2:
        return
    sizes = list(results)
    print("exponents: over all sizes, between the two largest")
    for name in results[sizes[0]]:
        values = [max(1e-6, results[size][name]) for size in sizes]
        slopes = [np.polyfit(np.log(sizes[start:]), np.log(values[start:]), 1)[0] for start in (0, len(sizes) - 2)]
        growth = (values[-1] - values[-2]) / (sizes[-1] - sizes[-2])
        of_clip = f"  {1e6 * growth:6.0f} bytes a clip" if name.endswith("_mb") else ""
        print(f"  {name:20} {slopes[0]:6.2f} {slopes[1]:6.2f}{of_clip}", flush=True)


PARTS: dict[str, Callable[[Path], Result]] = {
    "audit": audit,
    "prepare": prepare,
    "work": work,
    "load_clips": load_clips,
    "evaluate": evaluate,
    "page": page,
}

if __name__ == "__main__":
    main()
