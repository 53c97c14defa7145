"""The check that spares a run of pip finds what is missing."""

import pytest
from packaging.requirements import Requirement

from tests.support import requirements


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("pytest", True),
        ("pytest>=9,<10", True),
        ("pytest<1", False),
        ("no-such-package-of-asrkit", False),
        ("gradio[oauth]>=6", True),
    ],
)
def test_requirement_is_compared_with_what_is_installed(requirement, expected):
    assert requirements.is_met(Requirement(requirement)) == expected


def test_missing_package_of_an_extra_is_found(monkeypatch):
    class WithExtra:
        version = "1.0"
        requires = ("pytest", 'no-such-package-of-asrkit; extra == "more"')

    found = requirements.distribution
    monkeypatch.setattr(requirements, "distribution", lambda name: WithExtra() if name == "thing" else found(name))
    assert requirements.is_met(Requirement("thing"))
    assert not requirements.is_met(Requirement("thing[more]"))


def test_comments_and_other_systems_are_left_out(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text("# Ranges\n\npytest>=9  # runs tests\nnothing; sys_platform == 'amiga'\n")
    assert [each.name for each in requirements.read_requirements(file)] == ["pytest"]
