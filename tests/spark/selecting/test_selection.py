"""Which examples are picked, against the same choice in pandas."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.selecting.selection import STRATEGIES, pick
from instructmining.settings.learning import Select

SOURCES = ("/data/alpaca.jsonl", "/data/日本語.jsonl", "table.of.chats")
ASCENDING = {"rule": True, "lowest_perplexity": True}


@pytest.fixture(scope="module")
def pool() -> pd.DataFrame:
    """400 rows with ties, nulls and NaN in every indicator."""
    random = np.random.default_rng(11)
    rows = pd.DataFrame(
        {
            "example_id": [f"{value:032x}" for value in random.permutation(400) * 7919],
            "source": [SOURCES[place] for place in random.choice(3, 400, p=[0.6, 0.3, 0.1])],
            "input_length": random.integers(1, 60, 400).astype(float),
            "output_length": random.integers(1, 90, 400).astype(float),
            "reward": random.normal(size=400).round(1),
            "perplexity": random.lognormal(3, 1, 400).round(0),
            "ifd": random.uniform(0.2, 1.4, 400).round(2),
            "target_similarity": random.uniform(-1, 1, 400).round(2),
            "predicted_log_loss": random.normal(0, 0.3, 400).round(2),
            "quality": random.uniform(0, 100, 400).round(0),
        }
    )
    rows["percentile"] = (rows.predicted_log_loss.rank(method="min") - 1) / 4
    for place, name in enumerate(("output_length", "reward", "perplexity", "ifd")):
        rows.loc[place * 9 : place * 9 + 5, name] = None
    rows.loc[40:60, ["predicted_log_loss", "percentile"]] = None
    return rows


@pytest.fixture(scope="module")
def rows(spark: SparkSession, pool: pd.DataFrame) -> DataFrame:
    texts = ("example_id", "source")
    schema = ", ".join(f"{name} {'STRING' if name in texts else 'DOUBLE'}" for name in pool.columns)
    frame = spark.createDataFrame(pool.astype(object).where(pool.notna(), None), schema)
    return frame.localCheckpoint()


def ids(rows: DataFrame, **select: object) -> list[str]:
    found = pick(rows, Select(**select)).orderBy("rank").collect()
    assert [row["rank"] for row in found] == list(range(1, len(found) + 1))
    return [row.example_id for row in found]


def ordered(pool: pd.DataFrame, strategy: str = "rule") -> pd.DataFrame:
    """The pool as the strategy orders it, without what it cannot choose."""
    column = STRATEGIES[strategy].column
    known = pool[pool[column].notna()]
    known = known[known.ifd < 1] if strategy == "ifd" else known
    return known.sort_values([column, "example_id"], ascending=[strategy in ASCENDING, True])


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "random"])
def test_a_strategy_takes_its_best_and_resolves_ties_by_id(
    rows: DataFrame, pool: pd.DataFrame, strategy: str
) -> None:
    best = ordered(pool, strategy).head(60)
    found = pick(rows, Select(strategy=strategy, top=60)).orderBy("rank").toPandas()
    assert found.example_id.tolist() == best.example_id.tolist()
    assert found.score.tolist() == best[STRATEGIES[strategy].column].tolist()
    assert best[STRATEGIES[strategy].column].duplicated().any()


def test_rows_without_a_score_are_never_picked_however_many_are_asked_for(
    rows: DataFrame, pool: pd.DataFrame
) -> None:
    assert ids(rows, top=1000) == ordered(pool).example_id.tolist()
    assert len(ids(rows, strategy="longest", top=1000)) == 400 - 6


def test_nan_counts_as_null(spark: SparkSession) -> None:
    given = [("a", math.nan, 1.0), ("b", 2.0, math.nan), ("c", None, None), ("d", 3.0, 4.0)]
    frame = spark.createDataFrame(given, "example_id STRING, predicted_log_loss DOUBLE, ifd DOUBLE")
    assert ids(frame, top=9) == ["b", "d"]
    assert (
        ids(
            frame,
            strategy="ifd",
            top=9,
        )
        == []
    )


def test_the_choice_does_not_depend_on_the_partitions(rows: DataFrame) -> None:
    for select in (
        {"top": 50},
        {"tokens": 2000},
        {"strategy": "random", "top": 50},
        {"per_source": 9},
    ):
        assert ids(rows.repartition(7, "reward"), **select) == ids(rows.coalesce(1), **select)


def test_random_is_another_choice_with_another_seed_and_spreads_over_the_pool(
    rows: DataFrame, pool: pd.DataFrame
) -> None:
    first, again, other = (ids(rows, strategy="random", top=200, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert 70 < len(set(first) & set(other)) < 130  # 100 by chance
    chosen = pool[pool.example_id.isin(first)]
    assert chosen.predicted_log_loss.mean() == pytest.approx(0, abs=0.1)
    scores = pick(rows, Select(strategy="random", top=400)).toPandas().score
    assert scores.between(0, 1, inclusive="left").all()
    assert scores.mean() == pytest.approx(0.5, abs=0.06)


def test_a_fraction_is_of_the_whole_pool(rows: DataFrame) -> None:
    assert len(ids(rows, fraction=0.29)) == 116
    assert len(ids(rows, fraction=1.0)) == 400 - 21


@pytest.mark.parametrize("budget", [1, 500, 5_000, 10**9])
def test_a_token_budget_takes_the_best_up_to_the_first_that_exceeds_it(
    rows: DataFrame, pool: pd.DataFrame, budget: int
) -> None:
    best = ordered(pool)
    best = best[best.output_length.notna()]  # what has no length cannot be counted
    reached = (best.input_length + best.output_length).cumsum()
    assert ids(rows, tokens=budget) == best[reached <= budget].example_id.tolist()


def test_a_token_budget_among_equal_scores_is_resolved_by_id(
    rows: DataFrame, pool: pd.DataFrame
) -> None:
    flat = rows.selectExpr("* EXCEPT (predicted_log_loss)", "0.5D AS predicted_log_loss")
    known = pool[pool.output_length.notna()].sort_values("example_id")
    reached = (known.input_length + known.output_length).cumsum()
    assert ids(flat, tokens=3000) == known[reached <= 3000].example_id.tolist()


def test_thresholds_are_the_worst_score_to_take(rows: DataFrame, pool: pd.DataFrame) -> None:
    best = ordered(pool)
    assert ids(rows, threshold=-0.2) == best[best.predicted_log_loss <= -0.2].example_id.tolist()
    best = ordered(pool, "highest_reward")
    found = ids(rows, strategy="highest_reward", threshold=0.5)
    assert found == best[best.reward >= 0.5].example_id.tolist()


def test_a_percentile_is_that_of_the_stored_scores(rows: DataFrame, pool: pd.DataFrame) -> None:
    best = ordered(pool)
    assert ids(rows, percentile=10) == best[best.percentile < 10].example_id.tolist()


def test_per_source_gives_each_source_its_best(rows: DataFrame, pool: pd.DataFrame) -> None:
    best = ordered(pool).groupby("source").head(25)
    assert ids(rows, per_source=25) == best.example_id.tolist()
    assert ids(rows, per_source=25, top=30) == best.head(30).example_id.tolist()


def test_quotas_are_counts_or_shares_and_the_first_pattern_counts(
    rows: DataFrame, pool: pd.DataFrame
) -> None:
    source = pool.set_index("example_id").source
    found = source[ids(rows, quota={"日本*": 5, "alpaca": 7})].value_counts()
    assert found.to_dict() == {SOURCES[0]: 7, SOURCES[1]: 5}  # the third has no quota: left out
    found = source[ids(rows, top=100, quota={"alpaca.*": 0.3, "/data/*": 0.2, "*": 0.5})]
    assert found.value_counts().to_dict() == {
        SOURCES[0]: 30,
        SOURCES[1]: 20,
        SOURCES[2]: (pool.source == SOURCES[2]).sum()
        - pool[(pool.source == SOURCES[2]) & pool.predicted_log_loss.isna()].shape[0],
    }
    found = source[ids(rows, top=100, quota={"alpaca": 10})].value_counts()
    assert (found[SOURCES[0]], found.sum()) == (10, 100)  # the others fill the size
    nothing = rows.withColumn("predicted_log_loss", F.lit(None).cast("double"))
    assert ids(nothing, top=100, quota={"alpaca": 10}) == []  # `select` says what is missing


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ({}, "how many? give one of --top, --fraction, --tokens"),
        ({"top": 1, "tokens": 1}, "--top and --tokens: give one size only"),
        ({"strategy": "longest", "percentile": 5}, "with --strategy longest use --fraction"),
        ({"quota": {"dolly*": 5}}, "no source of the pool matches; there are /data/alpaca.jsonl"),
        ({"quota": {"alpaca": 0.5}}, "a share of the selection: give its size"),
        ({"top": 9, "quota": {"alpaca": 1.5}}, "give a whole number, or a share below 1"),
        ({"top": 9, "quota": {"alpaca": math.nan}}, "--quota alpaca=nan: give a whole number"),
        ({"quota": {"alpaca": math.inf}}, "--quota alpaca=inf: give a whole number"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    rows: DataFrame, select: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        pick(rows, Select(**select))


def test_an_indicator_that_is_not_there_is_named(rows: DataFrame) -> None:
    with pytest.raises(UserError, match="highest_reward needs reward"):
        pick(rows.drop("reward"), Select(strategy="highest_reward", top=3))


@pytest.mark.parametrize(
    "select",
    [
        {"top": 9},
        {"tokens": 900},
        {"per_source": 3, "top": 5},
        {"quota": {"alpaca": 3}},
        {"percentile": 20},
    ],
)
def test_no_window_goes_over_the_whole_pool(rows: DataFrame, select: dict[str, object]) -> None:
    plan = pick(rows, Select(**select))._jdf.queryExecution().executedPlan().toString()
    windows = re.findall(r"Window \[.*?\], \[(.*?)\]", plan)
    assert all(re.match(r"(source|band|CASE|_w)", partition) for partition in windows), plan
    assert len(windows) == ("tokens" in select or "quota" in select or "per_source" in select)
    # One task numbers what is chosen; only the chosen rows may pass through one.
    assert plan.count("SinglePartition") <= 1
