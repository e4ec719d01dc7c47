"""Which scores a report is about: the pool, the rule, and the source of each example."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.rules.hinge import indicator_in
from instructmining.rules.registry import load_rule
from instructmining.rules.rule import LinearRule, built_in_rules
from instructmining.scoring.scores import indicator_names
from instructmining.settings.sections import Tracking
from instructmining.store.current import current_occurrences
from instructmining.store.tables import Store

SHOWN_SOURCES = 12  # the largest; the others are drawn together
OTHERS = "all other sources"
_AT_HAND = 1_000_000  # records


@dataclass(frozen=True)
class Scored:
    """The scores of one pool under one rule.

    Attributes:
        store: where they are.
        pool: its name.
        rule_name: as the scores have it.
        rule_version: likewise.
        rule: its record; None where it is not to be found.
        note: why it is not, or empty.
        records: usable ones of each source, the largest first.
        rows: of the examples that stand in a source today: columns of `scores`, `source` (the
            first one by name) and `shown`, the source or `OTHERS`.
        indicators: columns that hold at least one number.
        unmeasured: indicators that hold none.
        terms: of the rule, each with the indicator that it is made of.
    """

    store: Store
    pool: str
    rule_name: str
    rule_version: str
    rule: LinearRule | None
    note: str
    records: tuple[tuple[str, int], ...]
    rows: DataFrame
    indicators: tuple[str, ...]
    unmeasured: tuple[str, ...]
    terms: Mapping[str, str]


def open_scores(store: Store, pool: str, source: str, tracking: Tracking) -> Scored:
    """Find the scores.

    Args:
        store: where the tables are.
        pool: its name.
        source: the rule, as for `score --rule`; `auto` takes what was scored last.
        tracking: where registered rules are looked up.

    Raises:
        UserError: the pool has no scores, or none under this rule; says what there is. Or none of
            its examples stands in a source today.
    """
    key, rule, note = _choose(store, pool, source, tracking)
    scores = store.read("scores").where(
        (F.col("pool") == pool) & (F.col("rule_name") == key[0]) & (F.col("rule_version") == key[1])
    )
    contributions = [c for c in scores.columns if c.startswith("contribution_")]
    names = indicator_names(scores.columns)
    records = _records(store, pool)
    if not records:
        raise UserError(
            f"no example of pool {pool!r} stands in its source today: score its data again, or "
            "name another --pool"
        )
    rows = _with_source(scores, store, pool, records)
    held = rows.agg(*(F.count(f"`{c}`").alias(c) for c in [*names, *contributions])).first()
    assert held is not None  # noqa: S101 - an aggregate without grouping has one row
    known = [c.removeprefix("contribution_") for c in contributions if held[c]]
    return Scored(
        store,
        pool,
        *key,
        rule,
        note,
        records,
        rows,
        indicators=tuple(name for name in names if held[name]),
        unmeasured=tuple(name for name in names if not held[name]),
        terms={term: rule.indicator_of(term) for term in rule.coefficients}
        if rule
        else {term: term if term in names else indicator_in(term) for term in known},
    )


@contextmanager
def at_hand(scored: Scored) -> Iterator[None]:
    """Keep the rows of a pool of up to a million examples, which every part of a page asks for."""
    if sum(count for _, count in scored.records) > _AT_HAND:
        yield
        return
    scored.rows.persist()
    try:
        yield
    finally:
        scored.rows.unpersist()


def short_names(sources: Sequence[str]) -> dict[str, str]:
    """Sources without the folders that all of them share."""
    parts = [source.replace("\\", "/").split("/") for source in sources]
    shared = 0
    while parts and all(
        len(steps) > shared + 1 and steps[shared] == parts[0][shared] for steps in parts
    ):
        shared += 1
    return {source: "/".join(steps[shared:]) for source, steps in zip(sources, parts, strict=True)}


def _choose(
    store: Store, pool: str, source: str, tracking: Tracking
) -> tuple[tuple[str, str], LinearRule | None, str]:
    scores = store.read("scores").groupBy("pool", "rule_name", "rule_version")
    stored = scores.agg(F.max("written_at").alias("written_at")).collect()
    of_pool = sorted((row for row in stored if row.pool == pool), key=_age)
    there = [(row.rule_name, row.rule_version) for row in of_pool]
    if not there:
        pools = ", ".join(sorted({row.pool for row in stored})) or "none yet"
        raise UserError(
            f"pool {pool!r} of {store.target} has no scores (scored pools: {pools}): "
            "run instructmining score, or name another --pool"
        )
    if source == "auto":
        return there[-1], *_record_of(there[-1], tracking)
    rule = load_rule(source, tracking)
    if (rule.name, rule.version) not in there:
        names = ", ".join(" ".join(words) for words in there)
        raise UserError(
            f"pool {pool!r} has no scores under {rule.name} {rule.version}, only under "
            f"{names}: run instructmining score --rule {source}"
        )
    return (rule.name, rule.version), rule, ""


def _age(row: Any) -> tuple[bool, Any, str, str]:
    """To sort by: without a time first, then by time, which is that of the last commit."""
    return row.written_at is not None, row.written_at, row.rule_name, row.rule_version


def _record_of(key: tuple[str, str], tracking: Tracking) -> tuple[LinearRule | None, str]:
    name, version = key
    built_in = built_in_rules().get(name)
    if built_in is not None and built_in.version == version:
        return built_in, ""
    try:
        return load_rule(f"models:/{name}/{version}", tracking), ""
    except UserError as error:
        return None, (
            f"The record of rule {name} {version} was not found ({error}); name its file "
            "with --rule to see coefficients and ranges."
        )


def _records(store: Store, pool: str) -> tuple[tuple[str, int], ...]:
    counts = current_occurrences(store, pool).groupBy("source").count()
    ordered = counts.orderBy(F.desc("count"), "source").collect()
    return tuple((row.source, row["count"]) for row in ordered)


def _with_source(
    scores: DataFrame, store: Store, pool: str, records: Sequence[tuple[str, int]]
) -> DataFrame:
    """The scores of examples that stand in a source today."""
    occurrences = current_occurrences(store, pool)
    first = occurrences.groupBy("example_id").agg(F.min("source").alias("source"))
    largest = [source for source, _ in records[:SHOWN_SOURCES]]
    shown = F.when(F.col("source").isin(largest), F.col("source")).otherwise(OTHERS)
    return scores.join(first, "example_id").withColumn("shown", shown)
