"""Work in threads: in order, no more at once than asked for, its errors in their turn."""

from __future__ import annotations

import threading
import time

import pytest

from runtime.threads import in_threads


def test_results_come_in_order_and_few_wait() -> None:
    begun: list[int] = []
    taken: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        assert len(begun) - len(taken) <= 2 * 2
        time.sleep(0.002 * (item % 3))
        return item * item

    for found in in_threads(work, iter(range(30)), 2):
        taken.append(found)
    assert taken == [item * item for item in range(30)]


def test_two_work_at_once() -> None:
    both = threading.Barrier(2, timeout=10)
    assert len(list(in_threads(lambda _: both.wait(), [1, 2], 2))) == 2


def test_an_error_is_raised_in_its_turn_and_ends_the_work() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return 6 // (3 - item)

    found = in_threads(work, range(1_000), 1)
    assert [next(found), next(found), next(found)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert len(begun) <= 5
