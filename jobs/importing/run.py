"""Import scores: other files → joined by example id or the user's key → measurements."""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.layouts.field_names import steps
from instructmining.models.lists import COLUMN, ResolvedModel
from instructmining.reading.inputs import find_inputs, read_records
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from instructmining.tracking.mlflow_runs import log_run
from jobs.importing.numbers import add_numbers, differing, number
from udfs.indicators import models_of, resolve


def run(spark: SparkSession, settings: Settings) -> str:
    """Join, write, print how many numbers were added, and return that.

    Raises:
        UserError: no file, no indicator, no row that belongs to an example, or other numbers
            under the same version.
    """
    if not settings.indicators:
        raise UserError("--indicator is missing: name a column of --scores as NAME=COLUMN")
    if not settings.imports.scores:
        raise UserError("--scores is missing: name the files that hold the scores")
    store = Store.open(spark, settings.store)
    inputs, _ = find_inputs(spark, settings.imports.scores)
    rows = read_records(spark, inputs).where("reason IS NULL").select(F.col("raw").cast("string"))
    rows = rows.persist()
    models = models_of(settings.models, settings.indicators, settings.indicator_version)
    lines = []
    with log_run(settings.tracking, "import") as tracked:
        tracked.log_params(settings.model_dump())
        for name in settings.indicators:
            model = resolve(models.stages[name], settings.tracking)
            lines.append(_imported(store, rows, settings.imports.key, name, model, tracked.id))
    rows.unpersist()
    command = _scoring(settings.store, settings.indicators, settings.indicator_version)
    text = "\n".join([f"InstructMining · import into {settings.store}", "", *lines, *command])
    print(text)
    return text


def _imported(
    store: Store, rows: DataFrame, key: str, name: str, model: ResolvedModel, run_id: str
) -> str:
    column = model.spec.source.removeprefix(COLUMN)
    keyed = rows.select(
        _field("raw", key).alias("key"),
        number(_field("raw", column)).alias("number"),
    ).persist()
    total = keyed.count()
    numbers = keyed.where("number IS NOT NULL AND key IS NOT NULL")
    values = _of_examples(store, numbers).persist()
    matched = values.count()
    if not matched:
        raise UserError(
            f"--indicator {name}={column}: of {total:,} rows {numbers.count():,} have a key "
            f"({key}) and a number, and none belongs to an example of the store; "
            "keys are the example_id or what `score --id` stored"
        )
    if other := differing(store, model, values):
        raise UserError(
            f"--indicator {name}: {other:,} examples have another number of version "
            f"{model.spec.version} already; name a new --indicator-version"
        )
    added = add_numbers(store, name, model, values.select("example_id", "number"), run_id)
    used = numbers.join(values.select(F.explode("keys").alias("key")), "key", "left_semi").count()
    without = total - numbers.count()
    values.unpersist()
    keyed.unpersist()
    return (
        f"{name}: rows {total:,} = joined {used:,} + without a key or number {without:,} + of no "
        f"example {total - without - used:,}; {matched:,} examples have a number, {added:,} new"
    )


def _of_examples(store: Store, numbers: DataFrame) -> DataFrame:
    """`example_id, number, keys`; of several rows of an example the mean."""
    occurrences = store.read("occurrences")
    by_key = occurrences.select("example_id", F.col("source_key").alias("key"))
    by_id = occurrences.select("example_id", F.col("example_id").alias("key"))
    places = by_key.where("key IS NOT NULL").union(by_id).distinct()
    joined = numbers.join(places, "key")
    return joined.groupBy("example_id").agg(
        F.avg("number").alias("number"), F.collect_set("key").alias("keys")
    )


def _field(raw: str, path: str) -> Any:
    """A field of a record as text: the name as it stands first, else what is at the path."""
    whole = F.get_json_object(raw, f"$['{path}']")
    if len(steps(path)) == 1:
        return whole
    parts = "".join(f"[{step}]" if step.isdecimal() else f"['{step}']" for step in steps(path))
    return F.coalesce(whole, F.get_json_object(raw, f"${parts}"))


def _scoring(store: str, indicators: Mapping[str, str], version: str) -> list[str]:
    """The command that scores with these indicators."""
    options = " ".join(f"--indicator {name}={column}" for name, column in indicators.items())
    return [
        "",
        "the scores with these indicators",
        f"  instructmining score --store {store} --stages rule {options} "
        f"--indicator-version {version}",
    ]
