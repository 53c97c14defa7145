import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from asrkit.transcription import inference_threads
from asrkit.transcription.inference_threads import Gate, get_pool, iter_ahead
from tests.support.waiting import wait_for


def test_results_come_in_order_while_later_ones_are_computed():
    begun, may_end = [], threading.Event()

    def double(number):
        begun.append(number)
        if number:
            may_end.wait(60)
        return 2 * number

    with ThreadPoolExecutor(3) as pool:
        results = iter_ahead(pool, double, range(9), 2)
        assert next(results) == 0
        wait_for(lambda: sorted(begun) == [0, 1, 2], "two more to begin")
        may_end.set()
        assert list(results) == [2 * number for number in range(1, 9)]


def test_nothing_is_begun_ahead_where_none_is_wanted():
    begun = []
    with ThreadPoolExecutor(1) as pool:
        results = iter_ahead(pool, begun.append, itertools.count(), 0)
        for number in range(3):
            next(results)
            assert begun == list(range(number + 1))
        results.close()


def test_error_of_an_item_reaches_the_caller_in_its_turn():
    with ThreadPoolExecutor(2) as pool:
        results = iter_ahead(pool, lambda number: 1 / number, [1, 0, 2], 2)
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_forgotten_threads_are_replaced(monkeypatch):
    monkeypatch.setattr(inference_threads, "_pools", {})
    before = get_pool("name").submit(threading.get_ident).result()
    assert get_pool("name").submit(threading.get_ident).result() == before
    forgotten = get_pool("name")
    inference_threads.forget_threads()
    assert get_pool("name") is not forgotten and get_pool("name").submit(lambda: 5).result() == 5


def test_one_alone_waits_for_all_inside_and_goes_before_those_that_follow():
    gate, order, is_inside, may_leave = Gate(), [], threading.Event(), threading.Event()

    def enter(name, how, leave=None):
        with how():
            order.append(name)
            is_inside.set()
            if leave:
                leave.wait(60)

    with ThreadPoolExecutor(4) as pool:
        pool.submit(enter, "first", gate.shared, may_leave)
        assert is_inside.wait(60)
        pool.submit(enter, "beside", gate.shared).result(60)
        alone = pool.submit(enter, "alone", gate.alone)
        wait_for(lambda: gate._num_alone == 1, "the one that wants to be alone")
        later = pool.submit(enter, "later", gate.shared)
        assert not alone.done() and not later.done()
        may_leave.set()
        later.result(60)
    assert order == ["first", "beside", "alone", "later"]
