"""Write chosen examples: JSON lines through the driver one by one, tables by Spark."""

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pyspark.sql import DataFrame, Row

from instructmining.errors import UserError
from instructmining.layouts.writing import record_of
from instructmining.selecting.export_target import Target, of_layout
from instructmining.selecting.record_shapes import count_shapes, shape_of_row, short_names

_BREAK = re.compile(r"\s*[\r\n]\s*")
TABLE_COLUMNS = (
    "rank",
    "example_id",
    "source",
    "score",
    "prompt",
    "response",
    "messages",
    "structure",
    "raw",
)


@dataclass(frozen=True)
class Written:
    """What an export left.

    Attributes:
        places: the file or files, or the table.
        layout: of the records, in words.
        notes: sentences about what was not written as it came.
    """

    places: list[str]
    layout: str
    notes: list[str]


def write(rows: DataFrame, target: Target, overwrite: bool) -> Written:
    """Write the examples, the best first.

    Records that came in several layouts are converted to `messages`, or with the layout `original`
    go into one file per layout: a trainer reads files of one layout.

    Args:
        rows: `TABLE_COLUMNS` and `format`.
        target: where to.
        overwrite: replace what is there; a file is replaced at once, when it is complete.

    Raises:
        UserError: a layout cannot hold a conversation, or the place cannot be written.
    """
    ordered = rows.select(*TABLE_COLUMNS, "format").orderBy("rank")
    if target.kind == "lines" and target.layout in ("auto", "original"):
        return _write_as_they_came(ordered, target, overwrite)
    if target.kind == "lines":
        _write_converted(ordered, Path(target.place), target.layout)
        return Written([target.place], f"`{target.layout}`", [])
    write_table(ordered.drop("format"), target, overwrite)
    columns = ", ".join(TABLE_COLUMNS)
    return Written([target.place], f"a table with the columns {columns}", [])


def write_table(ordered: DataFrame, target: Target, overwrite: bool) -> None:
    """Write the rows by the tasks, as Parquet, as Delta or as a table of the catalog.

    Raises:
        UserError: something is there, and it is not to be replaced.
    """
    writer = ordered.write.format("parquet" if target.kind == "parquet" else "delta")
    writer = writer.mode("overwrite" if overwrite else "error")
    if target.kind != "parquet":
        writer = writer.option("overwriteSchema", "true") if overwrite else writer
    try:
        writer.saveAsTable(target.place) if target.kind == "table" else writer.save(target.place)
    except Exception as error:
        if "ALREADY_EXISTS" in str(error) or "already exist" in str(error):
            raise UserError(f"{target.place} exists: give another --to, or --overwrite") from None
        raise


def _write_as_they_came(ordered: DataFrame, target: Target, overwrite: bool) -> Written:
    shapes = count_shapes(ordered)
    path = Path(target.place)
    if len(shapes) == 1:
        notes = _joined(_write_raw(ordered, dict.fromkeys(shapes, path)))
        return Written([target.place], f"as they came: {next(iter(shapes))}", notes)
    counted = ", ".join(f"{count:,} {shape}" for shape, count in sorted(shapes.items()))
    several = f"the chosen records came in {len(shapes)} layouts: {counted}"
    if target.layout == "auto":
        _write_converted(ordered, path, "messages")
        notes = [
            f"{several}; all were written as messages, since no trainer reads such a mixture; "
            "--as original writes one file per layout"
        ]
        return Written([target.place], "`messages`, converted", notes)
    paths = {shape: of_layout(path, name) for shape, name in short_names(shapes).items()}
    refuse_files(paths.values() if not overwrite else ())
    notes = _joined(_write_raw(ordered, paths))
    places = [str(paths[shape]) for shape in sorted(shapes)]
    said = "as they came, one file per layout: " + ", ".join(
        f"{shape} in {paths[shape].name}" for shape in sorted(shapes)
    )
    return Written(places, said, [f"{several}; each has a file of its own", *notes])


def refuse_files(paths: Iterable[Path]) -> None:
    """Refuse to write over files.

    Raises:
        UserError: one of them is there.
    """
    for path in paths:
        if path.exists():
            raise UserError(f"{path} exists: give another --to, or --overwrite")


def _joined(count: int) -> list[str]:
    return [f"{count:,} records of several lines were put on one line each"] * (count > 0)


def one_line(raw: str) -> str:
    """The record on one line: its bytes, but for breaks between its values.

    A line break inside a JSON string is not allowed; where a lenient reader took one, it becomes
    an escape.
    """
    if "\n" not in raw and "\r" not in raw:
        return raw
    try:
        json.loads(raw)
    except ValueError:
        return json.dumps(json.loads(raw, strict=False), ensure_ascii=False)
    return _BREAK.sub(" ", raw)


def _write_raw(ordered: DataFrame, paths: Mapping[str, Path]) -> int:
    """Each record into the file of its shape; how many of several lines were put on one.

    Partition by partition: the driver holds one of them at a time.
    """
    joined = 0
    columns = ("raw",) if len(paths) == 1 else ("format", "raw", "messages", "response")
    with ExitStack() as stack:
        files = {shape: stack.enter_context(replacing(path)) for shape, path in paths.items()}
        only = next(iter(files.values()))
        for row in ordered.select(*columns).toLocalIterator():
            file = only if len(files) == 1 else files[shape_of_row(row.asDict(recursive=True))]
            file.write((one_line(row.raw) + "\n").encode())
            joined += "\n" in row.raw or "\r" in row.raw
    return joined


def _write_converted(ordered: DataFrame, path: Path, layout: str) -> None:
    with replacing(path) as file:
        for row in ordered.select("example_id", "messages", "structure").toLocalIterator():
            file.write(json_line(_converted(row, layout)))


def _converted(row: Row, layout: str) -> dict[str, Any]:
    messages = [{"role": m.role, "content": m.content} for m in row.messages]
    structure = json.loads(row.structure) if row.structure else None
    try:
        return record_of(messages, layout, structure)
    except UserError as error:
        raise UserError(f"example {row.example_id}: {error}") from None


def json_line(record: Mapping[str, Any]) -> bytes:
    """The record as one line of a file of JSON lines."""
    return (json.dumps(record, ensure_ascii=False) + "\n").encode()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when it is complete, and never half of it."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as plain:
            if path.suffix == ".gz":  # no name and no time in it: equal rows give equal bytes
                with gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield plain
        part.replace(path)
    except OSError as error:
        raise UserError(f"--to {path} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
