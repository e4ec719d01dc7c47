"""A folder store as pandas frames, read by delta-rs: no Spark, no code of ours in between."""

from pathlib import Path
from typing import Any

import pandas as pd
from deltalake import DeltaTable

from instructmining.rules.rule import LinearRule


def table(store: Path, name: str) -> pd.DataFrame:
    """All rows of a table; maps as dictionaries."""
    arrow = DeltaTable(str(store / name)).to_pyarrow_table()
    return arrow.to_pandas(maps_as_pydicts="strict")


def columns(store: Path, name: str, *names: str) -> pd.DataFrame:
    """Some columns of a table, and no other bytes; no row where there is no such table."""
    path = str(store / name)
    if not DeltaTable.is_deltatable(path):
        return pd.DataFrame({column: pd.Series(dtype=str) for column in names})
    frame: pd.DataFrame = DeltaTable(path).to_pandas(columns=list(names))
    return frame


def count(store: Path, name: str) -> int:
    """Rows of a table, without reading them."""
    return int(DeltaTable(str(store / name)).to_pyarrow_dataset().count_rows())


def version(store: Path, name: str) -> int:
    """The table's latest version, −1 where it does not exist."""
    path = str(store / name)
    return DeltaTable(path).version() if DeltaTable.is_deltatable(path) else -1


def measured(store: Path, stage: str) -> pd.DataFrame:
    """What one stage measured: an indicator per column, `tokens`, `truncated_tokens`, `reason`."""
    rows = table(store, "stage_values")
    rows = rows[rows["stage"] == stage].set_index("example_id").sort_index()
    indicators = pd.DataFrame(list(rows["values"]), index=rows.index, dtype=float)
    return indicators.join(rows[["tokens", "truncated_tokens", "reason"]])


def prediction(rule: LinearRule, indicators: pd.DataFrame) -> pd.Series:
    """The rule's predicted log loss, in pandas; NaN where an indicator is."""
    total = pd.Series(rule.intercept, index=indicators.index)
    for name, coefficient in rule.coefficients.items():
        values = indicators[rule.indicator_of(name)]
        hinge = rule.hinges.get(name)
        total = total + coefficient * (values if hinge is None else values.map(hinge.of))
    return total


def markdown(header: list[str], rows: list[list[Any]]) -> str:
    """A table of Markdown, columns aligned so that it reads in a terminal as well."""
    cells = [header, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
