"""The data contract as SQL: what creates a table, and values quoted for a condition."""

from instructmining.store.table import Column, Table


def create_table_sql(table: Table, name: str, checked: bool) -> str:
    """`CREATE TABLE` with comments, clustering and properties.

    Args:
        table: a table of the data contract.
        name: its name in SQL, quoted.
        checked: with its constraints too, as properties; a catalog may want them added later.
    """
    columns = ", ".join(_column_sql(column) for column in table.columns)
    clustering = f"CLUSTER BY ({', '.join(table.cluster_by)}) " if table.cluster_by else ""
    checks = "".join(
        f", 'delta.constraints.{name}' = {sql_text(condition)}"
        for name, condition in (table.constraints if checked else ())
    )
    return (
        f"CREATE TABLE IF NOT EXISTS {name} ({columns}) USING delta {clustering}"
        f"COMMENT '{table.comment}' TBLPROPERTIES ("
        # Other readers (DuckDB, delta-rs) must be able to open what we write.
        "'delta.enableDeletionVectors' = 'false', 'instructmining.contract' = '1'"
        f"{checks})"
    )


def sql_text(value: str) -> str:
    """A string as an SQL literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _column_sql(column: Column) -> str:
    required = " NOT NULL" if column.required else ""
    comment = column.comment.replace("'", "\\'")
    return f"`{column.name}` {column.type}{required} COMMENT '{comment}'"
