"""Choose examples of a scored pool: native Spark columns only, no model and no Python worker.

A strategy gives every example a score and says which end of it is better; rows without a score are
never chosen. Equal scores are ordered by `example_id`, so that the same rows give the same choice
however they are partitioned. There is no window without a partition: the best rows come from an
order with a limit, quotas from windows per source, a token budget from windows per band of scores.
"""

from dataclasses import dataclass
from math import isfinite

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.rules.rule import LinearRule, built_in_rules
from instructmining.scoring.scores import Measured, indicator_names, scores_of, with_indicators
from instructmining.selecting.floor import eligible
from instructmining.selecting.quotas import sources_of, within_quotas
from instructmining.settings.learning import Select
from instructmining.store.current import current_occurrences, wanted_occurrences
from instructmining.store.tables import Store

_BANDS = 64  # of scores: only the one in which a budget ends is summed up row by row
_HASH_BITS = 53  # that a double holds exactly
SIZES = ("top", "fraction", "tokens", "threshold", "percentile", "size")


@dataclass(frozen=True)
class Strategy:
    """How examples are ordered.

    Attributes:
        column: what the score is read from; empty: from the example's id and the seed.
        highest: whether the highest score is best, else the lowest.
        about: the same in words.
    """

    column: str
    highest: bool
    about: str


STRATEGIES: dict[str, Strategy] = {
    "rule": Strategy("predicted_log_loss", False, "lowest predicted log loss first"),
    "quality": Strategy(
        "quality", True, "highest minimum percentile of the quality indicators first"
    ),
    "random": Strategy("", False, "by a hash of id and seed"),
    "longest": Strategy("output_length", True, "longest response first"),
    "highest_reward": Strategy("reward", True, "highest reward first"),
    "lowest_perplexity": Strategy("perplexity", False, "lowest perplexity first"),
    # Li et al. (arXiv 2308.12032): a high ratio means the prompt helps little, so there is most to
    # learn; from 1 on the prompt does not help at all, which is taken as a sign of a bad pair.
    "ifd": Strategy("ifd", True, "highest IFD below 1 first"),
    # Which of them are taken, in turn of the targets, is in `jobs.selecting.for_target`.
    "target": Strategy("target_similarity", True, "most like a target first, in turn of targets"),
}


def candidates(
    store: Store,
    pool: str,
    rule: LinearRule | None,
    measured: Measured | None = None,
    only_current: bool = True,
    with_rejected: bool = False,
) -> DataFrame:
    """One row per example of the pool, with what the strategies choose by.

    Args:
        store: where the tables are.
        pool: its name.
        rule: whose stored scores are read; None: the indicators alone, no prediction.
        measured: which models' indicators, needed only without a rule.
        only_current: leave out what stands in no source any more, see `store.current`.
        with_rejected: keep answers that their data mark as rejected.

    Returns:
        `example_id`, `source` (the first by name, where it has several), `copies` (further records
        with the same example), the indicators, `predicted_log_loss` (lower is better),
        `percentile`, `missing_reason`, `predicted_indicators` (not measured, see `cascading`),
        `out_of_range`. Null where not measured, or not scored since it was added.

    Raises:
        UserError: the pool is empty, or was never scored with the rule.
    """
    if rule is None:
        _refuse_empty(store, pool)
    records = store.read("occurrences").where(F.col("pool") == pool)
    if only_current:
        records = current_occurrences(store, pool)
    if not with_rejected:
        records = wanted_occurrences(records)
    examples = records.groupBy("example_id").agg(
        F.min("source").alias("source"), (F.count("*") - 1).alias("copies")
    )
    if rule is not None:
        return examples.join(_scored(store, pool, rule), "example_id", "left")
    if measured is None:
        raise ValueError("candidates without a rule need to know what measured them")
    indicators = with_indicators(store, examples, pool, measured, [measured.knn.neighbors])
    reasons = [name for name in indicators.columns if name.startswith("reason_")]
    indicators = indicators.drop(*reasons)
    absent = {"predicted_log_loss": "double", "percentile": "double", "missing_reason": "string"}
    absent["out_of_range"] = "boolean"
    empty = {name: F.lit(None).cast(kind) for name, kind in absent.items()}
    return examples.join(indicators, "example_id", "left").withColumns(empty)


def pick(rows: DataFrame, select: Select) -> DataFrame:
    """The chosen examples; diversity, which needs embeddings, is in `jobs.selecting.diverse`.

    Args:
        rows: as `candidates` gives them.
        select: strategy, size, quotas, seed.

    Returns:
        `example_id`, `rank` (from 1, the best), `score` (of the strategy, in its own unit).

    Raises:
        UserError: no such strategy, not exactly one size, a quota that matches no source, or an
            indicator that the strategy needs and the pool does not have.
    """
    return ranked(chosen(rows, select))


def chosen(rows: DataFrame, select: Select) -> DataFrame:
    """What `pick` chooses, not ranked yet: `example_id, source, tokens, score, cost`.

    `cost` is the score with its sign turned where the highest is best: lower is better.
    """
    check(rows, select)
    size = wanted(rows, select)
    scored = with_score(rows, select)
    if select.quota or select.per_source:
        in_pool = sources_of(rows) if select.quota else []
        scored = within_quotas(scored, in_pool, select.quota, select.per_source, size)
    if size is not None:
        return scored.orderBy("cost", "example_id").limit(size)
    return _within_budget(scored, select.tokens) if select.tokens else scored


def ranked(chosen: DataFrame) -> DataFrame:
    """`example_id, rank, score` of rows with a `cost`, the lowest first.

    The chosen ids pass through one task, which numbers them as they come.
    """
    ordered = chosen.repartition(1).sortWithinPartitions("cost", "example_id")
    rank = (F.monotonically_increasing_id() + 1).alias("rank")
    return ordered.select("example_id", rank, "score")


def with_score(rows: DataFrame, select: Select) -> DataFrame:
    """Rows that may be chosen: a score that is a number and within threshold and percentile."""
    strategy = STRATEGIES[select.strategy]
    score = score_column(select)
    rows = eligible(rows, select)
    columns = {name: F.col(name) for name in ("example_id", "source") if name in rows.columns}
    if select.percentile is not None:
        rows = rows.where(F.col("percentile") < select.percentile)
    candidates_of_pool = rows.select(
        *columns.values(),
        _tokens(rows).alias("tokens"),
        score.alias("score"),
        (-score if strategy.highest else score).alias("cost"),
    ).where(F.col("score").isNotNull())
    if select.tokens is not None:
        candidates_of_pool = candidates_of_pool.where(F.col("tokens").isNotNull())
    if select.threshold is None:
        return candidates_of_pool
    score, limit = F.col("score"), F.lit(float(select.threshold))
    return candidates_of_pool.where(score >= limit if strategy.highest else score <= limit)


def score_column(select: Select) -> Column:
    """The strategy's score of a row; null where it cannot be chosen."""
    column = STRATEGIES[select.strategy].column
    if not column:
        drawn = F.xxhash64("example_id", F.lit(select.seed).cast("long"))
        return drawn.bitwiseAND((1 << _HASH_BITS) - 1) / float(1 << _HASH_BITS)
    score = F.col(column).cast("double")
    usable = ~F.isnan(score) & ((score < 1) if select.strategy == "ifd" else F.lit(True))
    return F.when(usable, score)


def check(rows: DataFrame, select: Select) -> None:
    """Refuse what cannot be meant.

    Raises:
        UserError: names the setting and the remedy.
    """
    if not one_size(select) and not (select.quota or select.per_source):
        raise UserError(
            "how many? give one of "
            + ", ".join("--" + name for name in SIZES)
            + ", or --per-source, or --quota"
        )
    if select.percentile is not None and select.strategy != "rule":
        raise UserError(
            "--percentile is of the rule's prediction: with --strategy "
            f"{select.strategy} use --fraction"
        )
    for pattern, value in select.quota.items():
        if not isfinite(value):
            raise UserError(f"--quota {pattern}={value}: give a whole number, or a share below 1")
    column = STRATEGIES[select.strategy].column
    if column and column not in rows.columns:
        raise UserError(
            f"strategy {select.strategy} needs {column}, which the pool does not have: "
            "score it with a model that measures it"
        )


def one_size(select: Select) -> str | None:
    """The setting that says how many; None where quotas alone decide.

    Raises:
        UserError: there are several.
    """
    sizes = [name for name in SIZES if getattr(select, name) is not None]
    if len(sizes) > 1:
        raise UserError(f"{' and '.join('--' + name for name in sizes)}: give one size only")
    return sizes[0] if sizes else None


def wanted(rows: DataFrame, select: Select) -> int | None:
    """At most this many examples; None where something else than a number decides."""
    if select.fraction is None:
        return select.top
    return max(1, round(select.fraction * rows.count()))


def _refuse_empty(store: Store, pool: str) -> None:
    if store.read("occurrences").where(F.col("pool") == pool).isEmpty():
        raise UserError(
            f"pool {pool!r} in {store.target} is empty: run instructmining score "
            f"--input DATA --store {store.target} --pool {pool}"
        )


def _scored(store: Store, pool: str, rule: LinearRule) -> DataFrame:
    scores = scores_of(store, pool, rule)
    if scores.isEmpty():
        _refuse_empty(store, pool)
        raise UserError(_not_scored(store, pool, rule))
    return scores.select(
        "example_id",
        *indicator_names(scores.columns),
        "predicted_log_loss",
        "percentile",
        "missing_reason",
        "predicted_indicators",
        "out_of_range",
    )


def _not_scored(store: Store, pool: str, rule: LinearRule) -> str:
    is_published = "published_as" in rule.provenance
    source = f"models:/{rule.name}/{rule.version}" if is_published else "FILE.json"
    source = rule.name if rule.name in built_in_rules() else source
    scores = store.read("scores").where(F.col("pool") == pool)
    others = scores.select("rule_name", "rule_version").distinct().orderBy("rule_name").collect()
    known = ", ".join(f"{row.rule_name} version {row.rule_version}" for row in others)
    return (
        f"pool {pool!r} was not scored with rule {rule.name} version {rule.version}"
        + (f" (but with {known})" if known else "")
        + f": run instructmining score --store {store.target} --pool {pool} --rule {source} "
        "--stages rule"
    )


def _tokens(rows: DataFrame) -> Column:
    """Of prompt and response; null where either is not measured."""
    if not {"input_length", "output_length"} <= set(rows.columns):
        return F.lit(None).cast("long")
    return (F.col("input_length") + F.col("output_length")).cast("long")


def _within_budget(scored: DataFrame, budget: int) -> DataFrame:
    """The best rows up to, and without, the first that would exceed the tokens."""
    shares = [i / _BANDS for i in range(1, _BANDS)]
    cuts = sorted(set(scored.approxQuantile("cost", shares, 0.5 / _BANDS)))
    below = F.array(*(F.lit(cut) for cut in cuts)).cast("array<double>")
    banded = scored.withColumn("band", F.size(F.filter(below, lambda cut: cut < F.col("cost"))))
    totals = banded.groupBy("band").agg(F.sum("tokens").alias("tokens"))
    last = -1
    left = budget
    for row in totals.orderBy("band").collect():
        last = row.band
        if row.tokens > left:
            break
        left -= row.tokens
    else:
        return scored
    window = Window.partitionBy("band").orderBy("cost", "example_id")
    reached = F.sum("tokens").over(window.rowsBetween(Window.unboundedPreceding, 0))
    summed = banded.where(F.col("band") <= last).withColumn("reached", reached)
    return summed.where((F.col("band") < last) | (F.col("reached") <= left)).drop("band", "reached")
