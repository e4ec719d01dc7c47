"""At most so many examples of a source: windows per source, never one over the whole pool."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from instructmining.errors import UserError


def within_quotas(
    scored: DataFrame, quota: Mapping[str, float], per_source: int | None, size: int | None
) -> DataFrame:
    """The best rows of each source, and of each group of sources that a pattern names.

    Args:
        scored: `source`, `cost` (lower is better), `example_id`.
        quota: pattern to how many at most of all that it matches; see `limits_of`. Sources that
            no pattern matches are free, but left out where there is no `size` to fill.
        per_source: at most so many of each single source.
        size: of the whole selection, of which a share is a share.
    """
    if per_source is not None:
        scored = _first(scored, F.col("source"), F.lit(per_source))
    if not quota:
        return scored
    sources = sources_of(scored)
    limits = limits_of(quota, sources, size)
    group = group_column(quota, sources)
    limit = F.create_map(*(F.lit(part) for pair in limits.items() for part in pair))[group]
    kept = _first(scored.where(group.isNotNull()), group, limit)
    return kept if size is None else kept.unionByName(scored.where(group.isNull()))


def sources_of(rows: DataFrame) -> list[str]:
    """The sources among the rows, in order."""
    return [row.source for row in rows.select("source").distinct().orderBy("source").collect()]


def limits_of(
    quota: Mapping[str, float], sources: Sequence[str], size: int | None
) -> dict[str, int]:
    """How many examples each pattern allows.

    Args:
        quota: below 1 a share of `size`, else a number.
        sources: that there are.
        size: of the selection; None where it is not known beforehand.

    Raises:
        UserError: a pattern matches no source, a share of no size, or no whole number.
    """
    limits = {}
    for pattern, value in quota.items():
        if not any(matches(source, pattern) for source in sources):
            known = ", ".join(sources[:5]) + (", …" if len(sources) > 5 else "")
            raise UserError(f"--quota {pattern}: no source of the pool matches; there are {known}")
        if 0 < value < 1 and size is None:
            raise UserError(
                f"--quota {pattern}={value:g} is a share of the selection: give its "
                "size with --top or --fraction, or a number of examples"
            )
        if value < 0 or (value >= 1 and value != int(value)):
            raise UserError(f"--quota {pattern}={value:g}: give a whole number, or a share below 1")
        limits[pattern] = round(value * (size or 0)) if value < 1 else int(value)
    return limits


def matches(source: str, pattern: str) -> bool:
    """Whether the pattern is the source, its last part, or that without an ending."""
    name = source.rpartition("/")[2]
    return any(fnmatchcase(each, pattern) for each in (source, name, name.partition(".")[0]))


def group_of(quota: Mapping[str, float], source: str) -> str | None:
    """The first pattern that matches the source."""
    return next((pattern for pattern in quota if matches(source, pattern)), None)


def group_column(quota: Mapping[str, float], sources: Sequence[str]) -> Column:
    """`group_of` of the column `source`."""
    group = F.lit(None).cast("string")
    for pattern in quota:
        mine = [source for source in sources if group_of(quota, source) == pattern]
        group = F.when(F.col("source").isin(mine), F.lit(pattern)).otherwise(group)
    return group


def _first(scored: DataFrame, group: Column, limit: Column) -> DataFrame:
    window = Window.partitionBy(group).orderBy("cost", "example_id")
    placed = scored.withColumn("place", F.row_number().over(window))
    return placed.where(F.col("place") <= limit).drop("place")
