"""Open the app: python app.py [--host ADDRESS] [--port N] [--runs-dir DIR] [--public-url URL] [--public]
[--no-browser]."""

import argparse
import sys
from pathlib import Path

from asrkit import startup

startup.check_python()
startup.exit_on_interrupt()
startup.hide_secrets()
with startup.explain_missing_requirements(), startup.fast_imports():
    from asrkit import logs
    from asrkit.errors import AsrkitError
    from asrkit.runs.store import RunStore
    from asrkit.ui import app


def main() -> int:
    """Parse the command line and serve the page until it is interrupted."""
    parser = argparse.ArgumentParser(description="Train a speech recogniser on a web page, and talk to it.")
    parser.add_argument(
        "--host", metavar="ADDRESS", default=app.default_host(), help="address to listen on (default: %(default)s)"
    )
    parser.add_argument("--port", metavar="N", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--runs-dir",
        metavar="DIR",
        type=Path,
        default=app.default_runs(),
        help="where runs are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--public-url", metavar="URL", default="", help="address under which people open it, behind a proxy or a tunnel"
    )
    parser.add_argument("--public", action="store_true", help="let in anybody without a password, to transcribe")
    parser.add_argument("--no-browser", action="store_true", help="do not open the page in this machine's browser")
    options = parser.parse_args()
    logs.configure("%(levelname)s %(name)s: %(message)s")
    try:
        app.launch(
            RunStore(options.runs_dir),
            options.host,
            options.port,
            options.public_url,
            options.public,
            opens_browser=not options.no_browser,
        )
    except AsrkitError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(startup.run_interruptibly(main))
