"""A reader that a file has taken over can do nothing but answer wrongly. Every attempt runs in a real sandbox."""

from __future__ import annotations

import math
import os
import socket
import typing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import TypeAliasType

from asrkit import sandbox
from asrkit.errors import AudioError, ColumnError, DataError
from asrkit.sandbox import ResourceLimits, Sandbox, allowed_paths, client, messages, server_process
from tests.support import hostile_readers as hostile
from tests.support.landlock import needs_landlock

pytestmark = needs_landlock

SMALL = ResourceLimits(memory_bytes=256 << 20, cpu_s=1, file_bytes=1 << 20, reply_bytes=1 << 20)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Return a folder that a sandbox may read, beside secrets that it may not."""
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "own.txt").write_text("own")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "inputs" / "link.txt").symlink_to(tmp_path / "secret.txt")
    return tmp_path / "inputs"


@pytest.fixture
def reader(inputs: Path) -> Iterator[Sandbox]:
    with sandbox.limited(SMALL), Sandbox([inputs]) as made:
        yield made


def test_input_is_read(reader: Sandbox, inputs: Path) -> None:
    assert reader.call(hostile.read, str(inputs / "own.txt"), about="a") == "own"


def test_other_files_are_not_read(reader: Sandbox, inputs: Path) -> None:
    home = Path.home()
    others = [inputs.parent / "secret.txt", inputs / "link.txt", inputs / ".." / "secret.txt", Path("/etc/passwd")]
    for path in [*others, Path(__file__), Path("/proc/self/environ"), Path(f"/proc/{os.getpid()}/mem")]:
        assert reader.call(hostile.try_to_read, str(path), about="a") == "PermissionError", path
    for folder in (inputs.parent, home, Path("/"), Path("/proc")):
        assert reader.call(hostile.try_to_list, str(folder), about="a") == "PermissionError", folder


def test_of_very_many_files_the_folders_are_readable(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowed_paths, "MAX_INPUTS", 2)
    (inputs.parent / "links").mkdir()
    for name in ("outside.txt", "links/other.txt"):
        (inputs.parent / name).write_text("other")
    link = inputs.parent / "links" / "own.txt"
    link.symlink_to(inputs / "own.txt")
    with Sandbox([link, inputs / "a.txt", inputs / "missing" / "b.txt"]) as reader:
        for path in (link, inputs / "own.txt"):
            assert reader.call(hostile.read, str(path), about="a") == "own"
        for name in ("outside.txt", "links/other.txt"):
            assert reader.call(hostile.try_to_read, str(inputs.parent / name), about="a") == "PermissionError"


def test_single_file_is_all_that_is_readable(inputs: Path) -> None:
    (inputs / "other.txt").write_text("other")
    with Sandbox([inputs / "own.txt"]) as reader:
        assert reader.call(hostile.read, str(inputs / "own.txt"), about="a") == "own"
        assert reader.call(hostile.try_to_read, str(inputs / "other.txt"), about="a") == "PermissionError"


def test_nothing_is_written_but_outputs(inputs: Path) -> None:
    outputs = inputs.parent / "outputs"
    outputs.mkdir()
    with Sandbox([inputs], [outputs]) as reader:
        assert reader.call(hostile.try_to_write, str(outputs / "new.txt"), about="a") == "7"
        assert reader.call(hostile.try_to_write, str(inputs / "own.txt"), about="a") == "PermissionError"
        assert reader.call(hostile.try_to_write, str(inputs.parent / "secret.txt"), about="a") == "PermissionError"
        moved = (str(inputs / "own.txt"), str(outputs / "own.txt"))
        assert reader.call(hostile.try_to_rename, *moved, about="a") in ("PermissionError", "OSError")
    assert (inputs / "own.txt").read_text() == "own"


def test_environment_is_empty(reader: Sandbox, monkeypatch: pytest.MonkeyPatch, inputs: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert reader.call(hostile.environment, about="a") == {}
    assert reader.call(hostile.processes_environment, about="a") == "PermissionError"
    with Sandbox([inputs], environment={"HOME": "/nowhere"}) as other:
        assert other.call(hostile.environment, about="a") == {"HOME": "/nowhere"}


def test_server_has_never_known_a_token(reader: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fork inherits is what its server was started with."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(server_process, "_server", None)
    server = server_process.Server()
    assert b"hf_secret" not in Path(f"/proc/{server._process.pid}/environ").read_bytes()
    server.close()


def test_network_is_unreachable(reader: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tried = reader.call(hostile.try_sockets, listener.getsockname()[1], about="a")
    assert tried == ["PermissionError"] * 4


def test_no_program_and_no_process_is_started(reader: Sandbox) -> None:
    assert reader.call(hostile.try_programs, about="a") == ["PermissionError"] * 3
    assert reader.call(hostile.run_thread, about="a") == 1


def test_other_processes_are_out_of_reach(reader: Sandbox) -> None:
    tried = reader.call(hostile.try_other_processes, os.getpid(), about="a")
    assert tried[:2] == ["PermissionError"] * 2 and tried[2] in ("PermissionError", "OSError")


def test_open_files_are_limited(reader: Sandbox) -> None:
    assert reader.call(hostile.count_open_files, about="a") == "OSError"


@pytest.mark.parametrize(
    "name", ["spin", "crash", "exit_quietly", "end_oneself", "lie"], ids=lambda name: name.replace("_", "-")
)
def test_reader_that_breaks_down_is_one_sentence(reader: Sandbox, name: str) -> None:
    with pytest.raises(AudioError, match=r"^/data/a\.wav cannot be read: its reader broke down, or needed more than"):
        reader.call(getattr(hostile, name), about="/data/a.wav", error=AudioError)
    assert reader.call(hostile.run_thread, about="a") == 1


def test_memory_is_limited(reader: Sandbox) -> None:
    with pytest.raises(DataError, match="needed more than 0.25 GB of memory or 1 s of processor time"):
        reader.call(hostile.allocate, 300 << 20, about="a")
    assert reader.call(hostile.allocate, 500 << 10, about="a") == 500 << 10


def test_reader_that_sleeps_is_ended(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResourceLimits, "wait_s", 0.5)
    with Sandbox([inputs]) as reader, pytest.raises(DataError, match="cannot be read: its reader broke down"):
        reader.call(hostile.hang, about="a")


def test_unexpected_error_hides_its_traceback(reader: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataError, match=r"^a\.wav cannot be read \(its reader failed with KeyError\)"):
        reader.call(hostile.fail, about="a.wav")
    assert "/secret/path" in caplog.text


def test_error_keeps_its_columns(reader: Sandbox) -> None:
    with pytest.raises(ColumnError, match="Choose") as error:
        reader.call(hostile.ask_for_columns, about="a.csv")
    assert error.value.column_names == ("a", "b")


def test_reply_has_a_limit(reader: Sandbox) -> None:
    with pytest.raises(DataError, match="broke down"):
        reader.call(hostile.half, np.zeros(1 << 20, np.float32), 8_000, about="a")


def test_arrays_and_streams_arrive(reader: Sandbox) -> None:
    rate, samples = reader.call(hostile.half, np.arange(5, dtype=np.float32), 8_000, about="a")
    assert rate == 8_000 and samples.tolist() == [0, 0.5, 1, 1.5, 2]
    blocks = list(reader.stream(hostile.count_up, 5, about="a"))
    assert [block[0] for block in blocks] == [0, 1, 2, 3, 4] and {len(block) for block in blocks} == {1000}


def test_stream_that_is_left_early_ends_its_process(reader: Sandbox) -> None:
    stream = reader.stream(hostile.count_up, 1_000_000, about="a")
    assert next(stream)[0] == 0
    stream.close()
    assert reader.call(hostile.run_thread, about="a") == 1


def test_threads_have_a_process_each(reader: Sandbox, inputs: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        texts = list(threads.map(lambda _: reader.call(hostile.read, str(inputs / "own.txt"), about="a"), range(20)))
    assert texts == ["own"] * 20


def test_server_that_was_ended_is_started_again(inputs: Path) -> None:
    with Sandbox([inputs]) as reader:
        assert reader.call(hostile.run_thread, about="a") == 1
    assert server_process._server is not None
    server_process._server._process.kill()
    server_process._server._process.wait()
    with Sandbox([inputs]) as reader:
        assert reader.call(hostile.run_thread, about="a") == 1


def test_public_app_refuses_files_where_the_kernel_confines_nothing(
    inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sandbox.REQUIRED_VARIABLE, "required")
    Sandbox([inputs])
    monkeypatch.setattr(client, "landlock_version", lambda: 0)
    with pytest.raises(DataError, match="open to everybody and therefore reads no files, because the kernel"):
        Sandbox([inputs])
    monkeypatch.delenv(sandbox.REQUIRED_VARIABLE)
    Sandbox([inputs])


@pytest.mark.parametrize(
    "value",
    [None, 1, "x", [1], [[1, 2], 3], ["x", 1, 2], [math.nan, "x"], {"a": 1}],
    ids=str,
)
def test_reply_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a reply with"):
        messages.decoder(tuple[str, int])(value, bytearray())


@pytest.mark.parametrize("value", [[0, 3], [4, 2], [-4, 1], [0, -1], [0, 1.0], [True, 1], "x", [0]], ids=str)
def test_array_beyond_its_bytes_is_refused(value: object) -> None:
    kind = typing.get_type_hints(hostile.half)["samples"]
    with pytest.raises(ValueError, match="a reply with"):
        messages.decoder(kind)(value, bytearray(8))


def test_array_is_received_where_its_type_is_an_alias():
    """NumPy 2.5 declares NDArray by a `type` statement."""
    element = typing.TypeVar("element")
    alias = TypeAliasType("alias", np.ndarray[tuple[typing.Any, ...], np.dtype[element]], type_params=(element,))
    array, sent = np.array([1.0, 2.0], np.float32), []
    value = messages.encode(array, sent)
    found = messages.decoder(alias[np.float32])(value, bytearray(b"".join(sent)))
    np.testing.assert_array_equal(found, array)
