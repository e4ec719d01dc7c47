"""Numbers and columns as SQL reads them, alike in Spark and DuckDB."""

from typing import Literal

Dialect = Literal["spark", "duckdb"]
_QUOTES: dict[Dialect, str] = {"spark": "`", "duckdb": '"'}


def number(value: float) -> str:
    """A literal that is a double, to the last bit, in every dialect: one with an exponent."""
    text = repr(float(value))
    return text.upper() if "e" in text else f"{text}E0"


def value_sql(name: str, dialect: Dialect) -> str:
    """A column as a double; null where it is NaN."""
    quote = _QUOTES[dialect]
    column = quote + name.replace(quote, quote * 2) + quote
    # NaN equals NaN in both dialects.
    return f"NULLIF(CAST({column} AS DOUBLE), CAST('NaN' AS DOUBLE))"
