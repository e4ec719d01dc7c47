"""Stored measurements and a rule to scores: native columns only, no model and no Python worker."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.cascading.filled import MARK, with_predictions
from instructmining.features.names import NOT_INDICATORS
from instructmining.models.lists import ModelList
from instructmining.rules.rule import LinearRule
from instructmining.settings.sections import Knn
from instructmining.store.distributions import quoted
from instructmining.store.planning import measurements, pool_version
from instructmining.store.schemas import INDICATORS
from instructmining.store.tables import Store
from instructmining.store.views import create_views

CUT_POINTS = 100
QUANTILE_ERROR = 0.001  # of the rank, as a fraction of the pool
TIE = 1e-6  # predictions this close are equal: how batches were formed moves them by less


@dataclass(frozen=True)
class Measured:
    """What the indicators of a run are read from.

    Attributes:
        models: the model list; says which stage measures which indicator.
        fingerprints: by stage.
        knn: which neighbours are wanted.
        cascades: by stage, the cascade whose predictions stand in for what was not measured.
    """

    models: ModelList
    fingerprints: Mapping[str, str]
    knn: Knn
    cascades: Mapping[str, str] = field(default_factory=dict)

    @property
    def stage_of(self) -> dict[str, str]:
        """Indicator to the stage that measures it."""
        return {
            indicator: stage
            for stage, spec in self.models.stages.items()
            if stage != "embed"
            for indicator in spec.indicators
        }

    def rows_of(self, stage: str) -> Column:
        """Whether a stored row is a measurement of this stage's model.

        The fingerprint decides, for it says what the numbers mean: a value keeps its meaning when
        the stage that it was measured in gets another name.
        """
        return F.col("fingerprint") == self.fingerprints.get(stage, "")

    def knn_places(self, rule: LinearRule) -> list[int]:
        """The i of every knn_i to show: the setting's, and those the rule needs."""
        return sorted({self.knn.neighbors, *neighbors_of(rule)})


def neighbors_of(rule: LinearRule) -> list[int]:
    """The i of every `knn_i` among a rule's terms."""
    matches = (re.fullmatch(r"knn_(\d+)", name) for name in rule.indicators)
    return [int(match[1]) for match in matches if match]


def with_indicators(
    store: Store, members: DataFrame, pool: str, measured: Measured, places: Sequence[int]
) -> DataFrame:
    """One row per pool member: every indicator (null where absent) and `reason_<stage>`.

    `predicted_indicators` names those of a row that a cascade predicted; null where it has none.
    """
    values = store.read("stage_values").where(
        F.col("fingerprint").isin(list(measured.fingerprints.values()))
    )
    # A row measured again after a failure is there twice: the value, where there is one, wins.
    wide = values.groupBy("example_id").agg(
        *(
            F.max(F.when(measured.rows_of(stage), F.col("values")[name])).alias(name)
            for name, stage in measured.stage_of.items()
        ),
        *(
            F.max(F.when(measured.rows_of(stage), F.col("reason"))).alias(f"reason_{stage}")
            for stage in measured.models.stages
            if stage != "embed"
        ),
    )
    embedded = store.read("embeddings").where(measured.rows_of("embed"))
    unembedded = embedded.groupBy("example_id").agg(
        F.max(F.when(F.col("vector").isNull(), F.col("reason"))).alias("reason_embed")
    )
    neighbors = store.read("pool_knn").where(F.col("pool") == pool)
    distances = [F.get("distances", F.lit(i - 1)).alias(f"knn_{i}") for i in places]
    known = (
        members.select("example_id")
        .join(wide, "example_id", "left")
        .join(unembedded, "example_id", "left")
        .join(neighbors.select("example_id", *distances), "example_id", "left")
    )
    names = [name for name, stage in measured.stage_of.items() if stage in measured.cascades]
    return with_predictions(store, known, pool, measured.cascades, names)


def with_rule(indicators: DataFrame, rule: LinearRule, measured: Measured) -> DataFrame:
    """Adds the contributions, `predicted_log_loss`, its standard error and what is missing."""
    error = rule.predicted_log_loss_se()
    for name in rule.indicators:
        if name not in indicators.columns:
            indicators = indicators.withColumn(name, F.lit(None).cast("double"))
    return indicators.withColumns(
        {
            **rule.contributions(),
            "predicted_log_loss": rule.predicted_log_loss(),
            "predicted_log_loss_se": F.lit(None).cast("double") if error is None else error,
            "missing_reason": _missing_reason(rule, measured, indicators.columns),
            "out_of_range": F.size(rule.out_of_range()) > 0,
        }
    )


def _missing_reason(rule: LinearRule, measured: Measured, columns: Sequence[str]) -> Column:
    """For each absent indicator of the rule its reason; null where none is absent."""
    parts = []
    for name in rule.indicators:
        stage = measured.stage_of.get(name, "embed" if name.startswith("knn_") else "")
        known = [F.col(f"reason_{stage}")] if f"reason_{stage}" in columns else []
        otherwise = "too few neighbours in the pool" if name.startswith("knn_") else "not measured"
        reason = F.concat(F.lit(f"{name}: "), F.coalesce(*known, F.lit(otherwise)))
        parts.append(F.when(quoted(name).isNull() | F.isnan(quoted(name)), reason))
    joined = F.concat_ws("; ", *parts)
    return F.when(joined != "", joined)


def percentile_column(cut_points: Sequence[float]) -> Column:
    """Percent of the pool with a lower prediction, by the stored cut points; null stays null.

    Predictions within `TIE` share a percentile, whichever of them became the cut point.
    """
    cuts = F.array(*(F.lit(float(cut)) for cut in cut_points))
    below = F.size(F.filter(cuts, lambda cut: cut < F.col("predicted_log_loss") - TIE))
    share = below * (100.0 / (len(cut_points) + 1))
    return F.when(F.col("predicted_log_loss").isNotNull(), share.cast("double"))


def score_pool(
    store: Store,
    members: DataFrame,
    pool: str,
    rule: LinearRule,
    measured: Measured,
    matches: bool,
    run_id: str,
    check: Callable[[], None] = lambda: None,
) -> bool:
    """Write the pool's scores under the rule, unless they stand there already.

    Args:
        store: where the tables are.
        members: `example_id`, `copies`.
        pool: its name.
        rule: predicts.
        measured: models, fingerprints and neighbours.
        matches: whether these are the models that the rule was fitted on.
        run_id: goes into every row.
        check: see `Store.replace`.

    Returns:
        Whether a commit was made.
    """
    version = inputs_version(store, members, pool, rule, measured)
    where = {"pool": pool, "rule_name": rule.name, "rule_version": rule.version}
    stored = scores_of(store, pool, rule).select("inputs_version").first()
    if stored is not None and stored.inputs_version == version:
        return False
    places = measured.knn_places(rule)
    scored = with_rule(with_indicators(store, members, pool, measured, places), rule, measured)
    scored = scored.persist()
    shares = [i / CUT_POINTS for i in range(1, CUT_POINTS)]
    cuts = scored.approxQuantile("predicted_log_loss", shares, QUANTILE_ERROR)
    constants = {**where, "inputs_version": version, "run_id": run_id}
    rows = scored.drop(*(name for name in scored.columns if name.startswith("reason_")))
    rows = rows.withColumns(
        {
            "percentile": percentile_column(cuts),
            "rule_models_match": F.lit(matches),
            **{name: F.lit(value) for name, value in constants.items()},
        }
    )
    about = {
        "run_id": run_id,
        **where,
        "rule_fingerprint": rule.fingerprint,
        "cut_points": cuts,
        "cut_points_rank_error": QUANTILE_ERROR,
    }
    store.replace(rows, "scores", where, about, check)
    scored.unpersist()
    create_views(store)
    return True


def scores_of(store: Store, pool: str, rule: LinearRule) -> DataFrame:
    """The stored scores of a pool under a rule."""
    return store.read("scores").where(
        (F.col("pool") == pool)
        & (F.col("rule_name") == rule.name)
        & (F.col("rule_version") == rule.version)
    )


def inputs_version(
    store: Store, members: DataFrame, pool: str, rule: LinearRule, measured: Measured
) -> str:
    """A hash of all that decides the scores: members, measurements, neighbours and rule."""
    prints = list(measured.fingerprints.values())
    measured_rows = measurements(store).where(F.col("fingerprint").isin(prints))
    ours = measured_rows.join(members, "example_id", "left_semi")
    counts = ours.groupBy("fingerprint", "status").count().collect()
    counted = {f"{row.fingerprint} {row.status}": row["count"] for row in counts}
    neighbors = store.read("pool_knn").where(F.col("pool") == pool)
    versions = neighbors.select("pool_version").distinct().collect()
    decided = {
        "pool": pool_version(members),
        "measured": counted,
        "fingerprints": dict(measured.fingerprints),
        "neighbors": sorted(row.pool_version for row in versions),
        "rule": rule.fingerprint,
    }
    if measured.cascades:
        decided["cascades"] = dict(measured.cascades)
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:32]


def indicator_names(columns: Iterable[str]) -> list[str]:
    """The indicators among the columns of the table `scores`."""
    fixed = set(INDICATORS)
    others = {
        *NOT_INDICATORS,
        "pool",
        "example_id",
        "rule_name",
        "rule_version",
        "predicted_log_loss",
        "predicted_log_loss_se",
        "percentile",
        "missing_reason",
        MARK,
        "out_of_range",
        "rule_models_match",
        "inputs_version",
        "run_id",
        "written_at",
    }
    return [
        name
        for name in columns
        if name in fixed or (name not in others and not name.startswith("contribution_"))
    ]
