"""Import Gradio faster, by not letting it write type stubs.

Each import of Gradio parses the source of every component class and renders a `.pyi` file beside it, for editors
(`gradio.component_meta.create_or_modify_pyi`; there is no setting). That takes a third of its import, and several
processes that start at once would write the same files of the installed package.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

MODULE = "gradio.component_meta"
FUNCTION = "create_or_modify_pyi"


def skip_stubs() -> None:
    """Let Gradio write no type stubs, if this process has not imported it yet."""
    if MODULE not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the one module, for a loader that replaces its function."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if hasattr(module, FUNCTION):  # a later release of Gradio may name it otherwise: its import is slower then
            setattr(module, FUNCTION, lambda *_: None)
