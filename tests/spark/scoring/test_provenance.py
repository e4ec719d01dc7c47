"""A store that was measured elsewhere: the same numbers are admitted, others are refused."""

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from jobs.scoring.run import run

LIST = "name: only_mtld\nmtld: {kind: mtld, indicators: [mtld]}\n"


@pytest.fixture
def measured(spark: SparkSession, tmp_path: Path) -> tuple[Store, Settings]:
    texts = [" ".join(f"word{(i * j) % 11}" for j in range(30)) for i in range(12)]
    rows = [{"instruction": f"Ask {i}", "output": text} for i, text in enumerate(texts)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows[:8])))
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "list.yml").write_text(LIST)
    settings = load_settings(
        options={
            "input": (str(tmp_path / "data.jsonl"),),
            "store": str(tmp_path / "store"),
            "models": str(tmp_path / "list.yml"),
            "stages": ("ingest", "mtld"),
            "tracking": {"uri": "none"},
        }
    )
    run(spark, settings)
    more = settings.model_copy(update={"input": (str(tmp_path / "more.jsonl"),)})
    return Store.open(spark, settings.store), more


def elsewhere(store: Store) -> None:
    """As if the stored numbers came from another machine."""
    store.spark.sql(
        f'UPDATE {store.sql_name("fingerprints")} SET provenance = \'{{"torch": "1"}}\''
    )


def test_equal_numbers_are_admitted_and_the_new_way_is_recorded(
    spark: SparkSession, measured: tuple[Store, Settings]
) -> None:
    store, more = measured
    elsewhere(store)
    assert run(spark, more).measured_rows == 4
    recorded = {row.provenance for row in store.read("fingerprints").collect()}
    assert len(recorded) == 2
    assert any('"lexicalrichness"' in each for each in recorded)


def test_other_numbers_are_refused_with_the_remedy(
    spark: SparkSession, measured: tuple[Store, Settings]
) -> None:
    store, more = measured
    elsewhere(store)
    changed = store.read("stage_values").withColumn(
        "values", F.transform_values("values", lambda _, value: value * 1.5)
    )
    changed.write.format("delta").mode("overwrite").save(store.location("stage_values"))
    with pytest.raises(UserError, match="gives other numbers here than those in stage_values"):
        run(spark, more)
    assert store.read("stage_values").count() == 8


def test_a_known_way_is_not_checked_again(
    spark: SparkSession, measured: tuple[Store, Settings]
) -> None:
    store, more = measured
    run(spark, more)
    assert store.read("fingerprints").count() == 1
