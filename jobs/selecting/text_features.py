"""What the texts of a pool say without a model, computed once and kept in the store.

A choice goes by features and languages of every text of its pool. To tell languages takes as long
for a row as all else of a choice together, so it is done once for each example.
"""

from collections.abc import Mapping
from importlib.metadata import version

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.features.columns import feature_columns
from instructmining.features.names import LANGUAGES
from instructmining.store.tables import Store
from udfs.texts.language import can_tell_languages, language_column

TABLE = "text_features"
_FEATURES = 1  # raised with each change of what a feature or a language of the same text is


def store_text_features(store: Store, rows: DataFrame, run_id: str) -> int:
    """Compute what the store lacks of the texts of the rows' examples.

    Args:
        store: has the texts, and gets the features.
        rows: with `example_id`.
        run_id: of the run that adds them.

    Returns:
        How many examples were added.
    """
    at = store.version(TABLE)

    def lacking() -> DataFrame:
        return rows.select("example_id").join(_stored(store), "example_id", "left_anti")

    def missing() -> DataFrame:
        texts = store.read("examples").join(lacking(), "example_id", "left_semi")
        return texts.withColumns({**_columns(), "run_id": F.lit(run_id)})

    seen = (at, lacking().count())
    return store.insert(missing, TABLE, run_id, {"run_id": run_id}, seen)


def with_text_features(store: Store, rows: DataFrame) -> DataFrame:
    """The rows with length, features and languages of their texts, null where not stored yet."""
    features = _stored(store).drop("bucket", "definition", "run_id")
    return rows.join(features, "example_id", "left")


def languages_of(store: Store, rows: DataFrame, name: str) -> DataFrame:
    """`example_id` and the language of one side of the rows' examples, null where nobody can say.

    What is not stored is told here, and nothing is written.

    Args:
        store: has the texts.
        rows: with `example_id`.
        name: `prompt_language` or `response_language`.
    """
    ids = rows.select("example_id")
    stored = _stored(store).select("example_id", name)
    lacking = ids.join(stored, "example_id", "left_anti")
    texts = store.read("examples").join(lacking, "example_id", "left_semi")
    told = texts.select("example_id", _columns()[name].alias(name))
    return stored.join(ids, "example_id", "left_semi").unionByName(told)


def definition() -> str:
    """How features and languages are computed, as the table names it."""
    told = f"py3langid {version('py3langid')}" if can_tell_languages() else "no languages"
    return f"features {_FEATURES}, {told}"


def _stored(store: Store) -> DataFrame:
    return store.read(TABLE).where(F.col("definition") == definition())


def _columns() -> Mapping[str, Column]:
    """The columns of the table, of rows of the table `examples`."""
    unknown = F.lit(None).cast("string")
    languages = {
        name: language_column(F.col(name.removesuffix("_language")))
        if can_tell_languages()
        else unknown
        for name in LANGUAGES
    }
    return {
        **feature_columns(),
        "response_characters": F.length("response"),
        **languages,
        "definition": F.lit(definition()),
    }
