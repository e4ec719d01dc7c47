"""Numbers for the examples of a store that have none, as its models would have left them.

    python -m bench.harness.made_numbers STORE [--width 384]

`score` then finds every model stage of the embedded list finished, so that all the rest
can be run, and measured, on pools that no machine at hand could score. The numbers come from seeded
chance and mean nothing.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from bench.speed.knn import Topics
from instructmining.models.lists import ResolvedModel, load_model_list
from instructmining.settings.loading import load_settings
from instructmining.spark.frames import small_frame
from instructmining.spark.session import get_session, spark_conf
from instructmining.store.tables import Store
from udfs.indicators import resolve
from udfs.on_spark.arrow import vector_lists

_RUN = "made"
_LENGTHS = ("input_length", "output_length")  # in tokens; the other indicators are from 0 to 1
_VECTORS = "example_id STRING, bucket INT, vector ARRAY<FLOAT>"


def main() -> None:
    """Fill a store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("store")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--set", action="append", default=[], dest="sets")
    chosen = parser.parse_args()
    spark, _ = get_session(spark_conf(load_settings(sets=chosen.sets).spark))
    fill(Store.open(spark, chosen.store), chosen.width)
    spark.stop()


def fill(store: Store, width: int) -> None:
    """Append a row of each stage for every example without; vectors are clustered, of length 1."""
    every = store.read("examples").select("example_id", "bucket")
    for number, (stage, spec) in enumerate(load_model_list("embedded").stages.items()):
        model = resolve(spec)
        table = "embeddings" if stage == "embed" else "stage_values"
        measured = store.read(table).where(F.col("fingerprint") == model.fingerprint)
        examples = every.join(measured.select("example_id"), "example_id", "left_anti")
        _admit(store, stage, model)
        if stage == "embed":
            rows = examples.repartition("bucket").mapInArrow(_embedding(width), _VECTORS)
            store.append(_measured(rows, model), table, {})
            continue
        pairs = [
            part
            for place, name in enumerate(spec.indicators)
            for part in (F.lit(name), _value(name, 100 * number + place))
        ]
        rows = examples.withColumns({"stage": F.lit(stage), "values": F.create_map(*pairs)})
        store.append(_measured(rows, model), table, {})


def _admit(store: Store, stage: str, model: ResolvedModel) -> None:
    known = store.read("fingerprints").where(F.col("fingerprint") == model.fingerprint)
    if known.count():
        return
    row = (model.fingerprint, stage, model.spec.origin or model.spec.kind, "{}", "{}", _RUN)
    names = ("fingerprint", "stage", "source", "definition", "provenance", "run_id")
    frame = small_frame(store.spark, [row], ", ".join(f"{name} STRING" for name in names))
    store.append(frame, "fingerprints", {})


def _value(indicator: str, salt: int) -> Column:
    """From the hash of the id: the same wherever the row is."""
    uniform = F.xxhash64("example_id", F.lit(salt)).bitwiseAND((1 << 32) - 1) / float(1 << 32)
    return 10 + F.floor(490 * uniform).cast("double") if indicator in _LENGTHS else uniform


def _measured(rows: DataFrame, model: ResolvedModel) -> DataFrame:
    constants: dict[str, Any] = {
        "fingerprint": F.lit(model.fingerprint),
        "tokens": F.lit(70).cast("bigint"),
        "truncated_tokens": F.lit(0).cast("bigint"),
        "status": F.lit("ok"),
        "reason": F.lit(None).cast("string"),
        "run_id": F.lit(_RUN),
    }
    return rows.withColumns(constants)


def _embedding(width: int) -> Any:
    """Vectors of the rows of a batch, seeded by its first id."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        topics = Topics(width)
        for batch in batches:
            if batch.num_rows:
                draw = np.random.default_rng(_seed(batch["example_id"].to_pylist()))
                made = vector_lists(topics.vectors(batch.num_rows, draw))
                yield pa.RecordBatch.from_arrays([*batch.columns, made], names=_NAMES)

    return run


_NAMES = ("example_id", "bucket", "vector")


def _seed(ids: Sequence[str]) -> int:
    return int(ids[0][:15], 16)


if __name__ == "__main__":
    main()
