"""Work over processes: in order, bounded, and a dead worker is named."""

import os
from typing import Any

import pytest

from relume.core.errors import UserError
from relume.data import pool


def test_a_worker_that_dies_is_named() -> None:
    with pytest.raises(UserError, match="a worker process was killed"):
        list(pool.ordered(os._exit, range(1, 4), 2))


def test_few_results_are_under_way_at_a_time() -> None:
    drawn: list[int] = []

    def tasks() -> Any:
        for number in range(1000):
            drawn.append(number)
            yield number

    results = pool.ordered(abs, tasks(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(drawn) <= 8 * pool.CHUNK
    results.close()  # type: ignore[attr-defined]
