"""The machine that the pack runs on."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from asrkit.cores import count_cores
from tests.gpu.plan import PARTS

PROJECT = Path(__file__).resolve().parents[2]
VERSIONS = ("transformers", "accelerate", "numpy")


def describe() -> dict[str, Any]:
    """Return card, software and missing packages as names and values of one line."""
    import torch

    description: dict[str, Any] = {"CPU": f"{platform.machine()} with {count_cores()} cores"}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        description["GPU"] = properties.name
        description["memory"] = f"{properties.total_memory / 2**30:.0f} GiB"
        description["capability"] = f"{properties.major}.{properties.minor}"
        description["driver"] = driver_version()
        description["CUDA"] = torch.version.cuda
        description["cuDNN"] = torch.backends.cudnn.version()
    else:
        description["GPU"] = "none"
    description["Python"] = platform.python_version()
    description["torch"] = torch.__version__
    description |= {name: installed_version(name) for name in VERSIONS}
    description["asrkit"] = asrkit_version()
    needed = {name for part in PARTS.values() for name in part.needs}
    description["missing"] = " ".join(sorted(name for name in needed if importlib.util.find_spec(name) is None))
    return description


def driver_version() -> str:
    """Return the NVIDIA driver's version; empty where nvidia-smi is missing."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.split("\n")[0].strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def installed_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def asrkit_version() -> str:
    """Return the version, and the commit where this is a Git checkout."""
    from asrkit import __version__

    command = ["git", "-C", str(PROJECT), "rev-parse", "--short", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    return f"{__version__} {commit}".strip()
