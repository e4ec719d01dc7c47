"""Pictures of the page lie where their numbers are, whatever the numbers are."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from instructmining.report.charts import HEIGHT, WIDTH, Scale, histogram_path, scatter

finite = st.floats(-1e9, 1e9)


@given(finite, finite, st.lists(finite, min_size=2))
def test_a_scale_keeps_the_order_and_stays_within_its_ends(one, other, values):
    scale = Scale(*sorted((one, other)))
    placed = [scale.at(value) for value in sorted(values)]
    assert placed == sorted(placed)
    assert all(0 <= place <= 100 for place in placed)


@given(finite, st.floats(1e-3, 1e9), st.floats(0, 1))
def test_a_number_within_the_ends_lies_at_its_share(low, width, share):
    scale = Scale(low, low + width)
    if scale.high > scale.low:
        value = scale.low + share * (scale.high - scale.low)
        expected = 100 * (value - scale.low) / (scale.high - scale.low)
        assert abs(scale.at(value) - expected) <= 0.006


@given(finite, finite, finite, finite)
def test_a_bar_is_the_same_from_either_end_and_never_runs_over(low, high, start, end):
    scale = Scale(*sorted((low, high)))
    left, width = scale.bar(start, end)
    assert (left, width) == scale.bar(end, start)
    assert width >= 0
    assert left + width <= 100.005


@given(finite)
def test_a_scale_of_one_number_has_it_in_the_middle(value):
    assert Scale(value, value).at(value) == 50


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_the_steps_of_a_histogram_are_as_high_as_its_counts(counts):
    path = histogram_path(np.array(counts, np.int64))
    levels = [float(y) for y in re.findall(r"V([\d.]+)H", path)]
    ends = [float(x) for x in re.findall(r"H([\d.]+)", path)]
    top = max(1, max(counts))
    assert len(levels) == len(counts)
    for level, count in zip(levels, counts, strict=True):
        assert abs(level - HEIGHT * (1 - count / top)) <= 0.051
    assert ends == sorted(ends)
    assert abs(ends[-1] - WIDTH) <= 0.051
    assert path.startswith(f"M0 {HEIGHT}")
    assert path.endswith("Z")


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_points_on_one_scale_lie_on_the_diagonal_where_both_numbers_agree(pairs):
    points, scale = scatter(pairs)
    assert scale.low <= min(min(pair) for pair in pairs)
    assert scale.high >= max(max(pair) for pair in pairs)
    for (x, y), (across, down) in zip(pairs, points, strict=True):
        assert 0 <= across <= 100
        assert 0 <= down <= 100
        if x == y:
            assert abs(across - (100 - down)) <= 0.011
        elif x < y:
            assert across <= 100 - down + 0.011
