"""What texts say of themselves is computed once for each example, and again where that changes."""

import json
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.features.names import LANGUAGES
from instructmining.settings.loading import load_settings
from instructmining.store.tables import Store
from jobs.scoring.run import run as score
from jobs.selecting import text_features
from jobs.selecting.text_features import (
    TABLE,
    languages_of,
    store_text_features,
    with_text_features,
)
from udfs.texts.language import language_of

ROWS = [
    ("Name two large rivers of Europe, and the seas that they flow into.", "N/A"),
    ("Wie heißt die Hauptstadt der Steiermark, und an welchem Fluss liegt sie?", "Graz, Mur."),
    ("東京の川の名前を教えてください。", "隅田川です。東京を流れています。"),
]
LATER = ("What is the largest lake of Africa, and which countries share it?", "Lake Victoria.")


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> Store:
    return read_into(Store.open(spark, str(tmp_path / "store")), tmp_path, "first", ROWS)


def read_into(store: Store, folder: Path, name: str, rows: list[tuple[str, str]]) -> Store:
    data = folder / f"{name}.jsonl"
    lines = [json.dumps({"instruction": asked, "output": said}) for asked, said in rows]
    data.write_text("\n".join(lines), encoding="utf-8")
    given = {"store": store.target, "input": (str(data),), "tracking": {"uri": "none"}}
    score(store.spark, load_settings(options={**given, "stages": ("ingest",)}))
    return store


def ids(store: Store) -> DataFrame:
    return store.read("examples").select("example_id")


def test_features_are_stored_once_for_each_example(store: Store, tmp_path: Path) -> None:
    assert store_text_features(store, ids(store), "first") == len(ROWS)
    at = store.version(TABLE)
    assert store_text_features(store, ids(store), "again") == 0
    assert store.version(TABLE) == at

    read_into(store, tmp_path, "later", [LATER])
    unknown = with_text_features(store, ids(store)).where("response_characters IS NULL")
    assert unknown.count() == 1
    assert store_text_features(store, ids(store), "later") == 1
    runs = store.read(TABLE).groupBy("run_id").count().collect()
    assert {row.run_id: row["count"] for row in runs} == {"first": len(ROWS), "later": 1}


def test_languages_are_read_where_they_are_stored_and_told_elsewhere(
    store: Store, tmp_path: Path
) -> None:
    store_text_features(store, ids(store), "first")
    stored = f"UPDATE {store.sql_name(TABLE)} SET prompt_language = 'as stored'"
    store.spark.sql(f"{stored} WHERE prompt_language = 'de'")
    read_into(store, tmp_path, "later", [LATER])
    at = store.version(TABLE)
    found = languages_of(store, ids(store), "prompt_language").collect()
    assert sorted(row.prompt_language for row in found) == ["as stored", "en", "en", "ja"]
    one = ids(store).where(F.col("example_id") == found[0].example_id)
    assert [row.example_id for row in languages_of(store, one, "prompt_language").collect()] == [
        found[0].example_id
    ]
    assert store.version(TABLE) == at


def test_what_is_stored_is_what_the_texts_say(store: Store) -> None:
    store_text_features(store, ids(store), "first")
    texts = store.read("examples").select("example_id", "prompt", "response")
    rows = with_text_features(store, texts).collect()
    assert {(row.prompt, row.response) for row in rows} == set(ROWS)
    for row in rows:
        assert row.response_characters == len(row.response)
        assert row.placeholder == (row.response == "N/A")
        told = [language_of(row[name.removesuffix("_language")]) for name in LANGUAGES]
        assert [row[name] for name in LANGUAGES] == told
    assert {row.prompt_language for row in rows} == {"en", "de", "ja"}


def test_another_definition_is_computed_again_and_read_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_text_features(store, ids(store), "first")
    monkeypatch.setattr(text_features, "_FEATURES", text_features._FEATURES + 1)
    assert with_text_features(store, ids(store)).where("echo IS NULL").count() == len(ROWS)
    assert store_text_features(store, ids(store), "second") == len(ROWS)
    assert with_text_features(store, ids(store)).where("echo IS NOT NULL").count() == len(ROWS)
    assert store.read(TABLE).count() == 2 * len(ROWS)
