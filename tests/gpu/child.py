"""`python -m tests.gpu.child PART FOLDER [--small]`: run one part; its rows go to FOLDER/rows.jsonl as they come."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path

from tests.gpu.plan import PARTS
from tests.gpu.report import ERROR, SKIPPED


def main(arguments: list[str]) -> int:
    part, folder, small = PARTS[arguments[0]], Path(arguments[1]), "--small" in arguments[2:]
    from tests.gpu.pack import RowFile

    rows = RowFile(folder / "rows.jsonl")
    missing = [name for name in part.needs if importlib.util.find_spec(name) is None]
    if missing:
        rows.end(SKIPPED, f"the package {missing[0]} is missing")
        return 0
    try:
        from tests.gpu.pack import Pack

        pack = Pack(folder, rows, small)
        importlib.import_module(f"tests.gpu.parts.{part.module}").run(pack, **part.arguments)
    except ModuleNotFoundError as error:
        traceback.print_exc()
        name = (error.name or "").partition(".")[0]
        is_ours = name in ("", "asrkit", "tests")
        rows.end(ERROR if is_ours else SKIPPED, f"the package {name} is missing")
    except Exception as error:
        traceback.print_exc()
        rows.end(ERROR, f"{type(error).__name__}: {error}"[:300])
    else:
        rows.end("", "")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
