"""Numbers that others computed become indicators: out of columns, and out of other files."""

import json
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from jobs.importing.run import run as import_scores
from jobs.scoring.run import run as score

pytestmark = pytest.mark.slow

ROWS = [
    {"id": "a", "prompt": "Grüße", "response": "日本 a", "meta": {"oda": 1.5}},
    {"id": "b", "prompt": "q", "response": "one answer", "meta": {"oda": "2"}},
    {"id": "b2", "prompt": "q", "response": "one answer", "meta": {"oda": 4}},  # a copy of b
    {"id": "c", "prompt": "q", "response": "two answers", "meta": {"oda": "NaN"}},
    {"id": "d", "prompt": "q", "response": "three", "meta": {"oda": None}},
]
STATS = [
    {"key": "a", "__dj__stats__": {"text_len": 7}},
    {"key": "b", "__dj__stats__": {"text_len": 9.5}},
    {"key": "c", "__dj__stats__": {"text_len": "long"}},
    {"key": "of nobody", "__dj__stats__": {"text_len": 1}},
]
ODA, DJ = {"oda": "meta.oda"}, {"dj_length": "__dj__stats__.text_len"}


def lines(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return str(path)


def settings(folder: Path, **options: object) -> Settings:
    base = {
        "store": str(folder / "store"),
        "tracking": {"uri": "none"},
        "rule": {"source": "paper-v1"},
        "read": {"id": "id"},
    }
    return load_settings(options={**base, **options})


def stored_scores(spark: SparkSession, folder: Path) -> pd.DataFrame:
    rows = Store.open(spark, str(folder / "store")).read("scores").toPandas()
    texts = Store.open(spark, str(folder / "store")).read("examples").toPandas()
    return rows.merge(texts[["example_id", "response"]]).set_index("response")


def test_columns_and_other_files_become_indicators_under_a_version(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = lines(tmp_path / "data.jsonl", ROWS)
    stages = ("ingest", "classifier:oda", "rule")
    score(spark, settings(tmp_path, input=(data,), stages=stages, indicators=ODA))
    assert "imported, 2 examples have no number" in capsys.readouterr().out
    by_text = stored_scores(spark, tmp_path)["oda"]
    assert by_text["日本 a"] == 1.5
    assert by_text["one answer"] == 3.0  # the mean of its two records
    assert by_text[["two answers", "three"]].isna().all()

    stats = lines(tmp_path / "stats.jsonl", STATS)
    imports = {"scores": (stats,), "key": "key"}
    given = {"imports": imports, "indicators": DJ, "indicator_version": "0.9"}
    text = import_scores(spark, settings(tmp_path, **given))
    said = "dj_length: rows 4 = joined 2 + without a key or number 1 + of no example 1; 2 examples"
    assert f"{said} have a number, 2 new" in text
    again = import_scores(spark, settings(tmp_path, **given))
    assert f"{said} have a number, 0 new" in again
    lines(tmp_path / "stats.jsonl", [{**STATS[0], "__dj__stats__": {"text_len": 8}}])
    with pytest.raises(UserError, match=r"1 examples have another number of version 0\.9 already"):
        import_scores(spark, settings(tmp_path, **given))
    newer = {**given, "indicator_version": "1.0"}
    assert "1 examples have a number, 1 new" in import_scores(spark, settings(tmp_path, **newer))
    for version, expected in (("0.9", 7.0), ("1.0", 8.0)):
        options = {"indicators": DJ, "indicator_version": version, "stages": ("rule",)}
        score(spark, settings(tmp_path, **options))
        assert stored_scores(spark, tmp_path)["dj_length"]["日本 a"] == expected
    nobody = {"scores": (stats,), "key": "id"}
    with pytest.raises(UserError, match="none belongs to an example"):
        import_scores(spark, settings(tmp_path, imports=nobody, indicators=DJ))
