"""`python -m tests.gpu OUT [PART ...]`: run each part in a process of its own, and write the report.

Imports the standard library only: what a part cannot import makes that part skipped, not the pack fail.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from tests.gpu import report
from tests.gpu.plan import PARTS, Part
from tests.gpu.report import ERROR, TIMEOUT, PartResult, Row

LIMIT_S = 480.0
"""Time that a part may take."""
MARKER = "ASRKIT_GPU_PART"
"""Environment variable of all processes of a part."""


def main(arguments: list[str]) -> int:
    """Run the parts; return 1 if one failed, 2 for wrong arguments."""
    options = parse(arguments)
    if options.list:
        for part in PARTS.values():
            print(f"{part.name:22} {part.shows}")
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="asrkit-gpu-") as scratch:
        environment = {"CUDA_VISIBLE_DEVICES": "0", **os.environ}  # of several GPUs, Trainer would use all
        if options.wheels:
            unpacked = unpack_wheels(options.wheels, Path(scratch, "packages"))
            environment["PYTHONPATH"] = f"{unpacked}{os.pathsep}{environment['PYTHONPATH']}"
        machine = describe_machine(environment)
        print(", ".join(f"{name} {value}" for name, value in machine.items() if value), flush=True)
        results = []
        for name in options.parts or PARTS:
            result = run_part(PARTS[name], Path(scratch, name), options, environment)
            results.append(result)
            report.write_report(options.out, machine, [result])
            print(f"{name}: {result.status} in {result.seconds:.0f} s {result.message}".rstrip(), flush=True)
    print((options.out / "table.md").read_text(encoding="utf-8"), end="")
    return int(any(result.status in (report.FAILED, ERROR, TIMEOUT) for result in results))


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bash tests/gpu/run", description="Test and measure asrkit on one GPU.")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder for report.json, table.md and log.txt")
    parser.add_argument("parts", metavar="PART", nargs="*", help="parts to run; default: all")
    parser.add_argument("--small", action="store_true", help="small sizes; always so without a GPU")
    parser.add_argument("--wheels", metavar="DIR", type=Path, help="folder of wheel files to import packages from")
    parser.add_argument("--limit", metavar="SECONDS", type=float, default=LIMIT_S, help="time limit of a part")
    parser.add_argument("--list", action="store_true", help="list the parts")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; the parts are {', '.join(PARTS)}")
    if options.wheels and not options.wheels.is_dir():
        parser.error(f"{options.wheels} is no folder of wheel files")
    return options


def unpack_wheels(folder: Path, target: Path) -> Path:
    """Unpack every wheel of a folder into `target`, which then serves as an entry of PYTHONPATH."""
    target.mkdir(parents=True)
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    for data in target.glob("*.data/*lib"):  # purelib and platlib belong beside the other packages
        for entry in data.iterdir():
            if not (target / entry.name).exists():
                entry.rename(target / entry.name)
    return target


def describe_machine(environment: dict[str, str]) -> dict[str, Any]:
    """Return what the parts run on, as a process with their environment sees it."""
    script = "import json; from tests.gpu import machine; print(json.dumps(machine.describe()))"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    if done.returncode:
        sys.exit(f"This Python cannot describe the machine:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def run_part(part: Part, scratch: Path, options: argparse.Namespace, environment: dict[str, str]) -> PartResult:
    """Run a part in a process of its own, which is killed with its children at the limit; what it found is kept."""
    scratch.mkdir()
    rows_path, started = scratch / "rows.jsonl", time.monotonic()
    command = [sys.executable, "-m", "tests.gpu.child", part.name, str(scratch)]
    timed_out = False
    with open(options.out / "log.txt", "a", encoding="utf-8") as log:
        log.write(f"\n== {part.name}\n")
        log.flush()
        process = subprocess.Popen(
            [*command, *(["--small"] if options.small else [])],
            env={**environment, MARKER: str(scratch)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(options.limit)
        except subprocess.TimeoutExpired:
            timed_out = True
        kill_leftovers(scratch)
        process.wait()
    lines = rows_path.read_text(encoding="utf-8").splitlines() if rows_path.exists() else []
    records = [json.loads(line) for line in lines]
    rows = [Row(**record["row"]) for record in records if "row" in record]
    end = next((record["end"] for record in records if "end" in record), None)
    header = next((record["header"] for record in records if "header" in record), {"device": "", "is_small": False})
    if timed_out:
        status, message = TIMEOUT, f"stopped after {options.limit:.0f} s"
    elif end is None:
        status, message = ERROR, f"the process ended with {process.returncode}; see log.txt"
    else:
        status, message = end["status"] or report.summarize(rows), end["message"]
    return PartResult(part.name, status, time.monotonic() - started, **header, rows=rows, message=message)


def kill_leftovers(scratch: Path) -> None:
    """Kill every process of a part: it and the workers that it started have the folder in their environment."""
    marker = f"{MARKER}={scratch}\0".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:  # it has ended, or belongs to somebody else
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
