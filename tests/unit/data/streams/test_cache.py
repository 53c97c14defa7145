"""The bounded cache of pieces, used by several threads and processes at once."""

import fcntl
import multiprocessing
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from asrkit.data.streams import cache as cache_module
from asrkit.data.streams.cache import PieceCache
from asrkit.errors import DataError
from tests.support.waiting import wait_for

SIZE = 100


@pytest.fixture
def cache(tmp_path):
    return PieceCache(tmp_path / "root", 3 * SIZE)


def piece(cache, name):
    return cache.root / "source" / "file" / name


def make(folder):
    (folder / "clip").write_bytes(bytes(SIZE))


def use(cache, name):
    with cache.hold(piece(cache, name), make, SIZE):
        assert (piece(cache, name) / "clip").exists()


def names(cache):
    return sorted(path.name for path in (cache.root / "source/file").iterdir() if not path.name.startswith("."))


def test_what_was_not_used_for_longest_is_removed(cache):
    for name in "abc":
        use(cache, name)
    os.utime(piece(cache, "a"), (10, 10))
    os.utime(piece(cache, "b"), (5, 5))
    use(cache, "a")  # which renews it
    use(cache, "d")
    assert names(cache) == ["a", "c", "d"]
    assert cache.size_bytes() == 3 * SIZE


def test_piece_in_use_is_not_removed(cache):
    with cache.hold(piece(cache, "a"), make, SIZE):
        for name in "bcde":
            use(cache, name)
        assert "a" in names(cache) and len(names(cache)) == 3


def test_piece_is_made_once(cache):
    made, start = [], threading.Barrier(8)

    def make_one(folder):
        made.append(folder)
        make(folder)

    def work():
        start.wait()
        with cache.hold(piece(cache, "a"), make_one, SIZE):
            pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_prefetch_gives_way_to_whoever_makes_the_piece(cache):
    assert cache.prefetch(piece(cache, "a"), make, SIZE)
    assert not cache.prefetch(piece(cache, "a"), make, SIZE)
    with cache.hold(piece(cache, "a"), make, SIZE):
        assert not cache.prefetch(piece(cache, "a"), make, SIZE)


def test_failure_leaves_nothing(cache):
    def fail(folder):
        make(folder)
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"), cache.hold(piece(cache, "a"), fail, SIZE):
        pass
    assert names(cache) == [] and not list((cache.root / "source/file").glob(".draft*"))
    use(cache, "a")


def _make_forever(root: Path, is_making) -> None:
    def stall(folder):
        make(folder)
        is_making.set()
        threading.Event().wait()

    store = PieceCache(root, 3 * SIZE)
    with store.hold(piece(store, "a"), stall, SIZE):
        pass


def test_killed_process_leaves_a_piece_that_others_can_make(cache):
    context = multiprocessing.get_context("fork")
    is_making = context.Event()
    process = context.Process(target=_make_forever, args=[cache.root, is_making])
    process.start()
    assert is_making.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list((cache.root / "source/file").glob(".draft*"))
    use(cache, "a")
    assert names(cache) == ["a"] and not list((cache.root / "source/file").glob(".draft*"))


def test_what_killed_processes_left_of_other_pieces_is_removed(cache):
    use(cache, "a")
    abandoned, in_work = (piece(cache, f".draft-{name}-1") for name in ("b", "c"))
    for draft in (abandoned, in_work):
        draft.mkdir()
    with cache_module._locked(piece(cache, "c"), fcntl.LOCK_EX):
        use(cache, "d")
        assert not abandoned.exists() and in_work.exists()


def test_full_disk_is_said(cache, monkeypatch):
    use(cache, "a")
    usage = shutil.disk_usage(cache.root)
    monkeypatch.setattr(cache_module, "free_bytes", lambda where: cache_module.SPARE_BYTES)
    with pytest.raises(DataError, match="are free; free some space"):
        use(cache, "b")
    assert names(cache) == [] and usage.free  # all of the cache was given up for it


def test_waiting_thread_gets_the_piece_that_another_one_makes(cache):
    is_making, may_go = threading.Event(), threading.Event()

    def slowly(folder):
        is_making.set()
        may_go.wait(30)
        make(folder)

    done = []
    first = threading.Thread(target=lambda: cache.prefetch(piece(cache, "a"), slowly, SIZE))
    second = threading.Thread(target=lambda: (use(cache, "a"), done.append(1)))
    first.start()
    is_making.wait(30)
    second.start()
    assert not done
    may_go.set()
    wait_for(lambda: done, "the piece")
    first.join()
    second.join()
