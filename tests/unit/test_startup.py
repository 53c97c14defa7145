"""An unsuitable Python or a missing requirement is reported in one sentence."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
ENTRY_POINTS = {
    "app": "runpy.run_path('app.py', run_name='__main__')",
    "asrkit": "runpy.run_module('asrkit', run_name='__main__')",
}


def start(entry_point: str, preparation: str) -> subprocess.CompletedProcess[str]:
    """Start `entry_point --help` in a Python that `preparation` has changed."""
    code = f"import runpy, sys\n{preparation}\nsys.argv = ['asrkit', '--help']\n{ENTRY_POINTS[entry_point]}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, timeout=120)


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_missing_requirement_names_the_package_and_the_command(entry_point):
    process = start(entry_point, "sys.modules['orjson'] = None")
    assert process.returncode == 1 and process.stdout == ""
    assert process.stderr == (
        f"The Python package orjson is missing; run {sys.executable} -m pip install -r {PROJECT}/requirements.txt "
        "and try again.\n"
    )


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_old_python_names_the_version_that_is_needed(entry_point):
    process = start(entry_point, "sys.version_info = (3, 10, 12, 'final', 0)")
    assert process.returncode == 1 and process.stdout == ""
    assert process.stderr == (
        "asrkit needs Python 3.11 or newer, and this is Python 3.10; install a newer one and run it instead of "
        f"{sys.executable}.\n"
    )


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
def test_missing_module_of_our_own_is_a_traceback(entry_point):
    process = start(entry_point, "sys.modules['asrkit.errors'] = None")
    assert process.returncode == 1 and "Traceback" in process.stderr


@pytest.mark.parametrize("name", ["app.py", "asrkit/__init__.py", "asrkit/__main__.py", "asrkit/startup.py"])
def test_entry_points_parse_under_old_pythons(name):
    ast.parse((PROJECT / name).read_text(encoding="utf-8"), feature_version=(3, 7))
