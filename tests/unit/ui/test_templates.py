"""What scripts expect of their page and of the server exists: parts of the templates, and server functions."""

import ast
import re
from pathlib import Path

import pytest

from asrkit.ui.common.component import UI

TABS = ("data", "export", "runs", "train", "transcribe")
USED_PART = re.compile(r"""\b(?:part|onClick)\("([\w-]+)\"""")
TEMPLATE_PART = re.compile(r'data-part="([\w-]+)"')
CALLED = re.compile(r"""(?:\bcall\([\w.]*server, |\bpost\(|\.request\()"(\w+)"|\bserver\.(\w+)\(""")


def read(tab: str, suffix: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((UI / tab).glob(f"*{suffix}")))


def served(tab: str) -> set[str]:
    """The names that the tab passes to `server_functions`."""
    calls = (
        node
        for path in Path(UI / tab).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "server_functions"
    )
    return {argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)}


@pytest.mark.parametrize("tab", TABS)
def test_every_part_used_by_a_script_is_in_a_template(tab):
    parts = set(USED_PART.findall(read(tab, ".js")))
    assert parts and parts - set(TEMPLATE_PART.findall(read(tab, ".html"))) == set()


@pytest.mark.parametrize("tab", TABS)
def test_scripts_call_the_served_functions_and_no_others(tab):
    scripts = read(tab, ".js")
    called = {name for names in CALLED.findall(scripts) for name in names if name}
    called |= {"poll"} if "followJob(" in scripts else set()
    assert called and called == served(tab)
