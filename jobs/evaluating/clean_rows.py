"""The rows that the user's own labels call clean, which the arm `oracle` draws from."""

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.store.current import current_occurrences, wanted_occurrences
from instructmining.store.tables import Store


def clean_rows(store: Store, pool: str, rows: DataFrame, condition: str) -> DataFrame:
    """The rows of the pool of which an occurrence meets the condition.

    Args:
        store: where the occurrences are.
        pool: its name.
        rows: of the evaluation, with `example_id`.
        condition: SQL over the columns that were kept (`score --keep`), which are strings.

    Raises:
        UserError: no column was kept, or the condition cannot be read.
    """
    occurrences = wanted_occurrences(current_occurrences(store, pool))
    names = sorted(
        row.name
        for row in occurrences.select(F.explode(F.map_keys("kept")).alias("name"))
        .distinct()
        .collect()
    )
    if not names:
        raise UserError(
            f"--clean {condition}: pool {pool!r} has no kept columns: score it with --keep COLUMN"
        )
    labels = occurrences.select(
        "example_id", *(F.col("kept").getItem(name).alias(name) for name in names)
    )
    try:
        clean = labels.where(condition).select("example_id").distinct()
    except (AnalysisException, ParseException):
        raise UserError(
            f"--clean {condition}: not a condition in SQL over {', '.join(names)}"
        ) from None
    return rows.join(clean, "example_id", "left_semi")
