"""Make the archive of classes: `python -m instructmining.spark.make_class_archive`.

It starts a local session, lets it do a little of all that commands do, and ends its JVM, which
then writes the classes it has loaded. Every later local session on this machine maps them.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark import SparkContext
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.spark.class_archive import (
    CLASS_PATH,
    JARS,
    OPTIONS,
    SWITCH,
    archive_name,
    class_path,
    find_archive,
    of_same_place,
    quoted,
)
from instructmining.spark.delta_jars import delta_jars
from instructmining.spark.local_settings import JAVA_OPTIONS
from instructmining.spark.process_log import log_path, write_error
from instructmining.spark.session import get_session

_ROOM = 600 << 20  # bytes; the archive has some 200 MB
_LONGEST = 600  # seconds from the end of the session to that of its JVM; 10 to 60 are usual
_ABANDONED = 3600  # seconds after which a file that another maker began is nobody's


def main() -> None:
    """Make it, or say in one sentence why not; exit code 1 then. Nothing depends on it."""
    try:
        print(f"class archive: {make()}")
    except UserError as error:
        sys.exit(f"class archive not made: {error}; commands work without it")
    except Exception as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        sys.exit(
            f"class archive not made: {said} (in full: {write_error()}); commands work without it"
        )


def make() -> str:
    """Make the archive, unless it is there.

    Returns:
        Where it is, and what it took.

    Raises:
        UserError: it cannot be made here.
    """
    jars = delta_jars().get(JARS)
    if jars is None:
        raise UserError("Delta's jars are not here yet; start any command once, which fetches them")
    name = archive_name(jars)
    if name is None:
        raise UserError(
            f"{SWITCH} is off, or this Java has no lib/modules, or Spark has a class path of its "
            "own (a folder conf, SPARK_CONF_DIR, HADOOP_CONF_DIR, PYSPARK_SUBMIT_ARGS)"
        )
    there = find_archive(jars)
    if there is not None:
        return f"{there} is there"
    started = time.monotonic()
    folder = _new_folder(name.parent)
    try:
        archive = _written(folder, name, jars)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    size = int(archive.stem.rpartition("-")[2])
    with suppress(OSError):  # of two makers at once the later one's stays
        remove_older(archive, of_same_place(name))
    return f"{archive}, {size / 1e6:.0f} MB, made in {time.monotonic() - started:.0f} s"


def remove_older(archive: Path, pattern: str) -> None:
    """Remove what it replaces: archives of an earlier Java, Spark or Delta, and damaged ones."""
    made = archive.stat().st_mtime
    for other in archive.parent.glob(pattern):
        if other.stat().st_mtime < made:
            other.unlink()


def _written(folder: Path, name: Path, jars: str) -> Path:
    """Write it into the folder and, once it is whole, move it to its name, which ends in its size.

    A JVM that maps an archive that was cut off ends at once.
    """
    new = folder / "new.jsa"
    _write(new, jars)
    return new.replace(name.with_name(f"{name.name}-{new.stat().st_size}.jsa"))


def _new_folder(folder: Path) -> Path:
    """A folder inside this one for the JVM to write to; what earlier makers left there goes."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in folder.glob("making-*"):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
        room = shutil.disk_usage(folder).free
        if room < _ROOM:
            raise UserError(f"{room >> 20} MiB are free in {folder}, {_ROOM >> 20} are needed")
        return Path(tempfile.mkdtemp(prefix="making-", dir=folder))
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error.strerror})") from error


def _write(new: Path, jars: str) -> None:
    os.environ["SPARK_MASTER"] = "local[2]"  # wherever commands run otherwise
    options = f"{JAVA_OPTIONS} {quoted(f'-XX:ArchiveClassesAtExit={new}')}"
    spark, ours = get_session({OPTIONS: options, CLASS_PATH: class_path(jars)}, little_data=True)
    gateway: Any = SparkContext._gateway
    java = getattr(gateway, "proc", None)
    if not ours or java is None:
        raise UserError("spark-submit, a platform or another program started this session")
    try:
        with tempfile.TemporaryDirectory() as folder:
            _work(spark, folder)
        spark.stop()
        gateway.shutdown()
        java.stdin.close()  # the JVM ends when its input does, and writes the archive before
        java.wait(_LONGEST)
    finally:
        java.kill()  # nothing, where it has ended
        java.wait()
    if java.returncode or not new.is_file():
        raise UserError(f"the JVM wrote none; what it said is in {log_path()}")


def _work(spark: SparkSession, folder: str) -> None:
    """What commands do, so that its classes are loaded: files, Delta, joins, windows, Python."""
    rows = spark.createDataFrame(
        [(number, f"text {number}", [float(number)]) for number in range(100)],
        "id bigint, text string, numbers array<double>",
    )
    rows.write.json(f"{folder}/json")
    rows.write.parquet(f"{folder}/parquet")
    read = spark.read.schema(rows.schema).json(f"{folder}/json")
    table = f"{folder}/table"
    with_name = read.select(
        "*", F.input_file_name().alias("file"), F.sha2("text", 256).alias("key")
    )
    with_name.write.format("delta").partitionBy("file").save(table)
    _merge(spark, table, with_name)
    stored = spark.read.format("delta").load(table)
    order = Window.partitionBy("file").orderBy("id")
    shares = stored.withColumn("rank", F.row_number().over(order))
    joined = shares.join(spark.read.parquet(f"{folder}/parquet").hint("merge"), "id", "left")
    counted = joined.groupBy("file").agg(
        F.count("*"),
        F.avg("rank"),
        F.countDistinct("key"),
        F.collect_list(F.struct("id", "key")),
        F.percentile_approx("rank", [0.1, 0.5]),
    )
    counted.orderBy("file").collect()
    stored.join(F.broadcast(rows), "id", "left_anti").limit(5).toArrow()
    stored.select("id").mapInArrow(_same, "id bigint").unionByName(rows.select("id")).count()
    # Where there is more data queries are compiled: the compiler's own classes are wanted too.
    for name, value in {"wholeStage": "true", "factoryMode": "FALLBACK"}.items():
        spark.conf.set(f"spark.sql.codegen.{name}", value)
    counted.collect()


def _merge(spark: SparkSession, table: str, rows: Any) -> None:
    rows.createOrReplaceTempView("new_rows")
    name = f"delta.`{table}`"
    spark.sql(
        f"MERGE INTO {name} t USING new_rows n ON t.id = n.id + 50 "
        "WHEN MATCHED THEN UPDATE SET text = n.text WHEN NOT MATCHED THEN INSERT *"
    )
    spark.sql(f"ALTER TABLE {name} ADD CONSTRAINT some CHECK (id >= 0)")
    spark.sql(f"DELETE FROM {name} WHERE id > 120")  # noqa: S608 - a name of ours
    spark.sql(f"DESCRIBE HISTORY {name}").collect()


def _same(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
