"""Erasing an example, and maintaining the tables, on a store with files and artifacts."""

import csv
import json
import re
from pathlib import Path

import pytest
from mlflow import MlflowClient
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.identity import example_id
from instructmining.settings.loading import load_settings
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from instructmining.tracking.mlflow_runs import log_run
from jobs.scoring import run as score
from jobs.stored import erase, erase_artifacts, maintain

pytestmark = pytest.mark.slow

SECRET = "The tale of the heron who counted seventeen moons above the old mill."
QUESTION = "Tell me a tale — 讲个故事。"
OTHER = [{"instruction": f"Say {i}.", "output": f"{i} " * 12} for i in range(3)]
RECORD = json.dumps({"instruction": QUESTION, "output": SECRET}, ensure_ascii=False)
ID = example_id([{"role": "user", "content": QUESTION}, {"role": "assistant", "content": SECRET}])
# Records that no layout reads: the example as JSON inside JSON, then cut, then its beginnings only.
UNUSABLE = (
    json.dumps({"payload": json.dumps({"turns": json.dumps([QUESTION, SECRET])})}),
    '{"payload": ' + json.dumps(SECRET[:60]),
    json.dumps({"payload": [QUESTION, f"{SECRET[:45]} eighteen suns under the new bridge."]}),
    json.dumps({"payload": "Говорит: — 月亮"}, ensure_ascii=False),
)


@pytest.fixture(scope="module")
def place(spark, tmp_path_factory):
    """A scored store, files beside it, and an artifact, all of which hold the secret."""
    place = tmp_path_factory.mktemp("erase")
    (place / "models.yml").write_text("name: words\nmtld: {kind: mtld, indicators: [mtld]}\n")
    lines = [RECORD, *map(json.dumps, OTHER), '{"broken": ' + json.dumps(SECRET)]
    (place / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with (place / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)  # a cell too many: quotes and line breaks as CSV has them
        rows.writerows([["prompt", "response"], [f'"{QUESTION}"\n', f"{SECRET}", "extra"]])
        rows.writerow(["Hm, well?", "Yes, I think so."])
    (place / "more.jsonl").write_text("\n".join(UNUSABLE), encoding="utf-8")
    given = settings(
        place,
        input=tuple(str(place / name) for name in ("data.jsonl", "rows.csv", "more.jsonl")),
        stages=("ingest", "mtld", "rule"),
        models=str(place / "models.yml"),
    )
    score.run(spark, given)
    store = Store.open(spark, given.store)
    rows = [(ID, 0, "f", [0.6, 0.8], 1, 0, "ok", None, "r")]
    names = (
        "example_id STRING, bucket INT, fingerprint STRING, vector ARRAY<FLOAT>, tokens BIGINT"
        ", truncated_tokens BIGINT, status STRING, reason STRING, run_id STRING"
    )
    store.append(spark.createDataFrame(rows, names), "embeddings", {})
    members = [ID, f"shuffled:{ID}", f"swapped:{'1' * 32}:{ID}", f"shuffled:{'1' * 32}"]
    rows = [("s", "{}", rank, one, "r") for rank, one in enumerate(members, start=1)]
    names = "subset STRING, recipe STRING, rank BIGINT, example_id STRING, run_id STRING"
    store.append(spark.createDataFrame(rows, names), "subsets", {})
    (place / "files" / "index").mkdir(parents=True)
    (place / "files" / "index" / "v.npy").write_bytes(b"vectors")
    (place / "files" / "page.html").write_text(f"<p>{QUESTION}<p>{SECRET}", encoding="utf-8")
    (place / "files" / "other.html").write_text("<p>nothing")
    for name in ("best.jsonl", "copy.jsonl"):
        (place / name).write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
    for exported in (str(place / "best.jsonl"), "table:some.where"):
        with log_run(given.tracking, "select") as tracked:
            tracked.log_params({"store": given.store, "export": {"to": exported}})
    with log_run(given.tracking, "report") as tracked:
        tracked.log_text(f"{QUESTION} {SECRET}", "report.html")
        tracked.log_text("nothing", "rest.html")
    return place


def settings(place, **options):
    base = {
        "store": str(place / "store"),
        "files": str(place / "files"),
        "canary": {"rows": 0},
        "tracking": {"uri": f"sqlite:///{place}/mlflow.db"},
    }
    return load_settings(options={**base, **options})


def texts(place: Path) -> list[str]:
    """Data files in which the secret's bytes are."""
    import pyarrow.parquet as pq

    return [
        str(path)
        for path in place.glob("store/*/*.parquet")
        if "heron" in str(pq.read_table(path).to_pylist())
    ]


def test_an_id_that_is_none_or_is_nowhere_is_refused(spark, place):
    with pytest.raises(UserError, match="'x' is not an example_id"):
        erase.run(spark, settings(place, erase={"ids": ("x",)}))
    with pytest.raises(UserError, match="no table of"):
        erase.run(spark, settings(place, erase={"ids": ("0" * 32,)}))
    with pytest.raises(UserError, match=r"--ids nowhere\.txt"):
        erase.run(spark, settings(place, erase={"ids_file": "nowhere.txt"}))


def test_a_run_that_broke_off_can_be_run_again(spark, place, monkeypatch):
    def broken(*_):
        raise ConnectionError("MLflow is gone")

    store = Store.open(spark, settings(place).store)
    before = {table: store.version(table) for table in TABLES}
    with monkeypatch.context() as patch:
        patch.setattr(erase_artifacts, "_runs", broken)
        with pytest.raises(ConnectionError):
            erase.run(spark, settings(place, erase={"ids": (ID,)}))
    with monkeypatch.context() as patch:
        patch.setattr(erase, "erase_elsewhere", broken)
        with pytest.raises(ConnectionError):
            erase.run(spark, settings(place, erase={"ids": (ID,)}))
    assert {table: store.version(table) for table in TABLES} == before
    deleted: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(Store, "delete_where", lambda _, table, condition: deleted.append(table))
        erase.run(
            spark, settings(place, erase={"ids": (ID,)}, tracking={"uri": "none"}, files=None)
        )
    assert (len(deleted), deleted[-1]) == (8, "examples")  # what finds the rest goes last


def test_one_command_erases_it_everywhere(spark, place, capsys):
    store = Store.open(spark, settings(place).store)
    before = {table: store.version(table) for table in TABLES if store.exists(table)}
    (place / "ids.txt").write_text(ID)
    erased = erase.run(
        spark,
        settings(
            place,
            erase={
                "ids_file": str(place / "ids.txt"),
                "exports": (str(place / "copy.jsonl"),),
                "delete_elsewhere": True,
            },
        ),
    )
    measured = ("stage_values", "embeddings", "scores", "text_features")
    assert erased == {
        **dict.fromkeys(("examples", "occurrences", *measured), 1),
        "subsets": 3,  # itself and two spoiled copies
        "quarantine": 3,
    }
    for table in before:
        if "example_id" in TABLES[table].names:
            assert store.read(table).where(F.col("example_id") == ID).isEmpty()
    assert store.read("examples").count() == len(OTHER) + 1
    left = store.read("quarantine").orderBy("position").collect()
    assert [row.raw for row in left] == list(UNUSABLE[1:])
    assert not (place / "files" / "index" / "v.npy").exists()
    assert sorted(path.name for path in place.glob("files/*.html")) == ["other.html"]
    for name in ("best.jsonl", "copy.jsonl"):  # known from MLflow, and named by us
        assert (place / name).read_text().splitlines() == [json.dumps(OTHER[0])]
    assert not list(place.glob(".*.part"))

    said = capsys.readouterr().out
    assert "NOT deleted (may hold it): table:some.where" in said
    _named_records_can_be_deleted(store, said, place)
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    [run] = re.findall(r"deleted artifact report.html of run (\w+)", said)
    assert [each.path for each in client.list_artifacts(run)] == ["rest.html"]
    assert f"{place}/data.jsonl record 1; the next `score` of it brings it back" in said

    # Time travel still reaches it, and the command has said until when.
    held = store.read("examples", before["examples"]).where(F.col("example_id") == ID)
    assert held.first().response == SECRET
    assert re.search(r"VACUUM delta.`\S+/examples` RETAIN 168 HOURS;  -- after 20\d\d-", said)
    assert texts(place)


def _named_records_can_be_deleted(store: Store, said: str, place: Path) -> None:
    more = place / "more.jsonl"
    [statement] = re.findall(
        rf"2 records of quarantine may hold it \({more} record 2, {more} record 3\); if so: (.+);",
        said,
    )
    store.spark.sql(statement)
    [other] = store.read("quarantine").collect()
    assert other.raw == UNUSABLE[3]


def test_after_a_vacuum_of_now_no_version_reaches_it(spark, place, capsys):
    store = Store.open(spark, settings(place).store)
    store.append(store.read("examples", 1).where(F.col("example_id") == ID), "examples", {})
    version = store.version("examples")
    erase.run(spark, settings(place, erase={"ids": (ID,), "vacuum_now": True}))
    assert "vacuumed: time travel does not reach it" in capsys.readouterr().out
    assert not [path for path in texts(place) if "/examples/" in path]
    with pytest.raises(Exception, match=r"(?i)file.*(not exist|vacuum)|FILE_NOT_EXIST|DELTA_FILE"):
        store.read("examples", version).collect()
    assert store.read("examples").count() == len(OTHER) + 1
    check = "spark.databricks.delta.retentionDurationCheck.enabled"
    assert spark.conf.get(check, "true") == "true"


def test_maintenance_says_what_it_would_do_and_does_it(spark, place, capsys):
    store = Store.open(spark, settings(place).store)
    for turn in range(3):
        row = (
            store.read("embeddings")
            .limit(0)
            .sparkSession.createDataFrame(
                [(f"{turn:032x}", 0, "f", [1.0, 0.0], 1, 0, "ok", None, "r")],
                store.read("embeddings").schema,
            )
        )
        store.append(row, "embeddings", {})
    version = store.version("embeddings")
    planned = {each.table: each for each in maintain.run(spark, settings(place, dry_run=True))}
    assert store.version("embeddings") == version
    assert planned["embeddings"].files == (3, 3)
    assert "dry run: nothing was changed" in capsys.readouterr().out
    done = {each.table: each for each in maintain.run(spark, settings(place))}
    assert done["embeddings"].files == (3, 1)
    assert store.read("embeddings").count() == 3
    assert done["examples"].removed == 0  # younger than the retention: time travel stays
    assert re.search(r"embeddings +3 → 1 ", capsys.readouterr().out)


def test_maintenance_needs_tables_and_a_retention_that_runs_survive(spark, tmp_path):
    with pytest.raises(UserError, match="holds no table of ours"):
        maintain.run(spark, load_settings(options={"store": str(tmp_path / "empty")}))
    with pytest.raises(UserError, match=r"maintain.retention_hours.*168"):
        load_settings(options={"maintain": {"retention_hours": 24}})
