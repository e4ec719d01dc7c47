"""A store that was measured elsewhere: the same numbers are admitted, others are refused."""

import json
from pathlib import Path

import pytest
import tiny_models
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from jobs.scoring.provenance import tolerance
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


def elsewhere(store: Store, **provenance: str) -> None:
    """As if the stored numbers came from another machine."""
    found = json.dumps(provenance or {"torch": "1"})
    store.spark.sql(f"UPDATE {store.sql_name('fingerprints')} SET provenance = '{found}'")


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


@pytest.mark.parametrize(
    ("dtypes", "values", "vector"),
    [
        (("float32", "float32"), 1e-3, 1e-4),
        (("float64", "float64"), 1e-3, 1e-4),
        (("bfloat16", "float32"), 0.08, 2e-3),
        (("float32", "bfloat16"), 0.08, 2e-3),
        (("bfloat16", "bfloat16"), 0.08, 2e-3),
    ],
)
def test_only_numbers_of_bfloat16_may_differ_by_percents(dtypes, values, vector) -> None:
    assert tolerance("values", dtypes) == values
    assert tolerance("vector", dtypes) == vector


def test_a_drift_of_one_percent_is_refused_in_float32_and_admitted_from_bfloat16(
    spark: SparkSession, tmp_path: Path
) -> None:
    model = f"{{kind: causal_lm, template: tags, source: {tiny_models.llama(tmp_path / 'llama')}"
    (tmp_path / "list.yml").write_text(
        f"name: one\nperplexity: {model}, indicators: [perplexity]}}\n"
    )
    rows = [{"instruction": f"Ask {i}", "output": f"It is {i}, сказал он."} for i in range(6)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows[:4])))
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def scored(file: str) -> int:
        return run(
            spark,
            load_settings(
                options={
                    "input": (str(tmp_path / file),),
                    "store": str(tmp_path / "store"),
                    "models": str(tmp_path / "list.yml"),
                    "stages": ("ingest", "perplexity"),
                    "measure": {"dtype": "float32", "device": "cpu"},
                    "tracking": {"uri": "none"},
                }
            ),
        ).measured_rows

    assert scored("data.jsonl") == 4
    store = Store.open(spark, str(tmp_path / "store"))
    drifted = store.read("stage_values").withColumn(
        "values", F.transform_values("values", lambda _, value: value * 1.01)
    )
    drifted.write.format("delta").mode("overwrite").save(store.location("stage_values"))
    elsewhere(store, dtype="float32", torch="1.0")
    with pytest.raises(UserError, match=r"on 4 rows, allowed 0\.001\)"):
        scored("more.jsonl")
    assert store.read("stage_values").count() == 4
    elsewhere(store, dtype="bfloat16", torch="1.0")
    assert scored("more.jsonl") == 2
