"""Rows of a pool with what the floor and `--where` go by: text features, languages, quality."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.selecting.floor import REASON, left_out, with_floor
from instructmining.selecting.quality import with_quality
from instructmining.settings.learning import Floor, Select
from instructmining.store.tables import Store
from jobs.selecting.text_features import store_text_features, with_text_features
from udfs.indicators import load_model_list
from udfs.texts.language import can_tell_languages

_LOOKED_AT = 200  # rows, of which a page shows three
_NO_LANGUAGES = "languages are not known here: pip install py3langid"


@dataclass(frozen=True)
class Marked:
    """Rows to choose from.

    Attributes:
        rows: of the pool.
        reasons: why the floor leaves rows out, with their numbers.
        notes: sentences on what is left out.
    """

    rows: DataFrame
    reasons: dict[str, int]
    notes: list[str]


@contextmanager
def marked(
    store: Store, rows: DataFrame, select: Select, floor: Floor, models: str, run_id: str
) -> Iterator[Marked]:
    """The rows, marked where the floor leaves them out, and sentences on what is left out.

    Args:
        store: holds the texts, and knows what measured.
        rows: as `selection.candidates` gives them.
        select: the strategy and what is asked for beside it.
        floor: what nobody should learn from.
        models: name of the model list.
        run_id: of the run that stores features of texts that have none yet.

    Yields:
        The rows with `quality`, the text features, the languages and `floor_reason`, at hand until
        the end of the block; the rows as they came where nothing goes by any of these.
    """
    if not goes_by_marks(select):
        yield Marked(rows, *left_out(rows, select))
        return
    with_marks = marks(store, rows, floor, models, run_id).persist()
    try:
        reasons, notes = left_out(with_marks, select)
        notes += [_NO_LANGUAGES] * (not can_tell_languages())
        yield Marked(with_marks, reasons, notes)
    finally:
        with_marks.unpersist()


def goes_by_marks(select: Select) -> bool:
    """Whether a choice goes by more than what is stored as scores."""
    return select.floor == "on" or select.where is not None or select.strategy == "quality"


def marks(store: Store, rows: DataFrame, floor: Floor, models: str, run_id: str) -> DataFrame:
    """The rows with `quality`, length, features and languages of the texts, and `floor_reason`."""
    store_text_features(store, rows, run_id)
    together = with_quality(with_text_features(store, rows))
    return with_floor(together, floor, languages(store, floor, models))


def best_above_floor(store: Store, scores: DataFrame, floor: Floor, models: str) -> DataFrame:
    """Of the rows with the lowest predictions those that the floor leaves in, marked.

    Only as many are looked at as a page needs, and their texts' features are stored before. The
    percentile of quality is of a whole pool, so that it plays no part here.
    """
    known = scores.where(F.col("predicted_log_loss").isNotNull())
    best = known.orderBy("predicted_log_loss", "example_id").limit(_LOOKED_AT)
    rows = with_text_features(store, best).withColumn("quality", F.lit(None).cast("double"))
    rows = with_floor(rows, floor, languages(store, floor, models))
    return rows.where(F.col(REASON).isNull())


def languages(store: Store, floor: Floor, models: str) -> Sequence[str]:
    """The languages that are chosen: the setting, else what the models read that measured here."""
    if floor.languages:
        return () if "any" in floor.languages else floor.languages
    listed = load_model_list(models)
    rows = store.read("fingerprints").select("source").distinct().collect()
    known = {row.source for row in rows}
    named = {spec.origin for spec in listed.stages.values() if spec.origin}
    return listed.reads if named <= known else ()
