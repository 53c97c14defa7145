"""Opens the app: python app.py [--host HOST] [--port PORT] [--runs-dir DIR]."""

import argparse
import sys
from pathlib import Path

from asrkit.errors import AsrkitError
from asrkit.runs.store import RunStore
from asrkit.ui import app


def main() -> int:
    parser = argparse.ArgumentParser(description="Train a speech recogniser from a web page.")
    parser.add_argument("--host", default=app.default_host(), help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--runs-dir", type=Path, default=app.default_runs(), help="where runs are kept (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        app.launch(RunStore(options.runs_dir), options.host, options.port)
    except AsrkitError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
