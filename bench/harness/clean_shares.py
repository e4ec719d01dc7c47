"""How clean is what each selector takes, by the labels of the rows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from bench.harness.dirty_rows import CLEAN
from bench.harness.stored import markdown
from instructmining.selecting.floor import REASON
from instructmining.selecting.selection import pick
from instructmining.settings.learning import Select

SELECTORS = ("random", "longest", "ifd", "lowest_perplexity", "highest_reward", "rule", "quality")


@dataclass(frozen=True)
class Chosen:
    """Labels of a pool, of what selectors take of it, and of what the floor leaves out.

    Attributes:
        pool: rows by label.
        taken: rows by label, by selector.
        below: rows below the floor, by label.
    """

    pool: Counter[str]
    taken: Mapping[str, Counter[str]]
    below: Counter[str]


def chosen(rows: DataFrame, labels: Mapping[str, str], top: int) -> Chosen:
    """What each selector takes, with and without the floor.

    Args:
        rows: of the pool, marked by `jobs.selecting.marks`.
        labels: by example id.
        top: number of examples that are taken.
    """
    taken = {}
    for floor in ("off", "on"):
        for strategy in SELECTORS:
            select = Select(strategy=strategy, floor=floor, top=top)
            name = "floor, " * (floor == "on") + strategy
            taken[name] = _counted(pick(rows, select), labels)
    below = _counted(rows.where(F.col(REASON).isNotNull()), labels)
    return Chosen(_counted(rows, labels), taken, below)


def shares_page(pools: Mapping[str, Chosen]) -> str:
    """Two tables: clean rows in percent by selector, rows below the floor in percent by label."""
    names = list(pools)
    first = next(iter(pools.values()))
    chance = ["all rows", *(_percent(one.pool) for one in pools.values()), ""]
    clean = [
        [name, *(_percent(one.taken[name]) for one in pools.values()), _worst(pools, name)]
        for name in first.taken
    ]
    kinds = sorted({kind for one in pools.values() for kind in one.pool})
    below = [
        [kind, *(_left_out(one, kind) for one in pools.values())]
        for kind in sorted(kinds, key=lambda kind: kind != CLEAN)
    ]
    return "\n".join(
        [
            "Clean rows among those that a selector takes, in percent:\n",
            markdown(["selector", *names, "what slips in"], [chance, *clean]),
            "\nRows that the floor leaves out, in percent:\n",
            markdown(["kind", *names], below),
        ]
    )


def _counted(rows: DataFrame, labels: Mapping[str, str]) -> Counter[str]:
    return Counter(labels[row.example_id] for row in rows.select("example_id").collect())


def _percent(counts: Counter[str]) -> str:
    return f"{100 * counts[CLEAN] / max(1, counts.total()):.1f}"


def _worst(pools: Mapping[str, Chosen], name: str) -> str:
    """The three kinds of dirt that a selector takes most of, over all pools."""
    dirt = sum((one.taken[name] for one in pools.values()), Counter[str]())
    del dirt[CLEAN]
    return ", ".join(f"{kind} {count}" for kind, count in dirt.most_common(3))


def _left_out(one: Chosen, kind: str) -> str:
    return f"{100 * one.below[kind] / one.pool[kind]:.0f}" if one.pool[kind] else "–"


def labels_of(occurrences: DataFrame, pool: str) -> dict[str, str]:
    """The label of every example of a pool, which was kept when it was scored."""
    label = F.col("kept")["label"].alias("label")
    rows = occurrences.where(F.col("pool") == pool).select("example_id", label).collect()
    return {row.example_id: row.label for row in rows}
