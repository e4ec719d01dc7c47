"""Predicted indicators put where nothing was measured, and named in a column."""

from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.store.distributions import quoted
from instructmining.store.tables import Store

MARK = "predicted_indicators"


def with_predictions(
    store: Store,
    indicators: DataFrame,
    pool: str,
    cascades: Mapping[str, str],
    names: Sequence[str],
) -> DataFrame:
    """Fill in what cascades predict, and say in `predicted_indicators` which values those are.

    Args:
        store: has the table `predictions`.
        indicators: `example_id` and columns of indicators.
        pool: its name.
        cascades: stage to fingerprint; of each no other predictions are taken.
        names: indicators of these stages.
    """
    if not cascades:
        return indicators.withColumn(MARK, F.lit(None).cast("array<string>"))
    rows = store.read("predictions").where(
        (F.col("pool") == pool) & F.col("fingerprint").isin(list(cascades.values()))
    )
    wide = rows.groupBy("example_id").agg(
        *(
            F.max(F.when(F.col("indicator") == name, F.col("predicted"))).alias(f"guess_{i}")
            for i, name in enumerate(names)
        )
    )
    marks = F.array(
        *(
            F.when(quoted(name).isNull() & F.col(f"guess_{i}").isNotNull(), F.lit(name))
            for i, name in enumerate(names)
        )
    )
    marked = F.array_compact(marks)
    joined = indicators.join(wide, "example_id", "left")
    joined = joined.withColumn(MARK, F.when(F.size(marked) > 0, marked))
    filled = {name: F.coalesce(quoted(name), F.col(f"guess_{i}")) for i, name in enumerate(names)}
    return joined.withColumns(filled).drop(*(f"guess_{i}" for i in range(len(names))))
