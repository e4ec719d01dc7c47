"""Leave out what repeats evaluation data or better examples, before anything is chosen."""

from collections.abc import Sequence
from functools import partial

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.features.text_pairs import similar_pairs
from instructmining.finetunes.evaluation_sets import read_evaluation_sets
from instructmining.finetunes.overlap import overlapping
from instructmining.selecting.floor import eligible
from instructmining.selecting.selection import STRATEGIES, score_column
from instructmining.settings.learning import Select
from instructmining.store.tables import Store

_SHOWN = 80  # characters of the words that an example shares


def without_repeats(
    store: Store, rows: DataFrame, pool: str, select: Select, words: int, run_id: str
) -> tuple[DataFrame, list[str]]:
    """The candidates that are left, and sentences on those left out; why is in `left_out`.

    Args:
        store: gets the rows of `left_out`.
        rows: as `candidates` gives them.
        pool: its name.
        select: `without_overlap` and `near_duplicates`.
        words: in a row that make an overlap, the setting `evaluate.overlap`.
        run_id: marks the rows.
    """
    notes = []
    looks = (
        ("overlap", partial(_overlaps, data=select.without_overlap, words=words)),
        ("near_duplicate", partial(_near_duplicates, select=select)),
    )
    for why, look in looks:
        dropped = look(store, rows)
        if dropped is None:
            continue
        stored = dropped.withColumns(
            {
                "pool": F.lit(pool),
                "run_id": F.lit(run_id),
                "why": F.lit(why),
            }
        )
        store.append(stored, "left_out", {"run_id": run_id})
        mine = store.read("left_out").where((F.col("run_id") == run_id) & (F.col("why") == why))
        notes.append(_sentence(store, mine, why, select, words))
        rows = rows.join(mine.select("example_id").distinct(), "example_id", "left_anti")
    return rows, notes


def _overlaps(store: Store, rows: DataFrame, data: Sequence[str], words: int) -> DataFrame | None:
    """The rows that share words with evaluation data."""
    if not data:
        return None
    sets = read_evaluation_sets(store.spark, data)
    texts = store.read("examples").join(rows.select("example_id"), "example_id")
    shared = overlapping(texts, sets, words)
    beside = F.col("evaluation").alias("beside")
    none = F.lit(None).cast("double").alias("similarity")
    return shared.select("example_id", beside, none, "shared")


def _near_duplicates(store: Store, rows: DataFrame, select: Select) -> DataFrame | None:
    """The worse one of each pair of examples that are alike; without a score is worst.

    How like a target examples are is measured after this: there the smaller id stays.
    """
    if select.near_duplicates is None:
        return None
    threshold = float(select.near_duplicates.removeprefix("text="))
    text = F.concat_ws("\n", "prompt", "response").alias("text")
    texts = store.read("examples").select("example_id", text)
    # What is below the floor does not count.
    chosen_from = eligible(rows, select).select("example_id")
    pairs = similar_pairs(texts.join(chosen_from, "example_id"), threshold)
    badness = F.lit(0.0) if select.target is not None else _badness(select)
    places = rows.select("example_id", badness.alias("place"))
    for side in ("first", "second"):
        named = places.withColumnsRenamed({"example_id": side, "place": f"place_{side}"})
        pairs = pairs.join(named, side)
    is_first_better = _order("first") < _order("second")
    worse, better = F.col("second"), F.col("first")
    return pairs.select(
        F.when(is_first_better, worse).otherwise(better).alias("example_id"),
        F.when(is_first_better, better).otherwise(worse).alias("beside"),
        "similarity",
        F.lit(None).cast("string").alias("shared"),
    )


def _order(side: str) -> Column:
    """What the better one of a pair has less of: badness, then the id."""
    return F.struct(F.col(f"place_{side}").alias("place"), F.col(side).alias("id"))


def _badness(select: Select) -> Column:
    """A number that is lower for a better example, infinite without a score."""
    score = score_column(select)
    signed = -score if STRATEGIES[select.strategy].highest else score
    return F.coalesce(signed, F.lit(float("inf")))


def _sentence(store: Store, mine: DataFrame, why: str, select: Select, words: int) -> str:
    count = mine.select("example_id").distinct().count()
    where = f"{store.sql_name('left_out')} says which and why"
    if why == "near_duplicate":
        return (
            f"{count:,} examples are left out: their text is nearly that of a better one "
            f"({select.near_duplicates}); {where}"
        )
    by_set = mine.groupBy("beside").count().orderBy("beside").collect()
    named = ", ".join(f"{row['count']:,} with {row.beside}" for row in by_set)
    first = mine.orderBy("beside", "example_id").first()
    shown = f', such as "{first.shared[:_SHOWN]}"' if first else ""
    return (
        f"{count:,} examples are left out: {words} words in a row, or a short "
        f"prompt, are also in the evaluation data ({named or 'none'}){shown}; {where}"
    )
