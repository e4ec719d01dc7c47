"""From what the user names to raw records: files, folders, globs and tables, kinds detected."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from instructmining.errors import UserError, cause
from instructmining.reading.files import read_files, read_lines, splittable
from instructmining.reading.sniffing import HEAD_BYTES, KNOWN, Kind, sniff
from instructmining.reading.splitting import MAX_WHOLE
from instructmining.reading.table_rows import RECORDS, SPARK_ERRORS, read_delta, read_parquet, union
from instructmining.spark.paths import absolute, escaped, fixed_part, has_glob, shown

UNPACK = {None: "cat", "gzip": "zcat", "bz2": "bzcat", "zstd": "zstdcat"}


@dataclass(frozen=True)
class Input:
    """One file or table to read, and of what kind it is."""

    path: str
    kind: Kind
    bytes: int = 0  # 0 for tables
    broken: str | None = None  # why it turned out that it cannot be read

    @property
    def container(self) -> str:
        """lines, objects, array, csv, parquet, delta, or unknown."""
        return self.kind.container


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
    for each in (each for name in names for each in _found(spark, name)):
        places.setdefault(shown(each.path), each)
    found = list(places.values())
    inputs = [each for each in found if each.container != "unknown"]
    if not inputs:
        raise UserError(f"no file of a known kind in {', '.join(names)}: {KNOWN}")
    for each in inputs:
        _refuse_large(each)
    return inputs, [shown(each.path) for each in found if each.container == "unknown"]


def read_records(spark: SparkSession, inputs: Iterable[Input]) -> DataFrame:
    """All records: `source, position, raw BINARY, reason, detail, records`.

    `reason` is null but for what could not be decoded; `records` counts the records of the files
    that a row is made of.
    """
    inputs = list(inputs)
    halves = {each.kind.half for each in inputs}
    if {"questions", "answers"} <= halves:
        whole = [each for each in inputs if each.kind.half is None]
        questions, answers = (
            _united(spark, [each for each in inputs if each.kind.half == half])
            for half in ("questions", "answers")
        )
        joined = _joined(questions, answers)
        return union([joined, _united(spark, whole)]) if whole else joined
    return _united(spark, inputs)


def _united(spark: SparkSession, inputs: list[Input]) -> DataFrame:
    frames = []
    broken = [
        (shown(each.path), 0, b"", "unreadable_file", each.broken) for each in inputs if each.broken
    ]
    inputs = [each for each in inputs if not each.broken]
    tables = [each.path for each in inputs if each.container == "delta"]
    parquet = [each.path for each in inputs if each.container == "parquet"]
    files = [each for each in inputs if each.container not in ("delta", "parquet")]
    large = [each for each in files if splittable(each.kind, each.path, each.bytes)]
    small = [each for each in files if each not in large]
    frames += [spark.createDataFrame(broken, RECORDS)] if broken else []
    frames += [read_delta(spark, name) for name in tables]
    frames += [read_parquet(spark, parquet)] if parquet else []
    frames += [read_lines(spark, [each.path for each in large])] if large else []
    if small:
        frames.append(read_files(spark, [(each.path, each.kind, each.bytes) for each in small]))
    return union([_complete(frame) for frame in frames])


def _complete(records: DataFrame) -> DataFrame:
    found = set(records.columns)
    given = {
        "reason": F.lit(None).cast("string"),
        "detail": F.lit(None).cast("string"),
        "records": F.lit(1),
    }
    columns = ["source", "position", "raw", *given]
    return records.select(*(name if name in found else given[name].alias(name) for name in columns))


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
    path = absolute(name.removeprefix("path:"))
    if _is_delta(spark, path):
        return [Input(path, Kind("delta"))]
    listing = _listing(spark, path)
    if listing is None:
        hint = "" if "/" in name or "." not in name else f" (for a table write table:{name})"
        raise UserError(f"--input {name}: there is no such file or folder{hint}")
    if not listing:
        raise UserError(f"--input {name}: it is empty, or holds only empty and hidden files")
    root = path if Path(shown(path)).exists() else fixed_part(path)
    found = list(dict.fromkeys(_kinds(spark, root, listing)))
    if len(found) == 1 and found[0].container == "unknown":
        raise UserError(f"{shown(found[0].path)} is of no known kind: {KNOWN}")
    return found


def _listing(spark: SparkSession, path: str) -> list[tuple[str, int]] | None:
    """Paths and bytes of a file, a folder or a glob, hidden ones left out; None if there are none.

    A name is taken as it stands first: a file may be called `what[1]*.json`.
    """
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    for pattern in [escaped(path), path] if has_glob(path) else [escaped(path)]:
        try:
            rows = reader.load(pattern).select("path", "length").collect()
        except SPARK_ERRORS as error:
            if "PATH_NOT_FOUND" in str(error) or "does not exist" in str(error):
                continue
            raise
        return sorted((row.path, row.length) for row in rows)
    return None


def _kinds(spark: SparkSession, root: str, listing: list[tuple[str, int]]) -> Iterator[Input]:
    tables: dict[str, bool] = {}
    for path, length in listing:
        table = _table_around(spark, root, path, tables)
        if table is not None:
            yield Input(table, Kind("delta"))
        else:
            yield Input(path, sniff(path, _head(spark, path)), length)


def _table_around(spark: SparkSession, root: str, path: str, known: dict[str, bool]) -> str | None:
    """The Delta table below `root` that a Parquet file is part of: its log says what counts."""
    folder = path.rpartition("/")[0] if path.endswith(".parquet") else ""
    while len(shown(folder)) > len(shown(root)):
        if folder not in known:
            known[folder] = _is_delta(spark, folder)
        if known[folder]:
            return folder
        folder = folder.rpartition("/")[0]
    return None


def _is_delta(spark: SparkSession, path: str) -> bool:
    from delta.tables import DeltaTable

    local = Path(shown(path))
    if local.exists():
        return (local / "_delta_log").is_dir()
    return not has_glob(path) and bool(DeltaTable.isDeltaTable(spark, path))


def _head(spark: SparkSession, path: str) -> bytes:
    local = Path(shown(path))
    try:
        if local.is_file():
            with local.open("rb") as file:
                return file.read(HEAD_BYTES)
    except OSError:
        return b""  # said again, with the file's name, when it is read
    # Not a file system of the driver's own: Hadoop reads the first bytes, without a Spark job.
    hadoop = spark._jvm.org.apache.hadoop.fs.Path(path)  # type: ignore[union-attr]
    stream = hadoop.getFileSystem(spark._jsc.hadoopConfiguration()).open(hadoop)
    try:
        return bytes(stream.readNBytes(HEAD_BYTES))
    finally:
        stream.close()


def _refuse_large(given: Input) -> None:
    if given.container not in ("array", "objects") or given.bytes <= MAX_WHOLE:
        return
    path = shown(given.path)
    unpack = UNPACK[given.kind.compression]
    target = f"{path.partition('.json')[0]}.jsonl"
    each = "'.[]'" if given.container == "array" else "."
    raise UserError(
        f"{path}: a JSON array over 1 GiB cannot be split; make it JSON lines with "
        f"`{unpack} {shlex.quote(path)} | jq -c {each} > {shlex.quote(target)}`"
    )
