"""What lies in a file, a folder or a glob: files of their kinds, and tables that are read by a log.

Object stores answer a request in some 30 ms, so that nothing is asked for one file after another:
the first bytes of all files are read at once by many threads.
"""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.reading.sniffing import HEAD_BYTES, Kind, sniff
from instructmining.reading.table_rows import SPARK_ERRORS
from instructmining.spark.paths import escaped, has_glob, shown

_AT_ONCE = 32  # requests to the file system
_ICEBERG = re.compile(r"(.*)/metadata/(?:v\d+|\d+-[0-9a-f-]{36})(?:\.gz)?\.metadata\.json")
# The cache of the Hugging Face hub: `datasets--NAME/snapshots/REVISION/train.jsonl` is a link
# to `datasets--NAME/blobs/HASH`, and `datasets--NAME/refs/main` names the revision. See
# https://huggingface.co/docs/huggingface_hub/guides/manage-cache
_CACHED = re.compile(r"(?P<cache>.*/datasets--[^/]+)/(?P<folder>blobs|refs|snapshots)/(?P<name>.+)")
_LINK = re.compile(rb"\s*((?:\.\./)+blobs/[0-9a-f]+)\s*")


class File(NamedTuple):
    """A file of a listing."""

    path: str
    bytes: int
    changed: int = 0  # milliseconds since 1970; 0: not known


@dataclass(frozen=True)
class Input:
    """One file or table to read, and of what kind it is."""

    path: str
    kind: Kind
    bytes: int = 0  # 0 for tables
    changed: int = 0  # when, in milliseconds since 1970; 0: not known, or a table
    named: str | None = None  # what its rows are known by, where that is not the path

    @property
    def container(self) -> str:
        """lines, objects, array, csv, parquet, arrow, orc, avro, pages, delta, tar, or unknown."""
        return self.kind.container

    @property
    def source(self) -> str:
        """The `source` of its rows."""
        return self.named or shown(self.path)


def listing(spark: SparkSession, path: str) -> list[File] | None:
    """The files of a file, a folder or a glob, hidden ones left out; None if there are none.

    A name is taken as it stands first: a file may be called `what[1]*.json`.
    """
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    for pattern in [escaped(path), path] if has_glob(path) else [escaped(path)]:
        try:
            files = reader.load(pattern)
            rows = files.select("path", "length", F.unix_millis("modificationTime")).collect()
        except SPARK_ERRORS as error:
            if "PATH_NOT_FOUND" in str(error) or "does not exist" in str(error):
                continue
            raise
        return sorted(File(*row) for row in rows)
    return None


def inputs_of(spark: SparkSession | None, root: str, files: list[File]) -> list[Input]:
    """Files and tables below `root`, each table once; what is not data is of kind `unknown`.

    Without `spark` all are local files.

    Raises:
        UserError: there is an Iceberg table, whose files cannot be read without its metadata.
    """
    _refuse_iceberg(file.path for file in files)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        folders = sorted({folder for file in files for folder in _folders_between(root, file.path)})
        answers = pool.map(lambda folder: is_delta(spark, folder), folders)
        tables = {folder for folder, answer in zip(folders, answers, strict=True) if answer}
        table_of = {file.path: _table_around(root, file.path, tables) for file in files}
        alone, left_out = current_files([file for file in files if table_of[file.path] is None])
        inputs = list(pool.map(lambda file: _input(spark, file), alone))
    inputs += [Input(file.path, Kind("unknown"), file.bytes) for file in left_out]
    inputs += [Input(table, Kind("delta")) for table in table_of.values() if table]
    return sorted(set(inputs), key=lambda data: data.path)


def _folders_between(root: str, path: str) -> Iterator[str]:
    """The folders around a Parquet file, from the nearest up to below `root`."""
    folder = path.rpartition("/")[0] if path.endswith(".parquet") else ""
    while len(shown(folder)) > len(shown(root)):
        yield folder
        folder = folder.rpartition("/")[0]


def _table_around(root: str, path: str, tables: set[str]) -> str | None:
    """The Delta table that a Parquet file is part of: its log says what counts."""
    return next((folder for folder in _folders_between(root, path) if folder in tables), None)


def is_delta(spark: SparkSession | None, path: str) -> bool:
    """Whether the folder is a Delta table."""
    from delta.tables import DeltaTable

    local = Path(shown(path))
    if local.exists():
        return (local / "_delta_log").is_dir()
    if spark is None or has_glob(path):
        return False
    return bool(DeltaTable.isDeltaTable(spark, path))


def _input(spark: SparkSession | None, file: File) -> Input:
    first = head(spark, file.path)
    if blob := blob_of(file.path, first):
        entry = local_file(Path(blob))
        return Input(blob, sniff(file.path, head(spark, blob)), entry.bytes, entry.changed)
    return Input(file.path, sniff(file.path, first), file.bytes, file.changed)


def local_file(path: Path) -> File:
    """What the driver's own file system says of a file."""
    status = path.stat()
    return File(str(path), status.st_size, status.st_mtime_ns // 1_000_000)


def head(spark: SparkSession | None, path: str) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    local = Path(shown(path))
    try:
        if local.is_file():
            with local.open("rb") as file:
                return file.read(HEAD_BYTES)
    except OSError:
        return b""  # said again, with the file's name, when it is read
    if spark is None:
        return b""
    # Not a file system of the driver's own: Hadoop reads the first bytes, without a Spark job.
    hadoop = spark._jvm.org.apache.hadoop.fs.Path(path)  # type: ignore[union-attr]
    stream = hadoop.getFileSystem(spark._jsc.hadoopConfiguration()).open(hadoop)
    try:
        return bytes(stream.readNBytes(HEAD_BYTES))
    finally:
        stream.close()


def _refuse_iceberg(paths: Iterator[str]) -> None:
    for path in paths:
        if table := _ICEBERG.fullmatch(path):
            raise UserError(
                f"{shown(table[1])} is an Iceberg table: its folder also holds rows of older "
                "snapshots, which only its metadata tell apart; read it through a catalog of Spark "
                "(--input table:CATALOG.SCHEMA.NAME), or save its current rows as Parquet first"
            )


def current_files(files: list[File]) -> tuple[list[File], list[File]]:
    """The files to read, and those of other revisions, which are to be named as left out.

    What lies in no such cache is to be read.
    """
    cached = {file: parts for file in files if (parts := _CACHED.fullmatch(file.path))}
    caches = {parts["cache"] for parts in cached.values() if parts["folder"] == "snapshots"}
    revisions = {cache: _revision(cache) for cache in caches}
    to_read: list[File] = []
    others: list[File] = []
    for file in files:
        parts = cached.get(file)
        if parts is None or parts["cache"] not in caches:
            to_read.append(file)
        elif parts["folder"] == "snapshots":
            revision = revisions[parts["cache"]]
            current = revision is None or parts["name"].startswith(f"{revision}/")
            (to_read if current else others).append(file)
    return to_read, others


def _revision(cache: str) -> str | None:
    """What `refs/main` names, where it is there; None: all revisions count."""
    try:
        revision = Path(shown(cache), "refs", "main").read_text().strip()
    except (OSError, ValueError):
        return None
    return revision if Path(shown(cache), "snapshots", revision).is_dir() else None


def blob_of(path: str, first_bytes: bytes) -> str | None:
    """The file that a link leads to, where links were copied as small text files.

    Windows does it, and so do archives without links.
    """
    link = _LINK.fullmatch(first_bytes)
    if not link or not _CACHED.fullmatch(path):
        return None
    blob = os.path.normpath(Path(shown(path)).parent / link[1].decode())
    return blob if Path(blob).is_file() else None
