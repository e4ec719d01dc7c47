"""Why is this group bad: which terms move the prediction of a source, length, language, column."""

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.features.names import LANGUAGES
from instructmining.report.groups import Group, groups_of, page
from instructmining.report.scored import Scored, open_scores
from instructmining.settings.sections import Settings
from instructmining.snippets import snippet
from instructmining.store.distributions import quoted
from instructmining.store.tables import Store
from jobs.selecting.text_features import languages_of
from udfs.texts.language import can_tell_languages

_CHARACTERS = 100  # of an example
_NONE = "(none)"


def run(spark: SparkSession, settings: Settings) -> str:
    """Print the page and return it.

    Raises:
        UserError: the pool has no scores, or there is no such column.
    """
    store = Store.open(spark, settings.store)
    scored = open_scores(store, settings.pool, settings.rule.source, settings.tracking)
    rows = _grouped(scored, settings.explain.by).persist()
    groups = groups_of(_sums(rows, scored.terms), list(scored.terms))
    largest = sorted(groups, key=lambda group: -group.size)[: settings.explain.groups]
    shown = [group for group in groups if group in largest]
    by = settings.explain.by
    title = (
        f"InstructMining · explain pool {settings.pool} by {by} · rule {scored.rule_name} "
        f"{scored.rule_version}"
    )
    text = page(shown, _telling(store, rows, shown), title)
    rows.unpersist()
    if len(shown) < len(groups):
        text += f"\n\n{len(groups) - len(shown):,} smaller groups are not shown (explain.groups)"
    print(text)
    return text


def _grouped(scored: Scored, by: str) -> DataFrame:
    """The rows of the scores with the column `name`, of their group."""
    if by == "source":
        return scored.rows.withColumn("name", F.col("source"))
    if by == "length":
        return scored.rows.withColumn("name", _quarter(scored.rows))
    occurrences = scored.store.read("occurrences").where(F.col("pool") == scored.pool)
    value = F.try_element_at("kept", F.lit(by))
    known = occurrences.groupBy("example_id").agg(F.min(value).alias("name"))
    if by in LANGUAGES or known.where("name IS NOT NULL").isEmpty():
        if by not in (*LANGUAGES, "language"):
            names = (
                occurrences.select(F.explode(F.map_keys("kept")).alias("key")).distinct().limit(20)
            )
            own = sorted(row.key for row in names.collect())
            there = ", ".join(dict.fromkeys(["source", "length", "language", *own]))
            raise UserError(f"--by {by}: the pool keeps no such column; there are {there}")
        known = _languages(scored, by if by in LANGUAGES else "response_language")
    joined = scored.rows.join(known, "example_id", "left")
    return joined.withColumn("name", F.coalesce("name", F.lit(_NONE)))


def _languages(scored: Scored, name: str) -> DataFrame:
    """`example_id, name`: the language of one side of each example, where one can be sure.

    Raises:
        UserError: what tells languages is not installed.
    """
    if not can_tell_languages():
        raise UserError("--by language: languages are not known here: pip install py3langid")
    return languages_of(scored.store, scored.rows, name).withColumnRenamed(name, "name")


def _quarter(rows: DataFrame) -> Column:
    """The quarter of the pool by the length of the response, in tokens."""
    cuts = rows.approxQuantile("output_length", [0.25, 0.5, 0.75], 0.001)
    if len(cuts) < 3:
        raise UserError("--by length: the pool has no output_length, which perplexity measures")
    low, middle, high = (round(cut) for cut in cuts)
    length = F.col("output_length")
    return (
        F.when(length.isNull(), F.lit(_NONE))
        .when(length <= low, F.lit(f"up to {low:,} tokens"))
        .when(length <= middle, F.lit(f"{low + 1:,} to {middle:,} tokens"))
        .when(length <= high, F.lit(f"{middle + 1:,} to {high:,} tokens"))
        .otherwise(F.lit(f"over {high:,} tokens"))
    )


def _sums(rows: DataFrame, terms: Mapping[str, str]) -> list[dict[str, object]]:
    """What `groups_of` reads."""
    has = F.col("predicted_log_loss").isNotNull()
    sums = {"loss": F.sum("predicted_log_loss")}
    for term, indicator in terms.items():
        sums[f"contribution_{term}"] = F.sum(F.when(has, quoted(f"contribution_{term}")))
        sums[f"value_{term}"] = F.sum(F.when(has, quoted(indicator)))
    counted = rows.groupBy("name").agg(
        F.count("*").alias("size"),
        F.count_if(has).alias("scored"),
        *(column.alias(name) for name, column in sums.items()),
    )
    return [row.asDict() for row in counted.collect()]


def _telling(store: Store, rows: DataFrame, groups: Sequence[Group]) -> dict[str, str]:
    """Of each group the example in which what moves the group most is strongest."""
    if not groups:
        return {}
    strength: Column = reduce(
        lambda column, group: column.when(F.col("name") == group.name, _strength(group)),
        groups[1:],
        F.when(F.col("name") == groups[0].name, _strength(groups[0])),
    )
    rows = rows.where("predicted_log_loss IS NOT NULL").withColumn("strength", strength)
    best = (
        rows.where("strength IS NOT NULL")
        .groupBy("name")
        .agg(F.max_by("example_id", F.struct("strength", "example_id")).alias("example_id"))
    )
    texts = store.read("examples").select("example_id", "prompt", "response")
    return {
        row["name"]: snippet(f"{row.prompt} → {row.response}", _CHARACTERS)
        for row in best.join(texts, "example_id").collect()
    }


def _strength(group: Group) -> Column:
    move = group.moves[0]
    contribution = quoted(f"contribution_{move.term}")
    return contribution if move.difference > 0 else -contribution
