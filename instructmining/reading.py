"""From what the user names to raw records: files, folders, globs and tables, kinds detected."""

import bz2
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from instructmining.containers import READERS, display_path
from instructmining.errors import UserError
from instructmining.tables import absolute

_COMPRESSIONS = (".gz", ".bz2")
_MAX_ARRAY_BYTES = 1 << 30
_UNKNOWN = "unknown"
_SNIFFED_LINES, _SNIFFED_BYTES = 50, 4096  # enough to see whether a file opens with a bracket
_KINDS = ".json, .jsonl, .ndjson and .csv (each also .gz or .bz2), .parquet, or a Delta folder"


@dataclass(frozen=True)
class Input:
    """One file or table to read and the layout of its container."""

    path: str
    container: str  # lines, array, csv, parquet, delta, or unknown


def find_inputs(spark: SparkSession, names: tuple[str, ...]) -> tuple[list[Input], list[str]]:
    """Expand files, globs, folders and tables; decide each one's container.

    Returns:
        What to read, and the files of folders and globs that are left out as no known kind.

    Raises:
        UserError: nothing is found, or a file that was named itself is of no known kind.
    """
    if not names:
        raise UserError("--input is missing: name files, folders, globs or tables")
    found = [each for name in names for each in _expand(spark, name)]
    inputs = [each for each in found if each.container != _UNKNOWN]
    if not inputs:
        raise UserError(f"no file of a known kind in {', '.join(names)}: {_KINDS}")
    return inputs, [display_path(each.path) for each in found if each.container == _UNKNOWN]


def read_records(spark: SparkSession, inputs: list[Input]) -> DataFrame:
    """All records of all inputs."""
    frames = []
    for container, read in READERS.items():
        paths = [each.path for each in inputs if each.container == container]
        if paths:
            frames.append(read(spark, paths))
    united = frames[0]
    for frame in frames[1:]:
        united = united.unionByName(frame)
    return united


def _expand(spark: SparkSession, name: str) -> list[Input]:
    if name.startswith("table:"):
        return [Input(name.removeprefix("table:"), "delta")]
    path = absolute(name.removeprefix("path:"))
    if _is_delta(spark, path):
        return [Input(path, "delta")]
    try:
        listing = (
            spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
            .select("path", "length").collect()
        )  # fmt: skip
    except Exception as error:
        if "PATH_NOT_FOUND" in str(error) or "does not exist" in str(error):
            hint = "" if "/" in name or "." not in name else f" (for a table write table:{name})"
            raise UserError(f"--input {name}: there is no such file or folder{hint}") from None
        raise
    found = [Input(row.path, _container(spark, row.path, row.length)) for row in sorted(listing)]
    if len(found) == 1 and found[0].container == _UNKNOWN:
        raise UserError(f"{display_path(found[0].path)} is of no known kind: {_KINDS}")
    return found


def _is_delta(spark: SparkSession, path: str) -> bool:
    from delta.tables import DeltaTable

    return "*" not in path and bool(DeltaTable.isDeltaTable(spark, path))


def _container(spark: SparkSession, path: str, length: int) -> str:
    name = path.lower()
    for suffix in _COMPRESSIONS:
        name = name.removesuffix(suffix)
    if name.endswith(".csv"):
        return "csv"
    if name.endswith(".parquet"):
        return "parquet"
    if not name.endswith((".json", ".jsonl", ".ndjson")):
        return _UNKNOWN
    if not _starts_with_bracket(spark, path):
        return "lines"
    if length > _MAX_ARRAY_BYTES:
        raise UserError(
            f"{display_path(path)}: a JSON array over 1 GiB cannot be split; make it JSON lines "
            f"with `jq -c '.[]' {display_path(path)} > {display_path(path)}l`"
        )
    return "array"


def _starts_with_bracket(spark: SparkSession, path: str) -> bool:
    for line in _first_lines(spark, path):
        start = line.lstrip("\ufeff \t\r\n")
        if start:
            return start.startswith("[")
    return False


def _first_lines(spark: SparkSession, path: str) -> Iterator[str]:
    local = Path(display_path(path))
    if not local.is_file():  # not a file system of the driver: Spark reads it, at a job's cost
        for row in spark.read.text(path).limit(_SNIFFED_LINES).collect():
            yield row.value or ""
        return
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open}
    with openers.get(local.suffix.lower(), open)(local, "rb") as file:
        for _ in range(_SNIFFED_LINES):
            yield file.readline(_SNIFFED_BYTES).decode("utf-8", "replace")
