"""The report of a large pool: `python -m bench.speed.report_size --rows 1000000`.

Writes a store of synthetic scored rows with the columns and tables that `score` leaves (30 sources,
long texts, nulls, copies of vectors), makes the report, and prints its size and seconds. Fails
where the page is 5 MB or more.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from bench.speed.memory import peak_memory
from instructmining.rules.rule import read_rule
from instructmining.settings.loading import load_settings
from instructmining.spark.session import get_session
from instructmining.store.schemas import INDICATORS, TABLES
from instructmining.store.tables import Store
from jobs.stored.report import run

_LIMIT_MB = 5.0
_DIMENSIONS = 384


def main(argv: Sequence[str] | None = None) -> None:
    """Write the store, make the page, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", help="where the store is written; default: a temporary one")
    arguments = parser.parse_args(argv)
    spark, ours = get_session()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        started = time.monotonic()
        write_store(Store.open(spark, f"{folder}/store"), arguments.rows)
        written = time.monotonic() - started
        settings = load_settings(
            options={
                "store": f"{folder}/store",
                "report": {"to": f"{folder}/page.html"},
                "tracking": {"uri": "none"},
            }
        )
        started = time.monotonic()
        with peak_memory() as peak:
            page = run(spark, settings)
        seconds = time.monotonic() - started
        size = Path(page).stat().st_size / 1e6
        print(
            f"{arguments.rows:,} scored rows: page {size:.2f} MB in {seconds:.0f} s, largest "
            f"process {peak():.2f} GiB (the store took {written:.0f} s)"
        )
    if ours:
        spark.stop()
    if size >= _LIMIT_MB:
        raise SystemExit(f"the page has {size:.2f} MB, {_LIMIT_MB:g} are allowed")


def write_store(store: Store, rows: int) -> None:
    """Fill the tables that a report reads."""
    examples = store.spark.range(rows).select(
        "id",
        F.md5(F.col("id").cast("string")).alias("example_id"),
        F.concat(
            F.lit("/data/source-"), F.format_string("%02d", F.col("id") % 30), F.lit(".jsonl")
        ).alias("source"),
    )
    text = F.concat(F.col("example_id"), F.repeat(F.lit(" long text 長い文"), 200))
    add(
        store,
        "examples",
        examples.withColumns({"prompt": text, "response": text, "bucket": F.lit(0)}),
    )
    pool = {"pool": F.lit("default")}
    add(store, "occurrences", examples.withColumns(pool | {"position": F.col("id")}))
    add(
        store,
        "quarantine",
        examples.where("id < 500").withColumns(
            {
                "position": F.col("id") + rows,
                "content_hash": F.col("example_id"),
                "reason": F.lit("blank_response"),
            }
        ),
    )
    near = F.when(F.col("id") < 1000, F.col("id") / 1e5).otherwise(0.5 + F.rand(1) / 2)
    found = {"pool_version": F.lit("1"), "distances": F.array(near), "method": F.lit("exact")}
    add(store, "pool_knn", examples.withColumns(pool | found))
    vector = F.transform(
        F.sequence(F.lit(1), F.lit(_DIMENSIONS)),
        lambda i: F.sin(i * F.floor(F.col("id") / 2)) / _DIMENSIONS,
    )
    embedded = {"vector": vector, "bucket": F.lit(0), "fingerprint": F.lit("f")}
    add(
        store,
        "embeddings",
        examples.where("id < 2000").withColumns(embedded | {"status": F.lit("ok")}),
    )
    write_scores(store, examples.withColumns(pool))


def write_scores(store: Store, examples: DataFrame) -> None:
    """Skewed indicators, two in a hundred missing, under the paper's first rule."""
    rule = read_rule("paper-v1")
    drawn = {
        name: F.when(F.rand(i) > 0.02, F.exp(F.randn(100 + i)))
        for i, name in enumerate((*INDICATORS, "knn_6"))
    }
    indicators = examples.withColumns(drawn)
    predicted = indicators.withColumns(
        {**rule.contributions(), "predicted_log_loss": rule.predicted_log_loss()}
    )
    scores = predicted.withColumns(
        {
            "rule_name": F.lit(rule.name),
            "rule_version": F.lit(rule.version),
            "percentile": F.when(F.col("predicted_log_loss").isNotNull(), F.rand(9) * 100),
            "missing_reason": F.when(F.col("predicted_log_loss").isNull(), F.lit("not measured")),
            "out_of_range": F.lit(False),
            "rule_models_match": F.lit(False),
        }
    ).drop("id", "source")
    where = {"pool": "default", "rule_name": rule.name, "rule_version": rule.version}
    store.replace(filled("scores", scores), "scores", where, where)


def add(store: Store, table: str, rows: DataFrame) -> None:
    """Append with the contract's columns; those not given are null."""
    store.append(filled(table, rows), table, {})


def filled(table: str, rows: DataFrame) -> DataFrame:
    """The rows with every column of the contract, in its type."""
    known = {column.name: column.type for column in TABLES[table].columns}
    given = {
        name: F.lit("run") if name == "run_id" else F.lit(None)
        for name in known
        if name not in rows.columns
    }
    typed = {name: F.col(name).cast(kind.lower()) for name, kind in known.items()}
    return rows.withColumns(given).withColumns(typed)


if __name__ == "__main__":
    main()
