"""Imports go down only: app.py, cli -> ui -> training | transcription -> runs -> audit -> models -> decoding -> data ->
audio | text | hub -> config, files, jobs, errors.

`ui` never imports `training`, which it starts as a process, and the page and the terminal answer before torch loads.
"""

import ast
import functools
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "asrkit"
HEAVY = ("torch", "transformers", "datasets", "torchaudio", "accelerate")

FLOOR = {
    "errors": 0,
    "cores": 0,
    "heap": 0,
    "languages": 0,
    "child": 0,
    "config": 1,
    "files": 1,
    "jobs": 1,
    "logs": 1,
    "sandbox": 1,
    "startup": 1,
    "units": 1,
    "hub": 2,
    "text": 2,
    "audio": 2,
    "data": 3,
    "decoding": 4,
    "models": 5,
    "audit": 6,
    "runs": 7,
    "training": 8,
    "transcription": 8,
    "ui": 9,
    "cli": 10,
    "__main__": 11,
    "app": 11,
}
"""An import goes to a lower floor or stays in its room."""

FORBIDDEN = {("ui", "training")}


def name_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in [PROJECT / "app.py", *PACKAGE.rglob("*.py")] if path.exists()}


def room(module: str) -> str | None:
    """`asrkit.runs.store` -> runs; `app` -> app; the bare package belongs to no room."""
    return module.removeprefix("asrkit").lstrip(".").split(".")[0] or None


@functools.cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(module: str) -> set[str]:
    """The project's modules that `module` imports anywhere in it, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(parse(MODULES[module])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the name in full"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    # `from a.b import c` names a module a.b.c, or a thing c in a.b; the package itself is no dependency then.
    known = {name for name in found if name in MODULES and name != module}
    return {name for name in known if not any(other.startswith(f"{name}.") for other in known)}


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module imports."""
    return {module: imported(module) for module in MODULES}


def test_every_module_has_a_floor():
    assert {room(module) for module in MODULES} - {None} <= set(FLOOR)
    assert len(MODULES) > 25


def is_allowed(module: str, other: str) -> bool:
    """Whether `module` may import `other`."""
    here, there = room(module), room(other)
    return there in (None, here) or (FLOOR[there] < FLOOR[here] and (here, there) not in FORBIDDEN)


def test_imports_go_down_only(imports):
    assert [(module, other) for module in MODULES for other in imports[module] if not is_allowed(module, other)] == []


def private_imports(module: str) -> set[str]:
    """The private names that a tab of the page, `asrkit.ui.<tab>`, takes from the modules of another tab."""
    taken: set[str] = set()
    aliases: dict[str, str] = {}
    tree = parse(MODULES[module])
    tab = module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("asrkit.ui."):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if not name.startswith(f"{tab}."):
                    aliases[alias.asname or alias.name] = name
                    taken |= {name} if alias.name.startswith("_") else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = aliases.get(node.value.id)
            if owner in MODULES and node.attr.startswith("_") and not node.attr.startswith("__"):
                taken.add(f"{owner}.{node.attr}")
    return taken


def test_tabs_do_not_use_private_names_of_other_tabs():
    tabs = [module for module in MODULES if module.startswith("asrkit.ui.")]
    assert {module: private for module in tabs if (private := private_imports(module))} == {}


def test_no_circles(imports):
    TopologicalSorter(imports).prepare()


def test_class_names_are_unique():
    """One name, one thing: a reader can search for a class."""
    modules: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in parse(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules.setdefault(node.name, []).append(module)
    assert {name: places for name, places in modules.items() if len(places) > 1} == {}


def test_forbidden_import_inside_a_function_is_found(monkeypatch, tmp_path):
    (tmp_path / "bad.py").write_text("def f():\n    from asrkit.training import worker\n    import asrkit.cli\n")
    monkeypatch.setitem(MODULES, "asrkit.ui.bad", tmp_path / "bad.py")
    assert imported("asrkit.ui.bad") == {"asrkit.training.worker", "asrkit.cli"}
    assert not any(is_allowed("asrkit.ui.bad", other) for other in imported("asrkit.ui.bad"))


LIGHT_ROOMS = (
    ("config", "errors", "runs"),
    ("audio", "text", "data", "decoding", "models", "audit"),
    ("cli", "__main__"),
    ("ui",),
)
"""What loads no heavy library, in this order, in one process: a process for each would import most of it again."""


@pytest.fixture(scope="module")
def heavy_libraries() -> list[list[str]]:
    """The heavy libraries in memory after the import of each of LIGHT_ROOMS."""
    modules = [[module for module in MODULES if room(module) in rooms] for rooms in LIGHT_ROOMS]
    assert all(modules)
    code = (
        f"import importlib, json, sys\n"
        f"for modules in {modules!r}:\n"
        f"    for name in modules: importlib.import_module(name)\n"
        f"    print(json.dumps(sorted({set(HEAVY)!r} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("rooms", LIGHT_ROOMS, ids="+".join)
def test_page_and_command_line_do_not_load_torch(heavy_libraries, rooms):
    assert heavy_libraries[LIGHT_ROOMS.index(rooms)] == []
