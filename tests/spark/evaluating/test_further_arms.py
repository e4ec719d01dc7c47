"""The arms `best_single` and `target`: what they choose from, and that a run has them."""

from pathlib import Path

import pytest
from planted_pool import example, settings, write
from pyspark.sql import SparkSession

from instructmining.finetunes.evaluation_sets import EvaluationSet
from instructmining.rules.rule import LinearRule
from instructmining.store.tables import Store
from jobs.evaluating.further_arms import ordered_by, shared, strongest_term
from jobs.evaluating.run import run

RULE = LinearRule(
    name="two",
    version="1",
    intercept=1.0,
    coefficients={"reward": -1.0, "output_length": 0.1},
    models={},
    provenance={},
)


@pytest.mark.parametrize(
    ("lengths", "term"), [((1.0, 2.0, 3.0), "reward"), ((10.0, 90.0, 50.0), "output_length")]
)
def test_the_strongest_term_varies_most_in_the_pool_times_its_coefficient(
    spark: SparkSession, lengths: tuple[float, ...], term: str
) -> None:
    rewards = (0.0, 1.0, -1.0)
    values = [
        (str(place), reward, length, 0.0)
        for place, (reward, length) in enumerate(zip(rewards, lengths, strict=True))
    ]
    values += [("null", None, None, 0.0), ("nan", float("nan"), float("nan"), 0.0)]
    rows = spark.createDataFrame(
        values,
        "example_id STRING, reward DOUBLE, output_length DOUBLE, predicted_log_loss DOUBLE",
    )
    assert strongest_term(rows, RULE) == term
    alone = ordered_by(rows, RULE, term).where("predicted_log_loss IS NOT NULL")
    alone = alone.where("NOT isnan(predicted_log_loss)").orderBy("predicted_log_loss")
    order = {"reward": ["1", "0", "2"], "output_length": ["0", "2", "1"]}[term]
    assert [row.example_id for row in alone.collect()] == order


def test_a_target_that_is_measured_on_is_told() -> None:
    def data(name: str, *ids: str) -> EvaluationSet:
        return EvaluationSet(name, (), ids, 0)

    [said] = shared(data("mine", "a", "b", "c"), [data("one", "b", "c", "d"), data("two", "e")])
    assert said.startswith("2 examples of the target are in the evaluation set one")


@pytest.mark.slow
def test_best_single_and_target_are_arms_of_an_evaluation(
    spark: SparkSession, folder: Path
) -> None:
    import random

    drawn = random.Random(5)
    wanted = write(folder / "wanted.jsonl", [example(drawn, True) for _ in range(10)])
    given = settings(
        folder,
        evaluate={
            "evaluation": (f"asked={folder}/asked.jsonl",),
            "top": 8,
            "seeds": 2,
            "also": ("best_single", "target"),
        },
        judge={"kind": "none"},
        select={"target": wanted},
    )
    found = run(spark, given)
    counts = found.outcomes.groupby("arm")["seed"].count()
    assert (counts["best_single"], counts["target"]) == (2, 2)
    rivals = set(found.differences.loc[found.differences["arm"] == "selected", "rival"])
    assert {"best_single", "target"} <= rivals
    assert "the arm best_single goes by reward alone" in found.page
    assert "the arms best_single and selected have the same examples" in found.page  # one term
    assert "10 examples, round-robin" in found.page
    store = Store.open(spark, str(folder / "store"))
    arms = store.read("arms").where("arm = 'target'")
    [recipe] = {row.recipe for row in arms.collect()}
    assert '"strategy":"target"' in recipe
