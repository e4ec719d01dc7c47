"""Which fields of the input no layout has read: for the summary, and for `--strict-fields`."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError

_LISTED = 12


@dataclass(frozen=True)
class UnreadField:
    """A field with text that is in no example."""

    name: str  # its path; `[]` stands for the elements of a list
    rows: int  # usable rows in which it has text
    source: str  # where it stands first, with what
    position: int
    text: str  # cut

    def line(self) -> str:
        """Name, rows and the instance."""
        return (
            f"{self.name} (rows: {self.rows:,}), as in {self.source} {self.position}: {self.text}"
        )


def unread_fields(rows: DataFrame) -> list[UnreadField]:
    """The fields that were not read, those of most rows first.

    Args:
        rows: as `with_standard_form` gives them.
    """
    usable = rows.where(F.col("reason").isNull())
    fields = usable.select("source", "position", F.explode("unread").alias("name", "text"))
    first = F.min(F.struct("source", "position", "text")).alias("first")
    counted = fields.groupBy("name").agg(F.count("*").alias("rows"), first)
    return [
        UnreadField(row.name, row["rows"], row.first.source, row.first.position, row.first.text)
        for row in counted.orderBy(F.desc("rows"), "name").collect()
    ]


def unread_lines(fields: Sequence[UnreadField]) -> list[str]:
    """What the summary says of them; nothing where there are none."""
    if not fields:
        return []
    more = f" (the first {_LISTED})" if len(fields) > _LISTED else ""
    title = f"  {len(fields):,} fields with text are in no example{more}; --keep NAME keeps one:"
    return [title, *(f"    {field.line()}" for field in fields[:_LISTED])]


def refuse_unread(fields: Sequence[UnreadField]) -> None:
    """What `--strict-fields` does.

    Raises:
        UserError: there are such fields.
    """
    if not fields:
        return
    named = "; ".join(field.line() for field in fields[:_LISTED])
    raise UserError(
        f"--strict-fields: {len(fields):,} fields with text are in no example: {named}; "
        "name them with --columns, keep them with --keep, or leave out --strict-fields"
    )


def names_or_null() -> Column:
    """The names of a row's unread fields; null where there are none."""
    names = F.map_keys("unread")
    return F.when(F.size(names) > 0, names)
