"""`evaluate --rates` through the command, which finetunes the embedded language model."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.store.tables import Store
from jobs.cli import main

pytestmark = pytest.mark.slow


def test_the_winner_and_random_are_measured_at_three_rates_and_nothing_twice(
    spark: SparkSession, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (
        "evaluate",
        f"--store={folder / 'store'}",
        f"--models={folder / 'tiny.yml'}",
        f"--rule={folder / 'rule.json'}",
        f"--eval=asked={folder / 'asked.jsonl'}",
        "--base=embedded:lm",
        "--top=8",
        "--seeds=2",
        "--epochs=1",
        "--floor=off",
        "--dtype=float32",
        "--judge=none",
        "--rates=0.5,2",
        "--tracking-uri=none",
    )
    main(command)
    page = capsys.readouterr().out
    plan, _, rest = page.partition("asked: ")
    assert "0.5, 1, 2 times 0.0003, for random and the best of the other arms" in plan
    assert "the other learning rates add 8 at most" in plan
    assert "## At other learning rates" in rest
    assert "with each at its best rate (" in rest
    assert "the rates were chosen on 4 other prompts" in rest

    store = Store.open(spark, str(folder / "store"))
    arms = store.read("arms").where(F.col("arm").contains(" times the rate"))
    runs = store.read("finetuning_runs").select("run_key", F.col("recipe").alias("how"))
    rates = {
        (row.arm.split(" at ")[1], json.loads(row.how)["rate"])
        for row in arms.join(runs, "run_key").collect()
    }
    assert rates == {("0.5 times the rate", 0.00015), ("2 times the rate", 0.0006)}
    compared = store.read("comparisons").where(F.col("rival").startswith("random at "))
    assert sorted(row.rival for row in compared.collect()) == [
        "random at 0.5 times the rate",
        "random at 1 times the rate",
        "random at 2 times the rate",
        "random at its best rate",
    ]
    finetuned = store.version("finetuning_runs")
    main(command)
    assert "finetunes 0 run, " in capsys.readouterr().out
    assert store.version("finetuning_runs") == finetuned
