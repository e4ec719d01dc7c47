"""The size search on curves with known valleys; flaml wants a Spark session when imported."""

import math

import pytest
from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.evaluating.size_search import SizePoint, search_size, start_points

pytestmark = pytest.mark.slow


def two_valleys(size: int) -> tuple[float, float]:
    """A shallow valley at 300 and, behind a rise, a deeper one at 20,000; cost by size."""
    near = math.exp(-((math.log(size / 300) / 0.7) ** 2))
    far = 1.5 * math.exp(-((math.log(size / 20_000) / 0.7) ** 2))
    return 2.0 - 0.1 * near - 0.1 * far, 100.0 * size


def test_start_points_are_even_on_a_log_scale_with_both_ends() -> None:
    assert start_points(10, 10_000, 4) == [10, 100, 1000, 10_000]
    assert len(start_points(32, 50_000)) == 6


def test_a_second_valley_is_seen_since_it_has_a_start_point_of_its_own(spark: SparkSession) -> None:
    found = search_size(two_valleys, 32, 50_000, trials=14)
    losses = {point.size: point.loss for point in found}
    starts = start_points(32, 50_000)
    between = starts[3]
    assert 2000 < between < 4000  # on the ridge
    assert min(loss for size, loss in losses.items() if size < between) < losses[between] - 0.03
    assert min(loss for size, loss in losses.items() if size > between) < losses[between] - 0.03
    assert set(starts) <= set(losses)
    assert min(losses.values()) < min(losses[size] for size in starts)  # it goes on from them
    assert list(losses) == sorted(losses)
    assert len(found) <= 14
    assert all(point == SizePoint(point.size, *two_valleys(point.size)) for point in found)


def test_a_single_valley_is_approached(spark: SparkSession) -> None:
    found = search_size(lambda n: (math.log(n / 700) ** 2, float(n)), 32, 8000, trials=16)
    best = min(found, key=lambda point: point.loss)
    assert abs(math.log(best.size / 700)) < 0.35


def test_no_size_is_measured_twice_nor_beyond_the_budget(spark: SparkSession) -> None:
    asked: list[int] = []

    def loss_of(size: int) -> tuple[float, float]:
        asked.append(size)
        return two_valleys(size)

    found = search_size(loss_of, 32, 1000, trials=30, points=[32, 1000], budget=110_000)
    assert len(asked) == len(set(asked)) == len(found)
    assert sum(point.tokens for point in found[:-1]) < 110_000 + 100_000
    assert len(found) < 30


def test_sizes_that_leave_nothing_to_search_are_refused() -> None:
    with pytest.raises(UserError, match="leave nothing to search"):
        search_size(two_valleys, 64, 64, trials=3)
