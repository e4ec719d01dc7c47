"""What the data contract says of a table and of a column."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column: name, Spark SQL type, comment; `required` refuses null."""

    name: str
    type: str
    comment: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """One table of the store."""

    comment: str
    columns: tuple[Column, ...]
    cluster_by: tuple[str, ...] = ()
    constraints: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    @property
    def ddl(self) -> str:
        """The columns as Spark reads a schema."""
        return ", ".join(f"`{column.name}` {column.type}" for column in self.columns)
