"""Files whose every record only holds the records: the command that takes them out."""

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.reading.folders import Input
from instructmining.reading.splitting import UNPACK
from instructmining.spark.frames import small_frame
from instructmining.spark.paths import shown

_JSON = ("lines", "objects", "array")


def with_commands(rows: DataFrame, inputs: Sequence[Input]) -> DataFrame:
    """The rows, with the command that makes JSON lines of such a file in their `detail`.

    A file that is one record is judged by that record. In a file of many lines one that holds
    others is not a hint: all of them have to hold records at the same place.

    Args:
        rows: in standard form, `inside` is the path to the records in an unusable one.
        inputs: what was read.
    """
    kinds = {shown(data.path): data for data in inputs if data.container in _JSON}
    counted = rows.groupBy("source").agg(
        F.count("*").alias("records"),
        F.count("inside").alias("nested"),
        F.min("inside").alias("first"),
        F.max("inside").alias("last"),
    )
    nested = counted.where("records = nested AND first = last").select("source", "first").collect()
    commands = [
        (row.source, command_for(kinds[row.source], row.first))
        for row in nested
        if row.source in kinds
    ]
    if not commands:
        return rows
    said = F.broadcast(small_frame(rows.sparkSession, commands, "source STRING, command STRING"))
    joined = rows.join(said, "source", "left")
    detail = F.concat_ws("; ", "detail", "command")
    return joined.withColumn(
        "detail", F.when(F.col("command").isNotNull(), detail).otherwise(F.col("detail"))
    ).drop("command")


def command_for(data: Input, path: str) -> str:
    """One sentence: where the records are, and what makes a file of them."""
    source = shown(data.path)
    selector = path
    if data.container == "array":  # jq before 1.7 takes no dot in front of a bracket
        selector = f".[]{path[1:] if path.startswith('.[') else path}"
    target = f"{PurePosixPath(source).name.partition('.json')[0]}.records.jsonl"
    return (
        f"its records are in {path}: `{UNPACK[data.kind.compression]} {shlex.quote(source)} | "
        f"jq -c {shlex.quote(selector)} > {shlex.quote(target)}` takes them out"
    )
