"""What the data contract says of a table and of a column."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Column:
    """One column: name, Spark SQL type, comment; `required` refuses null.

    `by_store` is for what the store itself sets in every row that it writes.
    """

    name: str
    type: str
    comment: str
    required: bool = False
    by_store: bool = False


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
    def given(self) -> "Table":
        """The table without the columns that the store sets: what a writer gives."""
        return replace(self, columns=tuple(c for c in self.columns if not c.by_store))

    @property
    def ddl(self) -> str:
        """The columns as Spark reads a schema."""
        return ", ".join(f"`{column.name}` {column.type}" for column in self.columns)
