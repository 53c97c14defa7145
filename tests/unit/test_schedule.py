"""The order in which test files run in several processes."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import schedule

PROJECT = Path(__file__).parents[2]
FILES = [
    "tests/browser/test_form.py",
    "tests/browser/test_live_panel.py",
    "tests/unit/test_a.py",
    "tests/unit/test_b.py",
]


def test_slowest_files_exist():
    missing = [name for name in schedule.SLOWEST_FIRST if not (PROJECT / name).is_file()]
    assert missing == []


@pytest.mark.parametrize(
    ("process", "order"),
    [(0, [1, 0, 2, 3]), (1, [1, 0, 2, 3]), (2, [1, 0, 2, 3]), (3, [2, 3, 1, 0]), (7, [2, 3, 1, 0])],
)
def test_process_begins_with_the_slowest_file_of_its_kind(process, order):
    left, chosen = list(FILES), []
    while left:
        chosen.append(schedule.choose_file(left, process))
        left.remove(chosen[-1])
    assert chosen == [FILES[index] for index in order]


class Process:
    """A process of pytest-xdist: it runs a test once it knows the next one, or that there is none."""

    def __init__(self, number: int) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.waiting: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        self.waiting += indices

    def shutdown(self) -> None:
        self.shutting_down = True


@pytest.mark.parametrize("num_processes", [1, 2, 3, 5])
def test_each_test_runs_once_in_the_process_of_its_file(num_processes):
    num_tests = {"tests/browser/test_form.py": 1, "tests/integration/test_hub.py": 2, "tests/unit/test_a.py": 9}
    tests = [f"{name}::test_{number}" for name in num_tests for number in range(num_tests[name])]
    option = SimpleNamespace(loadscopereorder=False)
    config = SimpleNamespace(option=option, getvalue={"tx": ["popen"] * num_processes}.get)
    scheduler = schedule.MixedFiles(config)
    processes = [Process(number) for number in range(num_processes)]
    for process in processes:
        scheduler.add_node(process)
        scheduler.add_node_collection(process, tests)
    scheduler.schedule()
    where: dict[str, list[int]] = {}
    while ready := [each for each in processes if len(each.waiting) > 1 or each.waiting and each.shutting_down]:
        for process in ready:
            where.setdefault(tests[process.waiting[0]], []).append(process.gateway.id)
            scheduler.mark_test_complete(process, process.waiting.pop(0))
    assert scheduler.tests_finished and set(where) == set(tests)
    assert all(len(ids) == 1 for ids in where.values())
    for name in num_tests:
        assert len({ids[0] for test, ids in where.items() if test.startswith(name)}) == 1
