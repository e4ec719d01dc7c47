"""From what the user names to raw records: files, folders, globs and tables, kinds detected."""

import os
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from instructmining.errors import UserError, cause
from instructmining.hub.cached import hub_files, is_hub_name
from instructmining.reading.csv_rows import Escape
from instructmining.reading.files import in_one_piece, read_files, read_lines, splittable
from instructmining.reading.folders import Input, inputs_of, is_delta, listing, local_file
from instructmining.reading.sniffing import BY_SPARK, KNOWN, Kind
from instructmining.reading.splitting import MAX_WHOLE, as_lines
from instructmining.reading.table_rows import SPARK_ERRORS, read_by_spark, read_delta, union
from instructmining.spark.paths import absolute, escaped, fixed_part, has_glob, shown


def find_inputs(spark: SparkSession, names: tuple[str, ...]) -> tuple[list[Input], list[str]]:
    """Expand files, globs, folders and tables; decide each one's kind.

    What several names lead to is read once.

    Returns:
        What to read, and the files of folders and globs that are left out as no known kind.

    Raises:
        UserError: nothing is found, or a file that was named itself is of no known kind.
    """
    if not names:
        raise UserError("--input is missing: name files, folders, globs or tables")
    places: dict[str, Input] = {}
    for data in (data for name in names for data in _found(spark, name)):
        places.setdefault(place_of(data.path), data)
    inputs_named = list(places.values())
    inputs = [data for data in inputs_named if data.kind.is_data]
    if not inputs:
        raise UserError(f"no file of a known kind in {', '.join(names)}: {KNOWN}")
    for data in inputs:
        refuse_large(data)
    _refuse_avro(spark, inputs)
    return inputs, [shown(data.path) for data in inputs_named if not data.kind.is_data]


def hub_inputs(name: str) -> list[Input]:
    """The files of a data set of the hub, which go by the names of their splits."""
    return [
        Input(cached.path, Kind("arrow"), cached.bytes, cached.changed, named=file.source)
        for file in hub_files(name)
        for cached in [local_file(file.path)]
    ]


def place_of(path: str) -> str:
    """One text for one file: links to it are followed where the driver sees them."""
    local = shown(path)
    return os.path.realpath(local) if local.startswith("/") else local


def read_records(
    spark: SparkSession, inputs: Iterable[Input], csv_escape: Escape = "auto"
) -> DataFrame:
    """All records: `source, position, raw BINARY, reason, detail, records`.

    `reason` is null but for what could not be decoded; `records` counts the records of the files
    that a row is made of.
    """
    inputs = [replace(data, kind=replace(data.kind, csv_escape=csv_escape)) for data in inputs]
    halves = {data.kind.half for data in inputs}
    if {"questions", "answers"} <= halves:
        whole = [data for data in inputs if data.kind.half is None]
        questions, answers = (
            _united(spark, [data for data in inputs if data.kind.half == half])
            for half in ("questions", "answers")
        )
        joined = _joined(questions, answers)
        return union([joined, _united(spark, whole)]) if whole else joined
    return _united(spark, inputs)


def _united(spark: SparkSession, inputs: list[Input]) -> DataFrame:
    tables = [data.path for data in inputs if data.container == "delta"]
    files = [data for data in inputs if data.container != "delta"]
    by_spark = {data: splittable(data.kind, data.path, data.bytes) for data in files}
    large = [data for data in files if by_spark[data]]
    lines = [data.path for data in large if data.container == "lines"]
    tabular = {
        form: [data.path for data in large if data.container == form]
        for form in ("parquet", *BY_SPARK)
    }
    others = [(data.path, data.kind, data.bytes) for data in files if not by_spark[data]]
    frames = [read_delta(spark, name) for name in tables]
    frames += [read_by_spark(spark, form, paths) for form, paths in tabular.items() if paths]
    frames += [read_lines(spark, lines)] if lines else []
    frames += [read_files(spark, others)] if others else []
    return _named(union([_complete(frame) for frame in frames]), inputs)


def _named(records: DataFrame, inputs: list[Input]) -> DataFrame:
    """The records with the names that some inputs go by instead of their paths."""
    names = {shown(data.path): data.named for data in inputs if data.named}
    if not names:
        return records
    pairs = F.create_map(*(F.lit(text) for pair in names.items() for text in pair))
    return records.withColumn("source", F.coalesce(pairs[F.col("source")], "source"))


def _complete(records: DataFrame) -> DataFrame:
    present = set(records.columns)
    defaults = {
        "reason": F.lit(None).cast("string"),
        "detail": F.lit(None).cast("string"),
        "records": F.lit(1),
    }
    columns = ["source", "position", "raw", *defaults]
    return records.select(
        *(name if name in present else defaults[name].alias(name) for name in columns)
    )


def _joined(questions: DataFrame, answers: DataFrame) -> DataFrame:
    """Questions and answers of two files as one record each: `{"question": …, "answer": …}`."""
    halves = [
        frame.select(
            F.get_json_object(F.col("raw").cast("string"), "$.question_id").alias("key"),
            F.struct("*").alias(name),
        )
        for frame, name in ((questions, "q"), (answers, "a"))
    ]
    both = halves[0].join(halves[1], "key", "full_outer")
    raw = F.concat(
        F.lit('{"question":'),
        F.coalesce(F.col("q.raw").cast("string"), F.lit("null")),
        F.lit(',"answer":'),
        F.coalesce(F.col("a.raw").cast("string"), F.lit("null")),
        F.lit("}"),
    )
    first = {
        name: F.coalesce(f"a.{name}", f"q.{name}").alias(name)
        for name in ("source", "position", "reason", "detail")
    }
    counted = _counted_once("q", "a") + _counted_once("a", "q")
    return both.select(
        first["source"],
        first["position"],
        raw.cast("binary").alias("raw"),
        first["reason"],
        first["detail"],
        counted.alias("records"),
    )


def _counted_once(half: str, other: str) -> Column:
    """1 where a record of this half has its first partner (or none), 0 elsewhere.

    Several models' answers share one question.
    """
    place = Window.partitionBy("key", f"{half}.source", f"{half}.position")
    is_first = F.row_number().over(place.orderBy(f"{other}.source", f"{other}.position")) == 1
    return (F.col(f"{half}.raw").isNotNull() & is_first).cast("int")


def local_folders(names: Iterable[str]) -> list[str]:
    """The folders among what is named, and those around globs, that the driver can look into."""
    places = [absolute(name.removeprefix("path:")) for name in names if not _is_table(name)]
    roots = [shown(fixed_part(place) if has_glob(place) else place) for place in places]
    return [root for root in roots if Path(root).is_dir()]


def _is_table(name: str) -> bool:
    return name.startswith("table:")


def _found(spark: SparkSession, name: str) -> list[Input]:
    try:
        return _expand(spark, name)
    except SPARK_ERRORS as error:
        raise UserError(
            f"--input {name}: it cannot be read ({cause(error)}); check its name and your rights, "
            "and that this Spark has the connector for such a place"
        ) from None


def _expand(spark: SparkSession, name: str) -> list[Input]:
    if _is_table(name):
        table = name.removeprefix("table:")
        spark.read.table(table).schema  # noqa: B018 - Spark looks for it only now
        return [Input(table, Kind("delta"))]
    if is_hub_name(name):
        return hub_inputs(name)
    path = absolute(name.removeprefix("path:"))
    if is_delta(spark, path):
        return [Input(path, Kind("delta"))]
    files = listing(spark, path)
    if files is None:
        hint = "" if "/" in name or "." not in name else f" (for a table write table:{name})"
        raise UserError(f"--input {name}: there is no such file or folder{hint}")
    if not files:
        raise UserError(f"--input {name}: it is empty, or holds only empty and hidden files")
    root = path if Path(shown(path)).exists() else fixed_part(path)
    inputs = inputs_of(spark, root, files)
    if len(inputs) == 1:
        refuse_unknown(inputs[0])
    return inputs


def refuse_unknown(data: Input) -> None:
    """Refuse a file that was named itself and is of no known kind.

    Raises:
        UserError: it is one.
    """
    path = shown(data.path)
    if data.container == "tar":
        raise UserError(
            f"{path} is a tar archive: unpack it with `tar -xf {shlex.quote(path)}`, and read the "
            "files that it holds"
        )
    if data.container == "unknown":
        raise UserError(f"{path} is not of a known kind: {KNOWN}")


def _refuse_avro(spark: SparkSession, inputs: list[Input]) -> None:
    """Refuse Avro where Spark was started without its reader, which is a package of its own."""
    first = next((data.path for data in inputs if data.container == "avro"), None)
    if first is None:
        return
    try:
        spark.read.format("avro").load(escaped(first)).schema  # noqa: B018 - looks for the reader
    except SPARK_ERRORS as error:
        if "data source: avro" not in str(error):
            return  # damage, which reading puts down as such
        package = f"org.apache.spark:spark-avro_2.13:{spark.version}"
        raise UserError(
            f"{shown(first)} is Avro, whose reader this Spark was started without: add "
            f"--set spark.jars.packages={package} (spark-submit --packages {package}), or save "
            "the rows as Parquet"
        ) from None


def refuse_large(data: Input) -> None:
    """Refuse what would have to be held in memory in one piece and is over 1 GiB.

    Raises:
        UserError: it is; the message says how to make it smaller.
    """
    path = shown(data.path)
    if data.bytes <= MAX_WHOLE:
        return
    if data.container in ("array", "objects", "pages"):
        raise UserError(
            f"{path}: a JSON array over 1 GiB cannot be split; make it JSON lines with "
            f"`{as_lines(path, data.kind)}`"
        )
    if in_one_piece(data.kind, data.path, data.bytes):
        raise UserError(
            f"{path}: such a file over 1 GiB is read only where the workers can open its path, for "
            "else it travels through Spark in one piece; copy it to a shared disk or volume, or "
            "split it into smaller files"
        )
