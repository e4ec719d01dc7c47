"""`score --dry-run`: what a run would measure, how long it would take and what it would use."""

import time
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.cascading.sample import in_sample
from instructmining.errors import UserError
from instructmining.models.lists import IMPORTED, ResolvedModel
from instructmining.progress import duration
from instructmining.reading.ingest import persisted
from instructmining.reading.inputs import find_inputs
from instructmining.settings.endpoints import Endpoint
from instructmining.settings.sections import Measure, Settings
from instructmining.store.planning import pending
from instructmining.store.tables import Store
from jobs.cascading.sampled import check_cascades
from jobs.checks.preflight import check_settings
from jobs.scoring.asked_stages import chosen_stages
from jobs.scoring.stages import table_of
from udfs.indicator import Spending, with_measurements
from udfs.indicators import models_of, resolve
from udfs.on_spark.placement import gpu_profile, model_slots, ship

_SAMPLE_PER_SLOT = 64
_STRATA = 4  # by response length: cost follows it
_SHOWN = (
    "spark.master",
    "spark.executor.instances",
    "spark.executor.resource.gpu.amount",
    "spark.task.resource.gpu.amount",
    "spark.task.cpus",
    "spark.sql.shuffle.partitions",
    "spark.sql.execution.arrow.maxRecordsPerBatch",
    "spark.sql.execution.arrow.maxBytesPerBatch",
)


@dataclass(frozen=True)
class StageCost:
    """One model stage: rows it lacks, and what the sample says they take."""

    stage: str
    missing: int
    seconds: float
    fixed_seconds: float  # start of the workers and loading of the model

    def line(self, gpus: int) -> str:
        """A row of the printed table."""
        hours = f"  {self.seconds * gpus / 3600:8.2f} GPU h" if gpus else ""
        return (
            f"  {self.stage:<14} {self.missing:>12,} rows missing  "
            f"{duration(self.seconds + self.fixed_seconds):>14}{hours}"
        )


def run(spark: SparkSession, settings: Settings) -> list[StageCost]:
    """Read the input, measure a stratified sample of it, print the estimate. Writes nothing."""
    store = Store.open(spark, settings.store)
    models = models_of(settings.models, settings.indicators, settings.indicator_version)
    chosen = chosen_stages(settings.stages, models)
    check_cascades(settings.cascade, models)
    resolved = {stage: resolve(models.stages[stage], settings.tracking) for stage in chosen}
    inputs, _ = find_inputs(spark, settings.input)
    notes = check_settings(spark, store, settings, inputs, resolved, chosen)
    rows = persisted(spark, inputs, settings.read).rows
    examples = rows.where(F.col("reason").isNull()).dropDuplicates(["example_id"])
    counted = rows.agg(
        F.count("*").alias("all"),
        F.count("reason").alias("bad"),
        F.sum(F.length("raw")).alias("bytes"),
    ).first()
    total = examples.count()
    if counted is None or not total:
        raise UserError(f"no usable record in {', '.join(settings.input)}")
    slots = model_slots(spark, settings.measure)
    sample = stratified(examples, total, _SAMPLE_PER_SLOT * slots)
    costs = []
    for stage, model in resolved.items():
        if model.spec.kind == IMPORTED:
            continue  # nothing is measured
        share = settings.cascade.shares.get(stage)
        asked = examples.where(in_sample(share, settings.cascade.seed)) if share else examples
        todo = pending(store, asked, table_of(model), model.fingerprint, False)
        missing = todo.count()
        costs.append(
            stage_cost(
                spark, stage, model, missing, sample, settings.measure, settings.endpoint, slots
            )
        )
    rows.unpersist()
    copies = counted.all - counted.bad - total
    print(f"dry run of {', '.join(settings.input)}: nothing is written\n")
    print(
        f"rows read {counted.all:,} = to score {total:,} + copies {copies:,} "
        f"+ to quarantine {counted.bad:,}\n"
    )
    gpus = slots if gpu_profile(spark, settings.measure) else 0
    print("\n".join(cost.line(gpus) for cost in costs))
    whole = sum(cost.seconds + cost.fixed_seconds for cost in costs)
    print(f"  {'all stages':<14} {'':>12}               {duration(whole):>14}")
    print(
        f"\nabout {_stored_megabytes(counted.bytes, total):,.0f} MB of tables in {settings.store}"
    )
    print("".join(f"note: {note}\n" for note in notes), end="")
    print(f"{slots} tasks of a model stage at a time; Spark settings:")
    print("\n".join(f"  {key} = {value}" for key, value in _spark_settings(spark).items()))
    return costs


def stratified(examples: DataFrame, total: int, rows: int) -> DataFrame:
    """About `rows` examples, as many short as long ones, kept in memory."""
    bounds = examples.withColumn("length", F.length("response")).approxQuantile(
        "length", [i / _STRATA for i in range(1, _STRATA)], 0.01
    )
    stratum = F.lit(0)
    for bound in bounds:
        stratum = stratum + (F.length("response") > bound).cast("int")
    share = min(1.0, 1.2 * rows / total)
    wanted = dict.fromkeys(range(_STRATA), share)
    sample = examples.withColumn("stratum", stratum).sampleBy("stratum", wanted, seed=0)
    local = sample.select("example_id", "bucket", "messages").limit(rows).collect()
    return examples.sparkSession.createDataFrame(
        local, examples.select("example_id", "bucket", "messages").schema
    )


def stage_cost(
    spark: SparkSession,
    stage: str,
    model: ResolvedModel,
    missing: int,
    sample: DataFrame,
    measure: Measure,
    endpoint: Endpoint,
    slots: int,
) -> StageCost:
    """Measure the sample twice: the second time the model is loaded already."""
    if not missing:
        return StageCost(stage, 0, 0.0, 0.0)
    shipped = ship(spark, model)
    profile = gpu_profile(spark, measure)
    spread = sample.repartition(slots, "example_id")
    taken = []
    for _ in range(2):
        started = time.monotonic()
        spending = Spending(endpoint, slots)
        measured = with_measurements(spread, shipped, measure, profile, spending=spending)
        rows = measured.agg(F.count("tokens")).first()
        taken.append(time.monotonic() - started)
    assert rows is not None  # noqa: S101 - an aggregate without grouping has one row
    per_row = taken[1] / max(1, rows[0])
    return StageCost(stage, missing, missing * per_row, max(0.0, taken[0] - taken[1]))


def _stored_megabytes(raw_characters: int, rows: int) -> float:
    per_row = 4 * 384 + 300  # a vector; ids, values and scores, compressed
    return (1.2 * raw_characters + rows * per_row) / 1e6  # text twice, compressed to about 0.6


def _spark_settings(spark: SparkSession) -> dict[str, str]:
    shown = {}
    for key in _SHOWN:
        value = spark.conf.get(key, None)
        if value is not None:
            shown[key] = value
    return shown
