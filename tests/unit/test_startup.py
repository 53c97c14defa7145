"""An unsuitable Python or a missing requirement is reported in one sentence."""

import ast
import os
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


INTERRUPT_ON_IMPORT = """
import importlib.abc, os, signal
class Interrupter(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupter())
"""


@pytest.mark.parametrize(
    ("entry_point", "module"),
    [("asrkit", "asrkit.cli"), ("asrkit", "numpy"), ("app", "asrkit.logs"), ("app", "numpy"), ("app", "gradio.routes")],
)
def test_interrupt_during_imports_is_one_word(entry_point, module):
    process = start(entry_point, INTERRUPT_ON_IMPORT.format(name=module))
    assert (process.returncode, process.stdout, process.stderr) == (130, "", "asrkit: interrupted\n")


INTERRUPT = "    os.kill(os.getpid(), signal.SIGINT)\n"


def run_main(main: str, preparation: str = "") -> subprocess.CompletedProcess[str]:
    """Start a program whose `main` is this code."""
    start = "startup.exit_on_interrupt()"
    code = f"import os, signal, sys\nfrom asrkit import startup\n{preparation}\n{start}\n{main}"
    code += "sys.exit(startup.run_interruptibly(main))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, timeout=60)


@pytest.mark.parametrize(
    "main",
    [
        f"def main():\n{INTERRUPT}",
        f"def main():\n  try:\n{INTERRUPT}  except KeyboardInterrupt:\n    raise ImportError() from None\n",
        f"def main():\n  try:\n{INTERRUPT}  except KeyboardInterrupt:\n    raise ValueError('translated')\n",
        f"class Freed:\n  def __del__(self):\n{INTERRUPT}    [None for _ in range(9)]\ndef main():\n  Freed()\n",
        f"import atexit\n@atexit.register\ndef interrupt():\n{INTERRUPT}\ndef main():\n  return 0\n",
    ],
    ids=["plain", "import error", "other error", "destructor", "while exiting"],
)
def test_interrupt_is_one_word_whatever_becomes_of_it(main):
    process = run_main(main)
    assert (process.returncode, process.stdout, process.stderr) == (130, "", "asrkit: interrupted\n")


def test_error_without_an_interrupt_is_a_traceback():
    process = run_main("def main():\n  raise ImportError('bug')\n")
    assert process.returncode == 1 and "ImportError: bug" in process.stderr
    assert run_main("def main():\n  return 3\n").returncode == 3


def test_ignored_interrupt_stays_ignored():
    """A shell starts programs in the background like that."""
    process = run_main(f"def main():\n{INTERRUPT}    return 0\n", "signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (process.returncode, process.stderr) == (0, "")


SHOW = """
import os, sys
sys.path.insert(0, %r)
from asrkit import startup
startup.hide_secrets()
shown = open("/proc/self/environ").read()
print([name for name in startup.SECRETS if name in shown], [name for name in startup.SECRETS if name in os.environ])
print(startup.SECRETS_PIPE in os.environ, sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(
    ("arguments", "environ", "shown"),
    [(["--public"], {}, []), ([], {"SPACE_ID": "a/b"}, []), ([], {}, ["HF_TOKEN", "ASRKIT_PASSWORD"])],
)
def test_app_for_strangers_hides_its_secrets_from_proc(tmp_path, arguments, environ, shown):
    script = tmp_path / "script.py"
    script.write_text(SHOW % str(PROJECT))
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    secrets = {"HF_TOKEN": "hf_x", "ASRKIT_PASSWORD": "long enough"}
    done = subprocess.run(
        [sys.executable, script, *arguments], env=inherited | secrets | environ, capture_output=True, text=True
    )
    known = ["HF_TOKEN", "ASRKIT_PASSWORD"]
    assert done.stdout.splitlines() == [f"{shown} {known}", f"False {arguments}"], done.stderr


def test_onnxruntime_leaves_no_id_and_sends_nothing(tmp_path):
    """Its builds do both unless the environment says otherwise before the first import."""
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    code = "import asrkit, onnxruntime; onnxruntime.SessionOptions()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT, env=environment, timeout=120)
    assert list(tmp_path.iterdir()) == []
