"""Start a program: explain an old Python or a missing requirement in one sentence, import large packages fast, and end
with one word after Ctrl-C, whenever it comes.

The entry points import this module first, so it must parse under old versions of Python and import only the standard
library.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator

MIN_PYTHON = (3, 11)
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OAUTH_CLIENT_SECRET", "ASRKIT_TOKEN", "ASRKIT_PASSWORD")
SECRETS_PIPE = "ASRKIT_SECRETS_PIPE"
"""Environment variable with the descriptor of the pipe from which the secrets are read again."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, the convention of shells: 128 and the number of SIGINT."""


def check_python() -> None:
    """Exit if this Python is too old."""
    if sys.version_info < MIN_PYTHON:
        needed, present = (".".join(map(str, version[:2])) for version in (MIN_PYTHON, sys.version_info))
        sys.exit(
            f"asrkit needs Python {needed} or newer, and this is Python {present}; install a newer one and run it "
            f"instead of {sys.executable}."
        )


def hide_secrets() -> None:
    """Take the secrets out of the environment that the system shows of an app for strangers, by starting it again.

    /proc/PID/environ shows forever what a program was started with, whatever it changes later. The secrets go through
    a pipe and are put into `os.environ` only, which nobody else sees. Linux only, on a Space and with --public.
    """
    if SECRETS_PIPE in os.environ:
        with open(int(os.environ.pop(SECRETS_PIPE)), encoding="utf-8") as pipe:
            os.environ.update(json.load(pipe))
        return
    secrets = {name: os.environ[name] for name in SECRETS if os.environ.get(name)}
    is_for_strangers = os.environ.get("SPACE_ID") or "--public" in sys.argv
    if sys.platform != "linux" or not secrets or not is_for_strangers:
        return
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as pipe:
        json.dump(secrets, pipe)  # far less than a pipe holds
    os.set_inheritable(reading, True)
    kept = {name: value for name, value in os.environ.items() if name not in secrets}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**kept, SECRETS_PIPE: str(reading)})


@contextlib.contextmanager
def explain_missing_requirements() -> Iterator[None]:
    """Exit if a package that is not ours cannot be found within the block."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "asrkit"):
            raise
        requirements = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "requirements.txt")
        sys.exit(
            f"The Python package {package} is missing; run {sys.executable} -m pip install -r {requirements} "
            "and try again."
        )


@contextlib.contextmanager
def fast_imports() -> Iterator[None]:
    """Import large packages without garbage collection, and exempt what they made from later collections.

    torch, transformers and gradio make many objects that stay, and each collection walks through all of them. Without
    it, the imports of a training worker take 3.3 s of CPU time instead of 5.6 (AMD EPYC, Python 3.11).
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def exit_on_interrupt() -> None:
    """Exit at once on Ctrl-C: for the imports at the start, which turn it into errors of their own, and for the end.

    Where SIGINT is ignored, as for a program in the background, it stays so.
    """
    _handle_interrupts(_exit_at_once)


def run_interruptibly(main: Callable[[], int]) -> int:
    """Call `main` and return its exit code: INTERRUPTED, with one word on stderr, where Ctrl-C ended it.

    Libraries catch the interrupt and raise an error of their own, such as ImportError, or it falls into a callback that
    cannot raise: then the program exits at once.
    """
    was_interrupted = False

    def raise_interrupt(number: int, frame: object) -> None:
        nonlocal was_interrupted
        was_interrupted = True
        raise KeyboardInterrupt

    def report_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            _exit_at_once()
        sys.__unraisablehook__(unraisable)

    sys.unraisablehook = report_unraisable
    _handle_interrupts(raise_interrupt)
    try:
        return main()
    except BaseException as error:
        if not was_interrupted or not _is_interrupt(error):
            raise
        print_interrupted()
        return INTERRUPTED
    finally:
        exit_on_interrupt()


def print_interrupted() -> None:
    """Say on stderr that Ctrl-C ended the program."""
    print("asrkit: interrupted", file=sys.stderr)


def _is_interrupt(error: BaseException) -> bool:
    """Whether an error is Ctrl-C, or what a library makes of it."""
    cause = error.__cause__ or error.__context__
    return isinstance(error, (KeyboardInterrupt, ImportError, SystemError)) or (
        cause is not None and _is_interrupt(cause)
    )


def _handle_interrupts(handler: Callable[..., None]) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)


def _exit_at_once(*_: object) -> None:
    os.write(2, b"asrkit: interrupted\n")
    os._exit(INTERRUPTED)
