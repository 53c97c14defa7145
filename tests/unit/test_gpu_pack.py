"""The GPU pack's arguments, processes and report; its parts themselves are not part of the suite."""

import importlib
import json
import re
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

from tests.gpu import __main__ as program
from tests.gpu import child, plan, report
from tests.gpu.pack import Pack, RowFile
from tests.gpu.report import PartResult, Row
from tests.support.waiting import wait_for

PROJECT = Path(__file__).resolve().parents[2]


def make_result(part, status=report.PASSED, rows=(), message="", seconds=1.0):
    return PartResult(part, status, seconds, "Some GPU", False, list(rows), message)


def test_every_part_has_its_module():
    for part in plan.PARTS.values():
        source = PROJECT / "tests" / "gpu" / "parts" / f"{part.module}.py"
        assert re.search(r"def run\(\s*pack: Pack", source.read_text(encoding="utf-8"))
        assert part.shows and set(plan.BASICS) <= set(part.needs)


def test_program_imports_the_standard_library_only():
    """So that a machine without our dependencies still gets a report that says so."""
    script = (
        "import sys; import tests.gpu.__main__; print([m for m in ('torch', 'numpy', 'asrkit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Arguments


def test_arguments(tmp_path):
    options = program.parse([str(tmp_path), "memory", "resume", "--small", "--wheels", str(tmp_path)])
    assert (options.parts, options.small, options.wheels) == (["memory", "resume"], True, tmp_path)
    assert options.limit == 480 and program.parse([str(tmp_path)]).parts == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["OUT", "nonsense"], "there is no part nonsense"),
        (["OUT", "--wheels", "nowhere"], "no folder of wheel files"),
        ([], "OUT"),
    ],
)
def test_wrong_arguments_are_explained(capsys, arguments, message):
    with pytest.raises(SystemExit) as exit:
        program.parse(arguments)
    assert exit.value.code == 2 and message in capsys.readouterr().err


def test_list_names_every_part(capsys, tmp_path):
    assert program.main([str(tmp_path / "out"), "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(plan.PARTS)
    assert not (tmp_path / "out").exists()


# Parts


@pytest.fixture
def fake_part(monkeypatch):
    """fake_part(run) makes `run(pack)` a part of the pack."""

    def make(run, **settings):
        module = types.ModuleType("tests.gpu.parts.fake")
        module.run = run
        monkeypatch.setitem(sys.modules, "tests.gpu.parts.fake", module)
        monkeypatch.setitem(plan.PARTS, "fake", plan.Part("fake", "", "fake", needs=settings.get("needs", ())))

    return make


def read_rows(folder):
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def test_part_writes_its_rows_as_they_come(fake_part, tmp_path):
    def run(pack):
        assert pack.is_small and pack.pick("full", "small") == "small"
        pack.check("right", True, "evidence")
        assert read_rows(tmp_path)[-1]["row"]["status"] == "passed"
        pack.measure("fast", 1.5, "x", at_least=2)
        pack.measure("exact", 1.5, at_most=1, is_exact=True)
        pack.skip("later", "no reason")

    fake_part(run)
    assert child.main(["fake", str(tmp_path), "--small"]) == 0
    header, *rows, end = read_rows(tmp_path)
    assert header["header"]["is_small"] and end == {"end": {"status": "", "message": ""}}
    assert [(row["row"]["status"], row["row"]["goal"]) for row in rows] == [
        ("passed", ""),
        ("measured", ">= 2"),
        ("failed", "<= 1"),
        ("skipped", ""),
    ]


@pytest.mark.parametrize(("value", "status"), [(2.0, "passed"), (1.9, "failed"), (float("nan"), "failed")])
def test_goals_of_speed_count_at_full_size(tmp_path, value, status):
    pack = Pack(tmp_path, RowFile(tmp_path / "rows.jsonl"), small=False)
    pack.is_small = False
    pack.measure("fast", value, at_least=2)
    assert read_rows(tmp_path)[-1]["row"]["status"] == status


def test_part_without_a_package_is_skipped(fake_part, tmp_path):
    fake_part(lambda pack: pack.check("never", False), needs=("torch", "no_such_package"))
    child.main(["fake", str(tmp_path)])
    assert read_rows(tmp_path) == [{"end": {"status": "skipped", "message": "the package no_such_package is missing"}}]


def test_part_that_imports_a_missing_package_is_skipped(fake_part, tmp_path):
    fake_part(lambda pack: importlib.import_module("no_such_package.inside"))
    child.main(["fake", str(tmp_path)])
    assert read_rows(tmp_path)[-1]["end"] == {"status": "skipped", "message": "the package no_such_package is missing"}


def test_part_that_raises_is_an_error(fake_part, tmp_path):
    def run(pack):
        pack.check("before", True)
        raise RuntimeError("it broke")

    fake_part(run)
    child.main(["fake", str(tmp_path)])
    assert read_rows(tmp_path)[-1]["end"] == {"status": "error", "message": "RuntimeError: it broke"}


def test_part_of_ours_that_cannot_be_imported_is_an_error(fake_part, tmp_path):
    fake_part(lambda pack: importlib.import_module("asrkit.no_such_module"))
    child.main(["fake", str(tmp_path)])
    assert read_rows(tmp_path)[-1]["end"]["status"] == "error"


SLEEPER = """
import subprocess, sys, time, json
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
with open(sys.argv[2] + "/rows.jsonl", "w") as rows:
    rows.write(json.dumps({"row": {"name": "kept", "status": "passed"}}) + "\\n")
print("started", flush=True)
time.sleep(600)
"""


def test_part_at_its_limit_is_killed_with_its_children(tmp_path, monkeypatch):
    script = tmp_path / "sleeper.py"
    script.write_text(SLEEPER)
    real = subprocess.Popen
    started = []

    def popen(command, **settings):
        started.append(real([sys.executable, str(script), *command[3:]], **settings))
        return started[-1]

    monkeypatch.setattr(program.subprocess, "Popen", popen)
    monkeypatch.setattr(real, "wait", wait_until_it_writes(real.wait, tmp_path / "out" / "log.txt"))
    options = program.parse([str(tmp_path / "out"), "--limit", "600"])
    options.out.mkdir()
    result = program.run_part(plan.PARTS["memory"], tmp_path / "scratch", options, dict(program.os.environ))
    assert (result.status, [row.name for row in result.rows]) == ("timeout", ["kept"])
    marker = f"{program.MARKER}={tmp_path / 'scratch'}".encode()
    # A killed process stays in /proc until the kernel has taken it apart.
    wait_for(lambda: not [entry for entry in Path("/proc").glob("[0-9]*") if marker in read_environ(entry)], "its end")


def wait_until_it_writes(wait, log):
    """Time out as soon as the part has started, instead of after its limit."""

    def fake(self, timeout=None):
        if timeout == 600:
            while "started" not in log.read_text():
                pass
            raise subprocess.TimeoutExpired(self.args, timeout)
        return wait(self, timeout)

    return fake


def read_environ(entry):
    try:
        return (entry / "environ").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("status", "code"), [("passed", 0), ("skipped", 0), ("failed", 1), ("error", 1), ("timeout", 1)]
)
def test_exit_code_says_whether_a_part_failed(tmp_path, monkeypatch, capsys, status, code):
    monkeypatch.setattr(program, "describe_machine", lambda environment: {"GPU": "Some GPU"})
    monkeypatch.setattr(program, "run_part", lambda part, *others: make_result(part.name, status, message="why"))
    assert program.main([str(tmp_path), "memory"]) == code
    assert f"memory: {status} in 1 s why" in capsys.readouterr().out


def test_wheels_are_unpacked_without_pip(tmp_path):
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("thing/__init__.py", "value = 7")
        wheel.writestr("thing-1.0.data/purelib/other.py", "value = 8")
    unpacked = program.unpack_wheels(tmp_path / "wheels", tmp_path / "packages")
    script = "import thing, other; print(thing.value + other.value)"
    done = subprocess.run([sys.executable, "-c", script], cwd=unpacked, capture_output=True, text=True)
    assert done.stdout.strip() == "15", done.stderr


# Report


def test_report_keeps_earlier_parts_and_replaces_repeated_ones(tmp_path):
    report.write_report(tmp_path, {"GPU": "one"}, [make_result("a"), make_result("b", report.FAILED)])
    report.write_report(tmp_path, {"GPU": "two"}, [make_result("b", seconds=2.0)])
    found = report.read_report(tmp_path / "report.json")
    assert {name: part["status"] for name, part in found["parts"].items()} == {"a": "passed", "b": "passed"}
    assert found["environment"] == {"GPU": "two"} and found["parts"]["b"]["seconds"] == 2.0
    assert not list(tmp_path.glob("*.draft"))


def test_table_has_a_row_for_each_result(tmp_path):
    rows = [
        Row("speed", report.PASSED, 12345.6, "s/s", ">= 2", "50 updates"),
        Row("a | b", report.FAILED, 0.01234, goal="<= 0.01", detail="because"),
        Row("check", report.PASSED),
    ]
    report.write_report(tmp_path, {"GPU": "H", "driver": ""}, [make_result("fast", report.FAILED, rows)])
    assert (tmp_path / "table.md").read_text().splitlines() == [
        "GPU H.",
        "",
        "| Part | Result | Figure | Goal | Status |",
        "|---|---|---|---|---|",
        "| **fast** | Some GPU | 1 s | | failed |",
        "| | speed | 12,346 s/s | >= 2 | passed |",
        "| | a \\| b | 0.0123 | <= 0.01 | failed: because |",
        "| | check |  |  | passed |",
    ]


def test_reports_of_several_calls_become_one_table(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        report.write_report(tmp_path / name, {"GPU": name}, [make_result(name)])
    merged = report.merge(report.read_report(tmp_path / name / "report.json") for name in "ab")
    assert list(merged["parts"]) == ["a", "b"] and merged["environment"] == {"GPU": "b"}


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["passed", "measured"], "passed"),
        (["passed", "failed"], "failed"),
        (["skipped"], "skipped"),
        (["skipped", "passed"], "passed"),
    ],
)
def test_status_of_a_part_is_that_of_its_worst_row(statuses, expected):
    assert report.summarize([Row("one", status) for status in statuses]) == expected
