"""One executor and two, of one core each: rows per second of a model stage, and the balance.

By the clock where the machine is idle, as the time that more rows add: what a stage costs once
(its plan, its commits, the executors' Python) is left out. Where the machine is not idle, two
executors share what the neighbours leave, and the ratio follows from what the clock does not touch:
how much more CPU the same rows cost in two processes, and how evenly their tokens are spread.
"""

from collections.abc import Sequence

from bench.harness.arms import Suite
from bench.harness.scored import Scored, busy, run_rows, session

RATIO = "rows/s, two executors against one"
BALANCE = "tokens of the larger task over the mean"
_STAGES = {"stages": ("ingest", "reward"), "measure": {"device": "cpu"}}


def suite(repeats: int, sizes: tuple[int, int] = (2_000, 16_000)) -> Suite:
    """The same rows, few and many, in a cluster of one and of two."""
    idle = not busy()
    (few_one, one), (few_two, two) = (_on(executors, sizes) for executors in (1, 2))
    balance = two.imbalance["reward"]
    by_clock = added(few_one, one) / added(few_two, two)
    by_cpu = 2 * one.models / two.models / balance
    return Suite(
        name="executors",
        about=f"reward of {sizes[0]:,} and {sizes[1]:,} rows of Alpaca's lengths on local-cluster, "
        + ("by the clock" if idle else "by CPU seconds and balance, for the machine is busy"),
        figures={
            RATIO: by_clock if idle else by_cpu,
            BALANCE: balance,
            "by the clock": by_clock,
            "by CPU seconds and balance": by_cpu,
            "one: wall s": one.took["reward"],
            "two: wall s": two.took["reward"],
            "one: wall s, fewer rows": few_one.took["reward"],
            "two: wall s, fewer rows": few_two.took["reward"],
            "one: CPU s inside the model": one.models,
            "two: CPU s inside the model": two.models,
        },
        at_least={RATIO: 1.85},
        at_most={BALANCE: 1.05},
        repeats=1,
    )


def added(few: Scored, many: Scored) -> float:
    """Seconds by the clock that the further rows took."""
    return many.took["reward"] - few.took["reward"]


def _on(executors: int, sizes: Sequence[int]) -> list[Scored]:
    with session(executors, "local-cluster[{},1,1024]") as spark:
        run_rows(spark, 64, **_STAGES)
        return [run_rows(spark, rows, **_STAGES) for rows in sizes]
