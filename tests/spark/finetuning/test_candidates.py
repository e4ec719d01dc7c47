"""Which rows a design draws from, and bins of the columns it may show."""

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from instructmining.store.distributions import BINS, histograms
from jobs.finetuning import candidates
from jobs.finetuning.candidates import gather


def test_of_an_example_in_several_pools_the_same_seed_draws_the_same_row(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows_of(store: object, pool: str, measured: object, several: bool) -> DataFrame:
        rows = [(f"{i:032x}", pool, float(len(pool))) for i in range(12)]
        return spark.createDataFrame(rows, "example_id STRING, source STRING, knn_6 DOUBLE")

    monkeypatch.setattr(candidates, "_pool_rows", rows_of)
    one, other = (
        gather(None, pools, None, 8, 0, (), (), False).rows
        for pools in (("a", "long"), ("long", "a"))
    )
    assert len(one)
    assert one.to_dict() == other.to_dict()


@pytest.mark.parametrize("value", [3e5, -3e5, 0.0])
def test_a_column_of_one_value_has_bins_of_some_width(spark: SparkSession, value: float) -> None:
    rows = spark.createDataFrame([(value,)] * 5 + [(None,)], "length DOUBLE")
    edges, counts, missing = histograms(rows, ["length"])["length"]
    assert np.diff(edges).min() > 0
    assert len(counts) == BINS
    assert (counts.sum(), missing) == (5, 1)
