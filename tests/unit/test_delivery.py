"""Transcripts that took long to make are never lost to the place that they should go to."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asrkit.cli import delivery
from asrkit.errors import ConfigError
from asrkit.files import write_atomic
from tests.support.disks import mount_tmpfs

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory that is not writable, and a home that is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(Path, "cwd", lambda: Path("/proc"))
    return tmp_path


def in_encoding(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding, errors="backslashreplace")


def refusal(folder, names=("a.txt",), inputs=()) -> str:
    with pytest.raises(ConfigError) as error:
        delivery.check_folder(folder, names, [str(name) for name in inputs])
    return str(error.value)


def test_usable_folder_is_made(tmp_path):
    delivery.check_folder(tmp_path / "new" / "folder", ["a.txt", "x" * 251 + ".txt"], ["gone.wav"])
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "notes").write_text("")
    assert "notes is a file; give a folder" in refusal(tmp_path / "notes")
    assert "notes is a file; give a folder" in refusal(tmp_path / "notes" / "below" / "it")


def test_unwritable_folder_is_refused():
    assert "--output /proc/transcripts cannot be written" in refusal(Path("/proc/transcripts"))


def test_too_long_names_are_refused(tmp_path):
    assert "File name too long" in refusal(tmp_path, ["x" * 252 + ".txt"])
    assert "File name too long" in refusal(tmp_path / ("x" * 256))


def test_a_folder_or_recording_of_that_name_is_refused(tmp_path):
    (tmp_path / "a.txt").mkdir()
    assert "it is a folder" in refusal(tmp_path)
    (tmp_path / "talk.txt").write_bytes(b"audio")
    (tmp_path / "link").symlink_to("talk.txt")
    assert "is one of the recordings" in refusal(tmp_path, ["talk.txt"], [tmp_path / "link"])


def test_full_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(delivery, "free_bytes", lambda folder: 1000)
    assert "its disk is full" in refusal(tmp_path)


def test_names_as_long_as_names_may_be_are_written(tmp_path):
    for name in ("x" * 255, "\N{CYRILLIC SMALL LETTER A}" * 127):
        with write_atomic(tmp_path / name) as file:
            file.write(b"text")
        assert (tmp_path / name).read_bytes() == b"text"


def test_text_is_printed_where_it_can_be(capsys):
    assert delivery.print_result("ćao\n", "talk.txt")
    assert capsys.readouterr() == ("ćao\n", "")


def test_text_that_the_encoding_cannot_write_is_saved_too(home, monkeypatch, capsys):
    stdout = in_encoding("ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    assert not delivery.print_result("ćao\n", "talk.txt")
    assert stdout.buffer.getvalue() == b"\\u0107ao\n"
    assert (home / "talk.txt").read_text(encoding="utf-8") == "ćao\n"
    assert capsys.readouterr().err == (
        f"asrkit: the terminal's encoding ascii has no '\\u0107'; the text was saved as {home / 'talk.txt'}\n"
    )


def test_saved_texts_overwrite_nothing(home, capsys):
    (home / "talk.txt").write_text("mine")
    (home / "talk-2.txt").symlink_to("nowhere")
    delivery.save_elsewhere("text", "talk.txt", "the disk is full")
    assert (home / "talk.txt").read_text() == "mine" and (home / "talk-3.txt").read_text() == "text"
    delivery.save_elsewhere("text", "ж" * 120 + ".txt", "the disk is full")
    assert (home / ("ж" * 60 + ".txt")).exists()


def test_text_without_any_place_is_printed_on_stderr(monkeypatch, capsys):
    monkeypatch.setattr(delivery, "write_text", lambda path, text: (_ for _ in ()).throw(ConfigError("full")))
    delivery.save_elsewhere("alpha\n", "talk.txt", "the disk is full")
    assert capsys.readouterr().err.endswith("the text follows:\nalpha\n\n")


def test_file_that_cannot_be_written_is_saved_elsewhere(home, tmp_path, capsys):
    disk = tmp_path / "disk"
    with mount_tmpfs(disk, "64k"):
        (disk / "full").write_bytes(b"x" * 56_000)
        text = "alpha " * 10_000
        assert not delivery.write_result(disk / "talk.txt", text)
        assert [path.name for path in disk.iterdir()] == ["full"]
    assert (home / "talk.txt").read_text() == text
    err = capsys.readouterr().err
    assert "talk.txt cannot be written (No space left on device)" in err and f"saved as {home / 'talk.txt'}\n" in err
    assert delivery.write_result(tmp_path / "other.txt", text)


PRINT = """
import sys
from asrkit import cli
from asrkit.cli import delivery, presets
def run(options):
    {body}
presets.run = run
sys.exit(cli.main(["presets"]))
"""


def print_to(stdout, body: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with that body and that stdout."""
    return subprocess.run(
        [sys.executable, "-c", PRINT.format(body=body)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        timeout=60,
    )


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


RESULT = 'return int(not delivery.print_result("alpha\\n", "talk.txt"))'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_stdout_saves_the_text(tmp_path):
    with open("/dev/full", "w") as stdout:
        process = print_to(stdout, RESULT, tmp_path)
        assert process.returncode == 1 and (tmp_path / "talk.txt").read_text() == "alpha\n"
        assert process.stderr == (
            "asrkit: the output cannot be written (No space left on device); the text was saved as "
            f"{tmp_path / 'talk.txt'}\n"
        )
        process = print_to(stdout, 'print("alpha")', tmp_path)
        assert process.returncode == 1
        assert process.stderr == "asrkit: The output cannot be written (No space left on device); free some space.\n"


def test_closed_pipe_saves_the_text(tmp_path):
    process = print_to(closed_pipe(), RESULT, tmp_path)
    assert process.returncode == 1 and (tmp_path / "talk.txt").read_text() == "alpha\n"
    assert process.stderr == f"asrkit: the output was closed; the text was saved as {tmp_path / 'talk.txt'}\n"
    process = print_to(closed_pipe(), 'print("alpha")', tmp_path)
    assert (process.returncode, process.stderr) == (1, "")


def test_closed_pipe_is_noticed_before_the_work(tmp_path):
    process = print_to(closed_pipe(), 'delivery.check_stdout(); print("work", file=sys.stderr)', tmp_path)
    assert (process.returncode, process.stderr) == (1, "")
    process = print_to(subprocess.PIPE, "delivery.check_stdout()", tmp_path)
    assert (process.returncode, process.stderr) == (0, "")


def test_error_that_is_no_full_disk_is_a_traceback(tmp_path):
    process = print_to(subprocess.PIPE, 'open("gone")', tmp_path)
    assert process.returncode == 1 and "FileNotFoundError" in process.stderr


def test_other_characters_are_escaped_in_any_command(tmp_path):
    process = print_to(subprocess.PIPE, 'print("\\u0107ao \\udc80")', tmp_path, PYTHONIOENCODING="ascii")
    assert (process.returncode, process.stdout, process.stderr) == (0, "\\u0107ao \\udc80\n", "")
