"""The table `subsets`: which examples a subset has, in which order, and how they were chosen."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame

from instructmining.store.tables import Store


@dataclass(frozen=True)
class Members:
    """One subset.

    Attributes:
        subset: hash of the ids, whatever their order.
        recipe: JSON that decides the choice.
        ids: the best first.
    """

    subset: str
    recipe: str
    ids: Sequence[str]


def store_subsets(store: Store, subsets: Iterable[Members], run_id: str) -> int:
    """Write the subsets that the store does not have: equal ids are one, whatever chose them.

    Returns:
        How many rows were added.

    Raises:
        UserError: other writers were first, every time.
    """
    once = {subset.subset: subset for subset in subsets if subset.ids}
    rows = [
        pa.table(
            {
                "subset": [subset.subset] * len(subset.ids),
                "recipe": [subset.recipe] * len(subset.ids),
                "rank": pa.array(range(1, len(subset.ids) + 1), pa.int64()),
                "example_id": pa.array(subset.ids, pa.string()),
                "run_id": [run_id] * len(subset.ids),
            }
        )
        for subset in once.values()
    ]
    if not rows:
        return 0
    wanted = store.spark.createDataFrame(pa.concat_tables(rows))

    def missing() -> DataFrame:
        known = store.read("subsets").select("subset").distinct()
        return wanted.join(known, "subset", "left_anti")

    return store.insert(missing, "subsets", f"{run_id}/subsets", {"run_id": run_id})
