"""The arithmetic of the suites that run Spark or a GPU, and their rows; neither is started."""

import pytest

from bench.harness.arms import SHEET, Gate, Outcome, Suite
from bench.harness.event_log import SparkWork
from bench.harness.programs import Program
from bench.harness.scored import Scored
from bench.harness.texts import records
from bench.run import LONG, SUITES
from bench.speed import cost, executors, million, resume, workers


def test_a_line_is_found_through_its_points():
    assert cost.line([1000, 3000, 9000], [12.0, 16.0, 28.0]) == pytest.approx((10.0, 0.002))


@pytest.mark.parametrize("power", [1.0, 1.9])
def test_the_power_of_the_rows_is_the_slope_of_the_logarithms(power):
    sizes = [1000, 3000, 9000]
    assert cost.loglog_slope(sizes, [0.02 * n**power for n in sizes]) == pytest.approx(power)


def test_what_is_paid_once_does_not_bend_the_slope_and_a_square_is_still_seen():
    sizes = [1000, 4000, 12000]
    assert cost.slope_after_intercept(sizes, [3 + 0.015 * n for n in sizes]) == pytest.approx(1)
    assert cost.slope_after_intercept(sizes, [3 + 1e-6 * n**2 for n in sizes]) > 1.3


@pytest.mark.parametrize("power", [0.7, 1.0, 1.5])
def test_the_power_beside_a_fixed_cost_is_found_where_the_cost_is_no_line(power):
    sizes = [10_000, 100_000, 1_000_000]
    costs = [25 + 2e-4 * n**power for n in sizes]
    assert cost.power_beside_fixed(sizes, costs) == pytest.approx(power, abs=0.011)


def test_powers_are_told_of_printed_lines():
    sizes = {10_000: 26.0, 100_000: 35.0, 1_000_000: 125.0}  # 25 s and 0.1 ms a row
    peaks = dict.fromkeys(("driver", "jvm", "worker"), 2**30)
    found = [
        million.Step(
            rows,
            name,
            Program(0, "", 9.0, cpu, 0, {}, peaks),
            SparkWork(to_driver=rows * 1000),
        )
        for name in ("read Parquet", "made numbers of new")
        for rows, cpu in sizes.items()
    ]
    costs = million.costs_in("a machine\n" + "\n".join(map(million.line, found)))
    assert costs[0] == (10_000, "read Parquet", 26.0, 10.0)
    table = million.powers(costs)
    columns = [list(column.cells) for column in table.columns]
    assert columns[0] == ["read Parquet", "made numbers of new"]
    assert columns[2] == ["1.00", "1.00"]
    assert columns[3] == ["1.00", "1.00"]


def test_the_share_at_more_rows_follows_from_both_lines():
    def scored(rows):  # 10 s fixed and 1 ms per row outside, 9 ms per row inside
        return Scored(rows, 1.0, 10 + 0.010 * rows, {"reward": 0.009 * rows}, {"knn": 0.5}, {})

    figures = cost._figures({n: scored(n) for n in (1000, 3000, 9000)})
    assert figures["intercept, CPU s"] == pytest.approx(10)
    assert figures[cost.SLOPE] == pytest.approx(1)
    assert figures[cost.SHARE] == pytest.approx((10 + 50) / (10 + 500))


def test_what_a_stage_costs_once_is_not_what_its_rows_take():
    few, many = (Scored(1, 0, 0, {}, {"reward": seconds}, {}) for seconds in (8.0, 20.0))
    assert executors.added(few, many) == 12


def test_the_data_sheet_is_a_limit_by_the_clock_of_a_gpu():
    suite = Suite(
        "s",
        "",
        {"ours": int},
        "ours",
        flop=2e9,
        gates=[Gate("ours", SHEET, 0.5)],
        device="cuda:0",
        sheet=4.0,
    )
    found = Outcome(suite, {"ours": [0.01]}, {"ours": [1.0]}, {"float32": [4.0]}, {})
    [verdict] = found.verdicts()
    assert (verdict.figure, verdict.ok) == (0.5, True)
    assert found.of_limit("ours").median == 0.5


def test_rows_made_up_are_distinct_and_the_same_each_time():
    first = list(records(0, 40, words=8))
    assert first == list(records(0, 40, words=8))
    assert len({str(each) for each in first}) == 40
    assert all(len(each["output"].split()) == 8 for each in first)
    assert list(records(38, 40, words=8)) == first[38:]


def test_every_suite_has_a_name_of_its_own_and_a_module():
    assert not set(SUITES) & set(LONG)
    modules = {module for module, _ in (SUITES | LONG).values()}
    assert {
        each.__name__.rpartition(".")[2] for each in (cost, executors, resume, workers)
    } < modules
