"""The one page that a job ends with: counts, times, extremes, tables, and what to ask next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from instructmining.progress import duration
from instructmining.reading.sources import Ingested
from instructmining.reading.unread_fields import unread_lines
from instructmining.rules.canary import Preference, canary_lines
from instructmining.rules.rule import LinearRule
from instructmining.scoring.overview import Overview
from instructmining.snippets import snippet
from instructmining.store.definition_sql import sql_text
from instructmining.store.tables import Store

_SNIPPET = 76  # characters of a text that fit a line
_EXTREMES = 3


@dataclass
class Summary:
    """What is told; each part is left out where it does not apply."""

    store: Store
    pool: str
    run_id: str
    ingested: Ingested | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)  # stage to what it did, in words
    measured_rows: int = 0
    rule: LinearRule | None = None
    rule_why: str = ""
    canary: list[Preference] = field(default_factory=list)
    scores: DataFrame | None = None
    overview: Overview | None = None  # of `scores`
    best: DataFrame | None = None  # rows of `scores` to show the best of; None: all
    warnings: list[str] = field(default_factory=list)
    tracking: str = ""

    def text(self) -> str:
        """The whole page."""
        parts = [
            self._counts(),
            self._stages(),
            self._rule(),
            self._canary(),
            self._extremes(),
            self._warnings(),
            self._tables(),
            self._sql(),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _counts(self) -> str:
        lines = [f"InstructMining · pool {self.pool} · run {self.run_id}", ""]
        if self.ingested:
            read = self.ingested
            bad = sum(read.quarantined.values())
            lines.append(
                f"rows read {read.rows:,} = scored {read.examples:,} + copies {read.copies:,} "
                f"+ quarantined {bad:,}"
            )
            if read.records != read.rows:
                lines.append(f"  from {read.records:,} records of the files")
            lines += [
                f"  quarantined: {count:,} {reason}"
                for reason, count in sorted(read.quarantined.items())
            ]
            if read.unchanged:
                lines.append(
                    f"  not read again: {read.unchanged:,} sources with {read.unchanged_rows:,} "
                    "rows, which did not change (--read-again reads them)"
                )
            lines += [f"  left out, not a data file: {path}" for path in read.left_out[:5]]
            lines += unread_lines(read.unread)
            unseen = {
                "pictures, sounds, films or files": read.media,
                "tool definitions": read.tools,
            }
            lines += [
                f"  not seen by the models: {what} of {count:,} rows"
                for what, count in unseen.items()
                if count
            ]
            lines.append(f"  new in the store: {read.new_examples:,} examples")
        if self.overview is not None:
            facts = self.overview
            lines.append(
                f"  in the pool: {facts.rows:,} examples, "
                f"{facts.rows - facts.predicted:,} without a prediction"
            )
            lines += self._missing() if facts.incomplete else []
            if facts.estimated:
                lines.append(f"    {facts.estimated:,} with an indicator predicted by a cascade")
        lines.append(f"  measured by models in this run: {self.measured_rows:,} rows")
        return "\n".join(lines)

    def _missing(self) -> list[str]:
        assert self.scores is not None  # noqa: S101 - only called with scores
        missing = self.scores.where(F.col("missing_reason").isNotNull())
        unread = (
            missing.groupBy("missing_reason").count().orderBy(F.desc("count")).limit(5).collect()
        )
        return [f"    {row['count']:,} {row.missing_reason[:100]}" for row in unread]

    def _stages(self) -> str:
        if not self.seconds:
            return ""
        width = max(map(len, self.seconds))
        lines = [
            f"  {name:<{width}}  {duration(taken):>12}   {self.stages.get(name, '')}".rstrip()
            for name, taken in self.seconds.items()
        ]
        return "\n".join(
            ["stages", *lines, f"  {'total':<{width}}  {duration(sum(self.seconds.values())):>12}"]
        )

    def _rule(self) -> str:
        if self.rule is None:
            return ""
        terms = " ".join(f"{value:+.4g}·{name}" for name, value in self.rule.coefficients.items())
        return (
            f"rule {self.rule.name} version {self.rule.version} ({self.rule_why})\n"
            f"  predicted log loss = {self.rule.intercept:.4g} {terms}   (lower is better)"
            + "".join(f"\n  {term} = {h.words}" for term, h in self.rule.hinges.items())
        )

    def _canary(self) -> str:
        return "\n".join(canary_lines(self.canary)) if self.canary else ""

    def _extremes(self) -> str:
        if self.scores is None or self.rule is None or self.overview is None:
            return ""
        rule = self.rule
        means = self.overview.means
        if not means:
            return ""
        extremes = _extremes(self.scores, self.best, self.store)
        lines = []
        for title in ("best", "worst"):
            rows = [row for row in extremes if row.title == title]
            rows.sort(key=lambda row: row.predicted_log_loss, reverse=title == "worst")
            above = " above the floor of select" * (title == "best" and self.best is not None)
            lines.append(f"{title} {len(rows)} by predicted log loss{above}")
            for row in rows:
                lines += [
                    f"  {row.predicted_log_loss:+.4f}  {_why(row.asDict(), rule, means)}",
                    f"           prompt:   {snippet(row.prompt, _SNIPPET)}",
                    f"           response: {snippet(row.response, _SNIPPET)}",
                ]
        return "\n".join(lines)

    def _warnings(self) -> str:
        return "\n".join(f"note: {warning}" for warning in self.warnings)

    def _tables(self) -> str:
        names = (
            "scores",
            "examples",
            "occurrences",
            "quarantine",
            "stage_values",
            "embeddings",
            "pool_knn",
            "fingerprints",
        )
        lines = [
            f"  {name:<13} {self.store.location(name)}" for name in names if self.store.exists(name)
        ]
        where = [f"  {'MLflow':<13} {self.tracking}"] if self.tracking else []
        return "\n".join(["tables", *lines, *where])

    def _sql(self) -> str:
        if self.rule is None or self.scores is None:
            return ""
        scores, examples = (self.store.sql_name(name) for name in ("scores", "examples"))
        pool = sql_text(self.pool)
        rule = sql_text(self.rule.name)
        # Nothing is executed here: the text is for the user to paste.
        return f"""SQL to try next
  SELECT e.prompt, e.response, s.predicted_log_loss, s.percentile
  FROM {scores} s JOIN {examples} e USING (example_id)
  WHERE s.pool = {pool} AND s.rule_name = {rule} AND s.percentile < 10
  ORDER BY s.predicted_log_loss LIMIT 20;

  SELECT reason, count(*) FROM {self.store.sql_name("quarantine")} GROUP BY reason;"""  # noqa: S608


def _extremes(scores: DataFrame, above: DataFrame | None, store: Store) -> list[Row]:
    """The best and the worst examples with their texts; `title` says which, in one query."""
    known = scores.where(F.col("predicted_log_loss").isNotNull())
    columns = scores.columns
    best, worst = (
        rows.select(*columns)
        .orderBy(order("predicted_log_loss"), F.asc("example_id"))
        .limit(_EXTREMES)
        .withColumn("title", F.lit(title))
        for title, order, rows in (
            ("best", F.asc, known if above is None else above),
            ("worst", F.desc, known),
        )
    )
    texts = store.read("examples").select("example_id", "prompt", "response")
    return best.unionByName(worst).join(texts, "example_id").collect()


def _why(row: Mapping[str, Any], rule: LinearRule, means: Mapping[str, float]) -> str:
    """What moved the prediction away from the pool's mean, the largest first."""
    moved = {name: row[f"contribution_{name}"] - means[name] for name in rule.coefficients}
    ordered = sorted(moved, key=lambda name: -abs(moved[name]))
    return ", ".join(
        f"{name} {row[rule.indicator_of(name)]:.4g} ({moved[name]:+.3f})" for name in ordered
    )
