"""Write chosen examples: JSON lines through the driver one by one, tables by Spark."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pyspark.sql import DataFrame, Row, SparkSession

from instructmining.errors import UserError
from instructmining.layouts.writing import LAYOUTS, record_of
from instructmining.settings.sections import Export
from instructmining.spark.paths import absolute

Kind = Literal["lines", "parquet", "delta", "table"]
_ENDINGS: tuple[tuple[str, Kind], ...] = (
    (".jsonl", "lines"),
    (".ndjson", "lines"),
    (".jsonl.gz", "lines"),
    (".ndjson.gz", "lines"),
    (".parquet", "parquet"),
    (".delta", "delta"),
)
_BREAK = re.compile(r"\s*[\r\n]\s*")
TABLE_COLUMNS = ("rank", "example_id", "source", "score", "prompt", "response", "messages", "raw")


@dataclass(frozen=True)
class Target:
    """Where an export goes.

    Attributes:
        kind: one file of JSON lines, a folder of Parquet or Delta, or a table of the catalog.
        place: an absolute path or URI, or the table's name.
        layout: `original`, or a name of `exporting.LAYOUTS`; of JSON lines only.
    """

    kind: Kind
    place: str
    layout: str

    @property
    def is_local(self) -> bool:
        """Whether Python itself can look at the place."""
        return self.kind != "table" and "://" not in self.place

    @property
    def card(self) -> Path | None:
        """The file of the dataset card, beside the export."""
        if not self.is_local:
            return None
        path = Path(self.place)
        return path.with_name(re.sub(r"(\.[a-z]+)(\.gz)?$", "", path.name) + ".md")


def target_of(export: Export) -> Target | None:
    """What `--to` and `--as` mean together; None where nothing is to be exported.

    Raises:
        UserError: the ending says no format, or the layout is of another one.
    """
    if export.to is None:
        return None
    form = export.layout if export.layout in ("parquet", "delta") else None
    known = ("original", *LAYOUTS, "parquet", "delta")
    if export.layout not in known:
        raise UserError(f"--as {export.layout}: name one of {', '.join(known)}")
    if export.to.startswith("table:"):
        target = Target("table", export.to.removeprefix("table:"), "original")
    else:
        ending = next((kind for end, kind in _ENDINGS if export.to.endswith(end)), None)
        kind = form or ending
        if kind is None or (form and ending not in (None, form)):
            raise UserError(
                f"--to {export.to}: end it in .jsonl, .jsonl.gz, .parquet or .delta, "
                "or write table:NAME, or a folder with --as parquet"
            )
        target = Target(kind, absolute(export.to), export.layout if kind == "lines" else "original")  # type: ignore[arg-type]
    if target.kind != "lines" and export.layout in LAYOUTS:
        raise UserError(
            f"--as {export.layout} is of JSON lines, and --to {export.to} is none: a "
            "table has the columns prompt, response, messages and raw"
        )
    if target.kind == "lines" and not target.is_local:
        raise UserError(
            f"--to {export.to}: a single file is written to a local or mounted path; "
            "for this place end it in .parquet or .delta"
        )
    return target


def refuse_existing(spark: SparkSession, target: Target, overwrite: bool) -> None:
    """Never write over what is there, unless told to.

    Raises:
        UserError: there is something, or the place cannot hold the file.
    """
    if target.kind == "table":
        existing = [target.place] if spark.catalog.tableExists(target.place) else []
    else:
        local = [Path(target.place), target.card] if target.is_local else []
        existing = [str(path) for path in local if path is not None and path.exists()]
        if target.kind == "lines" and Path(target.place).is_dir():
            raise UserError(f"--to {target.place} is a folder, and JSON lines are one file")
    if existing and not overwrite:
        raise UserError(f"{existing[0]} exists: give another --to, or --overwrite")


def write(rows: DataFrame, target: Target, overwrite: bool) -> int:
    """Write the examples, the best first.

    Args:
        rows: `TABLE_COLUMNS`.
        target: where to.
        overwrite: replace what is there; a file is replaced at once, when it is complete.

    Returns:
        Of JSON lines, how many records of several lines were put on one; else 0.

    Raises:
        UserError: a layout cannot hold a conversation, or the place cannot be written.
    """
    ordered = rows.select(*TABLE_COLUMNS).orderBy("rank")
    if target.kind == "lines":
        return _write_lines(ordered, Path(target.place), target.layout)
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
    return 0


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


def _write_lines(ordered: DataFrame, path: Path, layout: str) -> int:
    """Partition by partition: the driver holds one of them at a time."""
    line = _liner(layout)
    column = "raw" if layout == "original" else "messages"
    joined = 0
    with _replacing(path) as file:
        for row in ordered.select("example_id", column).toLocalIterator():
            file.write((line(row) + "\n").encode())
            joined += layout == "original" and ("\n" in row.raw or "\r" in row.raw)
    return joined


def _liner(layout: str) -> Callable[[Row], str]:
    if layout == "original":
        return lambda row: one_line(row.raw)

    def converted(row: Row) -> str:
        messages = [{"role": m.role, "content": m.content} for m in row.messages]
        try:
            return json.dumps(record_of(messages, layout), ensure_ascii=False)
        except UserError as error:
            raise UserError(f"example {row.example_id}: {error}") from None

    return converted


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
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
