"""Examples to draw subsets from: scored, complete, and never those an evaluation would know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.cascading.filled import MARK
from instructmining.errors import UserError
from instructmining.identity import half
from instructmining.scoring.scores import Measured, with_indicators
from instructmining.spark.frames import small_frame
from instructmining.spoiling.spoiled_copies import copy_of, is_copy, needed_for
from instructmining.store.current import current_occurrences, wanted_occurrences
from instructmining.store.tables import Store
from udfs.on_spark.arrow import vectors
from udfs.running.measurement import Conversation


@dataclass(frozen=True)
class Candidates:
    """Rows a design draws from.

    Attributes:
        rows: `example_id`, `source` and the indicators, none missing, ordered by id; spoiled copies
            come after the real ones.
        indicators: those that are measured on enough rows.
        sentences: what was left out and why.
    """

    rows: pd.DataFrame
    indicators: list[str]
    sentences: list[str]

    @property
    def real(self) -> pd.DataFrame:
        """The rows that nobody spoiled."""
        return self.rows[~self.rows["example_id"].map(is_copy).astype(bool)]


def gather(
    store: Store,
    pools: Sequence[str],
    measured: Measured,
    most: int,
    seed: int,
    wanted: Sequence[str],
    held_out: Sequence[str],
    trained_on_half: bool,
) -> Candidates:
    """The candidates of one pool or several.

    Args:
        store: where the pools are scored.
        pools: names; with several the pool is the source, else the file it came from.
        measured: which models' numbers.
        most: rows; of more a sample by hash is taken.
        seed: of the sample.
        wanted: indicators; none for all that at least nine rows in ten have.
        held_out: example ids of the evaluation sets.
        trained_on_half: leave out half 0, which the embedded models have seen.

    Raises:
        UserError: a pool is empty, or an indicator was not measured.
    """
    frames = [_pool_rows(store, pool, measured, len(pools) > 1) for pool in pools]
    rows = frames[0]
    for frame in frames[1:]:
        rows = rows.unionByName(frame)
    # By source too: of an example in several pools, the same seed draws the row of the same pool.
    ordered = rows.orderBy(F.xxhash64("example_id", F.lit(seed)), "example_id", "source")
    drawn = ordered.limit(2 * most if trained_on_half else most).toPandas()
    if not len(drawn):
        raise UserError(f"pools {', '.join(pools)} are empty: run `instructmining score` first")
    said = []
    drawn = drawn.drop_duplicates("example_id")
    if trained_on_half:
        seen = drawn["example_id"].map(half) == 0
        if seen.any():
            said.append(
                f"{seen.sum():,} examples are left out: of half 0, which the embedded "
                "models were trained on"
            )
        drawn = drawn[~seen]
    known = drawn["example_id"].isin(set(held_out))
    if known.any():
        said.append(f"{known.sum():,} examples are left out: they are in an evaluation set")
    drawn = drawn[~known].head(most)
    indicators = _usable(drawn, wanted)
    complete = drawn[indicators].notna().all(axis=1)
    if not complete.all():
        said.append(f"{(~complete).sum():,} examples are left out: an indicator is missing")
    complete_rows = drawn.loc[complete, ["example_id", "source", *indicators]].sort_values(
        "example_id"
    )
    return Candidates(complete_rows.reset_index(drop=True), indicators, said)


def texts_of(store: Store, ids: Sequence[str]) -> Mapping[str, Conversation]:
    """The conversations of these examples; of spoiled copies, made again from the real ones."""
    stored = sorted({one for i in ids for one in needed_for(i)})
    wanted = small_frame(store.spark, [(i,) for i in stored], "example_id STRING")
    rows = store.read("examples").join(wanted, "example_id", "left_semi")
    texts = {
        row.example_id: [{"role": m.role, "content": m.content} for m in row.messages]
        for row in rows.select("example_id", "messages").toLocalIterator()
    }
    made = {i: copy_of(i, texts) if is_copy(i) else texts.get(i) for i in ids}
    return {i: turns for i, turns in made.items() if turns is not None}


def vectors_of(
    store: Store, ids: Sequence[str], fingerprint: str
) -> dict[str, NDArray[np.float32]]:
    """The stored sentence vectors of these examples; one that has none is left out."""
    wanted = small_frame(store.spark, [(i,) for i in ids], "example_id STRING")
    rows = store.read("embeddings").where(
        (F.col("fingerprint") == fingerprint) & F.col("vector").isNotNull()
    )
    stored = rows.join(wanted, "example_id", "left_semi").select("example_id", "vector").toArrow()
    if not stored.num_rows:
        return {}
    return dict(zip(stored["example_id"].to_pylist(), vectors(stored["vector"]), strict=True))


def _pool_rows(store: Store, pool: str, measured: Measured, several: bool) -> DataFrame:
    place = [measured.knn.neighbors]
    occurrences = wanted_occurrences(current_occurrences(store, pool))
    members = occurrences.select("example_id").distinct()
    rows = with_indicators(store, members, pool, measured, place)
    rows = rows.drop(MARK, *(name for name in rows.columns if name.startswith("reason_")))
    if several:
        return rows.withColumn("source", F.lit(pool))
    files = occurrences.groupBy("example_id").agg(F.min("source").alias("source"))
    return rows.join(files, "example_id")


def _usable(rows: pd.DataFrame, wanted: Sequence[str]) -> list[str]:
    measured = rows.drop(columns=["example_id", "source"]).notna().mean()
    if absent := [name for name in wanted if measured.get(name, 0.0) == 0.0]:
        raise UserError(
            f"indicator {absent[0]} is not measured in these pools; known: "
            f"{', '.join(measured[measured > 0].index)}"
        )
    return list(wanted) or [str(name) for name in measured.index if measured[name] >= 0.9]
