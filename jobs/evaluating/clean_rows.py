"""The rows that the user's own labels call clean, which the arm `oracle` draws from."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.selecting.conditions import condition
from instructmining.store.current import current_occurrences, wanted_occurrences
from instructmining.store.tables import Store


def clean_rows(store: Store, pool: str, rows: DataFrame, text: str) -> DataFrame:
    """The rows of the pool of which an occurrence meets the condition.

    Args:
        store: where the occurrences are.
        pool: its name.
        rows: of the evaluation, with `example_id`.
        text: a condition in SQL over the kept columns (`score --keep`), which are strings.

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
            f"--clean {text}: pool {pool!r} has no kept columns: score it with --keep COLUMN"
        )
    labels = occurrences.select(
        "example_id", *(F.col("kept").getItem(name).alias(name) for name in names)
    )
    clean = labels.where(condition(labels, text, "--clean")).select("example_id").distinct()
    return rows.join(clean, "example_id", "left_semi")
