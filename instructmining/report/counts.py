"""Where every record went: scored, a copy of another, quarantined, or without a prediction."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.report.scored import Scored
from instructmining.store.current import current_occurrences
from instructmining.store.tables import Store

_REASONS = 8


@dataclass(frozen=True)
class SourceCount:
    """Records of one source."""

    source: str
    usable: int
    examples: int
    quarantined: int

    @property
    def copies(self) -> int:
        """Records whose example was counted before, here or under another source."""
        return self.usable - self.examples


@dataclass(frozen=True)
class Counts:
    """Records of a pool.

    Attributes:
        sources: every source, the largest first.
        reasons: why records were quarantined, and how many.
        missing: why predictions are missing, and how many; the commonest.
        predicted: examples with a prediction.
        out_of_range: examples with an indicator outside of what the rule was fitted on.
        models_match: whether the rule knows the models that measured.
        most_copied: example id and records of it, the most first.
        estimated: examples with an indicator that a cascade predicted.
    """

    sources: tuple[SourceCount, ...]
    reasons: tuple[tuple[str, int], ...]
    missing: tuple[tuple[str, int], ...]
    predicted: int
    out_of_range: int
    models_match: bool
    most_copied: tuple[tuple[str, int], ...]
    estimated: int = 0

    @property
    def examples(self) -> int:
        """Distinct usable conversations: what is scored."""
        return sum(source.examples for source in self.sources)

    @property
    def copies(self) -> int:
        """Further records of the same conversations."""
        return sum(source.copies for source in self.sources)

    @property
    def quarantined(self) -> int:
        """Unusable records."""
        return sum(count for _, count in self.reasons)

    @property
    def rows(self) -> int:
        """Records read: examples + copies + quarantined."""
        return self.examples + self.copies + self.quarantined


def count(scored: Scored, most_copied: int) -> Counts:
    """Count the pool's records; `most_copied` examples are named."""
    store = scored.store
    pool = scored.pool
    usable = dict(scored.records)
    examples = {row.source: row["count"] for row in scored.rows.groupBy("source").count().collect()}
    bad = quarantined(store, pool).groupBy("source", "reason").count().collect()
    unusable: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for row in bad:
        unusable[row.source] = unusable.get(row.source, 0) + row["count"]
        reasons[row.reason] = reasons.get(row.reason, 0) + row["count"]
    totals = scored.rows.agg(
        F.count("predicted_log_loss").alias("predicted"),
        F.count_if("out_of_range").alias("outside"),
        F.min("rule_models_match").alias("match"),
        F.count("predicted_indicators").alias("estimated"),
    ).first()
    assert totals is not None  # noqa: S101 - an aggregate without grouping has one row
    named = sorted(usable | unusable, key=lambda name: (-usable.get(name, 0), name))
    return Counts(
        tuple(
            SourceCount(name, usable.get(name, 0), examples.get(name, 0), unusable.get(name, 0))
            for name in named
        ),
        tuple(sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0]))),
        _missing(scored.rows),
        totals.predicted,
        totals.outside,
        bool(totals.match),
        _most_copied(store, pool, most_copied),
        totals.estimated,
    )


def quarantined(store: Store, pool: str) -> DataFrame:
    """Unusable records of the sources that fed the pool, and of the runs that did.

    The table knows no pool: a record that cannot be read belongs to none. A file without a single
    usable record is found by its run.
    """
    fed = store.read("occurrences").where(F.col("pool") == pool)
    rows = store.read("quarantine")
    sources = fed.select("source").distinct().withColumn("fed", F.lit(True))
    runs = fed.select("run_id").distinct().withColumn("read", F.lit(True))
    joined = rows.join(sources, "source", "left").join(runs, "run_id", "left")
    return joined.where("fed OR read").drop("fed", "read")


def _missing(rows: DataFrame) -> tuple[tuple[str, int], ...]:
    counts = rows.where("missing_reason IS NOT NULL").groupBy("missing_reason").count()
    top = counts.orderBy(F.desc("count"), "missing_reason").limit(_REASONS).collect()
    return tuple((row.missing_reason, row["count"]) for row in top)


def _most_copied(store: Store, pool: str, most: int) -> tuple[tuple[str, int], ...]:
    records = current_occurrences(store, pool).groupBy("example_id").count()
    repeated = records.where("count > 1").orderBy(F.desc("count"), "example_id").limit(most)
    return tuple((row.example_id, row["count"]) for row in repeated.collect())
