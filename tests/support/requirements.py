"""Exit with 0 if this Python has what requirements files ask for: python -m tests.support.requirements FILE...

pip takes several seconds to find that it has nothing to do.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement


def is_met(requirement: Requirement) -> bool:
    """Whether a suitable version is installed, and with it what the extras that are asked for need."""
    try:
        installed = distribution(requirement.name)
    except PackageNotFoundError:
        return False
    needed = [Requirement(line) for line in installed.requires or []]
    of_extras = [
        other
        for other in needed
        if other.marker and any(other.marker.evaluate({"extra": extra}) for extra in requirement.extras)
    ]
    return requirement.specifier.contains(installed.version, prereleases=True) and all(map(is_met, of_extras))


def read_requirements(path: Path) -> list[Requirement]:
    """Return those of a file that hold on this system."""
    lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    listed = [Requirement(line) for line in lines if line]
    return [each for each in listed if each.marker is None or each.marker.evaluate()]


if __name__ == "__main__":
    sys.exit(not all(is_met(each) for name in sys.argv[1:] for each in read_requirements(Path(name))))
