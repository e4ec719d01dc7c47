"""A limit on the examples of each source: windows per source, never one over the whole pool."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from instructmining.errors import UserError


def within_quotas(
    scored: DataFrame,
    in_pool: Sequence[str],
    quota: Mapping[str, float],
    per_source: int | None,
    size: int | None,
) -> DataFrame:
    """The best rows of each source, and of each group of sources that a pattern names.

    Args:
        scored: `source`, `cost` (lower is better), `example_id`.
        in_pool: the sources of the pool, also those of which no row may be chosen.
        quota: pattern to how many at most of all that it matches; see `limits_of`. Sources that
            no pattern matches are free, but left out where there is no `size` to fill.
        per_source: the limit for each single source.
        size: of the whole selection, of which a share is a share.
    """
    if per_source is not None:
        scored = _first(scored, F.col("source"), F.lit(per_source))
    if not quota:
        return scored
    limits = limits_of(quota, in_pool, size)
    group = _group_column(quota, in_pool)
    limit = F.create_map(*(F.lit(part) for pair in limits.items() for part in pair))[group]
    within = _first(scored.where(group.isNotNull()), group, limit)
    return within if size is None else within.unionByName(scored.where(group.isNull()))


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
        if not meant_by(pattern, sources):
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


def groups_of(quota: Iterable[str], sources: Sequence[str]) -> dict[str, str]:
    """Source to the first quota that names it or matches it; sources of none are left out.

    Args:
        quota: names or patterns. One that is the name of a source stands for that alone, whatever
            it would match as a pattern: `part[1].jsonl` is the file of that name.
        sources: that there are.
    """
    return {
        source: pattern
        for pattern in reversed(list(quota))
        for source in meant_by(pattern, sources)
    }


def meant_by(pattern: str, sources: Sequence[str]) -> list[str]:
    """The sources with this name; where there are none, those that the pattern matches.

    A name is the source, its last part, or that up to its first dot.
    """
    literal = [source for source in sources if pattern in _names(source)]
    return literal or [
        source for source in sources if any(fnmatchcase(name, pattern) for name in _names(source))
    ]


def _names(source: str) -> tuple[str, str, str]:
    name = source.rpartition("/")[2]
    return source, name, name.partition(".")[0]


def _group_column(quota: Iterable[str], sources: Sequence[str]) -> Column:
    """`groups_of` of the column `source`, null where there is none."""
    groups = groups_of(quota, sources)
    column = F.lit(None).cast("string")
    for pattern in quota:
        mine = [source for source, group in groups.items() if group == pattern]
        column = F.when(F.col("source").isin(mine), F.lit(pattern)).otherwise(column)
    return column


def _first(scored: DataFrame, group: Column, limit: Column) -> DataFrame:
    window = Window.partitionBy(group).orderBy("cost", "example_id")
    placed = scored.withColumn("place", F.row_number().over(window))
    return placed.where(F.col("place") <= limit).drop("place")
