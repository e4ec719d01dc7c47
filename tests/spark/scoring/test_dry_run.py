"""A dry run says what a run would cost, and writes nothing."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from jobs.scoring.dry_run import run

LIST = "name: only_mtld\nmtld: {kind: mtld, indicators: [mtld]}\n"


def test_it_counts_what_is_missing_and_leaves_no_trace(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"instruction": f"Ask {i}", "output": "word " * (i % 40 + 1)} for i in range(200)]
    lines = [*map(json.dumps, rows), json.dumps(rows[0]), "{broken"]
    (tmp_path / "data.jsonl").write_text("\n".join(lines))
    (tmp_path / "list.yml").write_text(LIST)
    store = tmp_path / "store"
    costs = run(
        spark,
        load_settings(
            options={
                "input": (str(tmp_path / "data.jsonl"),),
                "store": str(store),
                "dry_run": True,
                "models": str(tmp_path / "list.yml"),
            }
        ),
    )
    assert [(cost.stage, cost.missing) for cost in costs] == [("mtld", 200)]
    assert costs[0].seconds > 0
    shown = capsys.readouterr().out
    assert "rows read 202 = to score 200 + copies 1 + to quarantine 1" in shown
    assert "spark.master = local" in shown
    assert not store.exists()


def test_an_input_without_a_usable_record_is_a_clear_mistake(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / "data.jsonl").write_text("{broken\n")
    with pytest.raises(UserError, match="no usable record"):
        run(spark, load_settings(options={"input": (str(tmp_path / "data.jsonl"),)}))
