"""A condition that the user writes in SQL: one expression over the columns of a pool's rows."""

import re

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType

from instructmining.errors import UserError

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`")
# No other table, nothing that changes from run to run, and no call into Java.
_REFUSED = re.compile(
    r"(?i)\b(select|with|from|table|java_method|reflect|try_reflect|rand|randn|random|uuid|"
    r"shuffle|current_timestamp|now)\b"
)


def condition(rows: DataFrame, text: str, option: str = "--where") -> Column:
    """The condition as a column of the rows.

    Args:
        rows: whose columns it may name.
        text: what the user wrote.
        option: where, for messages.

    Raises:
        UserError: it is not SQL, not a condition, has a subquery, or names a column that the rows
            do not have; lists those that they have.
    """
    refused = _REFUSED.search(_QUOTED.sub("''", text))
    if refused is not None:
        raise UserError(
            f"{option} {text}: {refused[0]} is not allowed; write a condition over columns of a row"
        )
    try:
        kind = rows.select(F.expr(text).alias("condition")).schema["condition"].dataType
        if isinstance(kind, BooleanType):
            _ = rows.where(F.expr(text)).schema  # refuses what spans rows
    except ParseException:
        raise UserError(f"{option} {text}: that is not a condition in SQL") from None
    except AnalysisException as error:
        if "UNRESOLVED_COLUMN" in str(error):
            known = ", ".join(sorted(rows.columns))
            raise UserError(
                f"{option} {text}: there is no such column; the columns are {known}"
            ) from None
        first = str(error).partition("\n")[0]
        raise UserError(f"{option} {text}: {first}") from None
    if not isinstance(kind, BooleanType):
        raise UserError(f"{option} {text}: that is {kind.simpleString()}, not a condition")
    return F.expr(text)
