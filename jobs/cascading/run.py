"""Fit what a stage measured on its sample, judge it out of sample, predict the rest of the pool."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.scoring.scores import Measured
from instructmining.settings.cascading import Cascade
from instructmining.spark.frames import small_frame
from instructmining.store.planning import MeasuredCount, pool_version
from instructmining.store.schemas import TABLES
from instructmining.store.tables import Store
from jobs.cascading.fitted import NUMBER, Fitted, fits_of, frame_of, refuse_bad
from jobs.scoring.rule_choice import RuleChoice
from jobs.scoring.stages import Pool

_METHOD = "ridge-1"  # changes where the same data would give other predictions


@dataclass(frozen=True)
class Outcome:
    """What a cascade left behind: its fingerprint, None where nothing is left to predict."""

    fingerprint: str | None
    words: str


def run_cascade(
    store: Store,
    stage: str,
    pool: Pool,
    measured: Measured,
    counts: Mapping[str, MeasuredCount],
    needed: Collection[str],
    cascade: Cascade,
    run_id: str,
) -> Outcome:
    """Predict the indicators of a stage where it did not measure.

    Args:
        store: has the measurements and the embeddings.
        stage: a name in `cascade.shares`.
        pool: its name and members.
        measured: models and fingerprints; other stages of a cascade are not predicted from.
        counts: what is measured of the pool, by fingerprint.
        needed: indicators without which there are no scores: terms of the rule.
        cascade: share, seed, and what is good enough; what is worse is not predicted.
        run_id: goes into every row.

    Raises:
        UserError: too few measured examples; or every prediction, or one that is needed, is
            worse than `min_r2` asks. Nothing is predicted then.
    """
    own = store.read("stage_values").where(F.col("fingerprint") == measured.fingerprints[stage])
    rest = pool.members.select("example_id").join(own, "example_id", "left_anti")
    left = rest.count()
    if not left:
        return Outcome(None, "all examples are measured, none is predicted")
    fingerprint = _fingerprint(stage, pool, measured, counts, cascade)
    known = store.read("cascades").where(
        (F.col("pool") == pool.name) & (F.col("fingerprint") == fingerprint)
    )
    stored = [row.asDict() for row in known.collect()]
    if stored and _is_stored(store, pool, fingerprint):
        refuse_bad({row["indicator"]: row["r2"] for row in stored}, needed, stage, cascade)
        return Outcome(fingerprint, f"{left:,} examples predicted before, {_figures(stored)}")
    targets = [name for name, of in measured.stage_of.items() if of == stage]
    frame, names = frame_of(store, pool, measured, cascade)
    fits = fits_of(frame, names, targets, stage, cascade)
    rows = [_row(fit, stage, pool, measured, cascade, fingerprint, run_id) for fit in fits]
    if not stored:
        table = small_frame(store.spark, rows, TABLES["cascades"].ddl)
        store.append(table, "cascades", {"run_id": run_id})
    r2 = {fit.indicator: fit.quality.r2 for fit in fits}
    good = refuse_bad(r2, needed, stage, cascade)
    fits = [fit for fit in fits if fit.indicator in good]
    predicted = _predictions(frame.join(rest, "example_id", "left_semi"), fits)
    constants = {"pool": pool.name, "stage": stage, "fingerprint": fingerprint, "run_id": run_id}
    predicted = predicted.withColumns({name: F.lit(text) for name, text in constants.items()})
    where = {"pool": pool.name, "stage": stage}
    store.replace(predicted, "predictions", where, {"run_id": run_id, **where}, pool.check)
    return Outcome(fingerprint, f"{left:,} examples predicted, {_figures(rows)}")


def predict_rest(
    store: Store,
    pool: Pool,
    choice: RuleChoice,
    counts: Mapping[str, MeasuredCount],
    cascade: Cascade,
    run_id: str,
) -> tuple[RuleChoice, str]:
    """Run every cascade of the settings.

    Returns:
        The choice, which now takes their predictions where nothing was measured, and what they
        did, in words.
    """
    measured = choice.measured
    needed = choice.rule.indicators
    outcomes = {
        stage: run_cascade(store, stage, pool, measured, counts, needed, cascade, run_id)
        for stage in cascade.shares
    }
    prints = {
        stage: outcome.fingerprint
        for stage, outcome in outcomes.items()
        if outcome.fingerprint is not None
    }
    words = "; ".join(f"{stage}: {outcome.words}" for stage, outcome in outcomes.items())
    return replace(choice, measured=replace(measured, cascades=prints)), words


def _fingerprint(
    stage: str,
    pool: Pool,
    measured: Measured,
    counts: Mapping[str, MeasuredCount],
    cascade: Cascade,
) -> str:
    """A hash of all that decides the predictions: models, settings, members and measurements."""
    prints = {
        name: print_
        for name, print_ in measured.fingerprints.items()
        if name == stage or name not in cascade.shares
    }
    decided = {
        "method": _METHOD,
        "stage": stage,
        "fingerprints": prints,
        "settings": [cascade.shares[stage], *cascade.model_dump(exclude={"shares"}).values()],
        "pool": [pool.name, pool_version(pool.members)],
        "measured": {
            print_: [counts[print_].rows, counts[print_].failed]
            for print_ in prints.values()
            if print_ in counts
        },
    }
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:32]


def _is_stored(store: Store, pool: Pool, fingerprint: str) -> bool:
    """Whether the predictions of the pool are still those of this cascade."""
    mine = (F.col("pool") == pool.name) & (F.col("fingerprint") == fingerprint)
    return not store.read("predictions").where(mine).isEmpty()


def _predictions(rows: DataFrame, fits: Sequence[Fitted]) -> DataFrame:
    """`example_id, indicator, predicted, low, high` of rows that have a vector."""
    found = rows.withColumns(
        {f"guess_{i}": fit.inputs.predicted(fit.ridge, "vector") for i, fit in enumerate(fits)}
    )
    each = F.explode(F.array(*(_interval(F.col(f"guess_{i}"), f) for i, f in enumerate(fits))))
    return found.select("example_id", each.alias("found")).select("example_id", "found.*")


def _interval(value: Column, fit: Fitted) -> Column:
    half = F.lit(fit.quality.half_width)
    return F.struct(
        F.lit(fit.indicator).alias("indicator"),
        value.alias("predicted"),
        (value - half).alias("low"),
        (value + half).alias("high"),
    )


def _row(
    fit: Fitted,
    stage: str,
    pool: Pool,
    measured: Measured,
    cascade: Cascade,
    fingerprint: str,
    run_id: str,
) -> dict[str, object]:
    """A row of the table `cascades`."""
    return {
        "pool": pool.name,
        "stage": stage,
        "indicator": fit.indicator,
        "fingerprint": fingerprint,
        "measured_with": measured.fingerprints[stage],
        "embedded_with": measured.fingerprints["embed"],
        "share": cascade.shares[stage],
        "seed": cascade.seed,
        "numbers": [name.removeprefix(NUMBER) for name in fit.inputs.names],
        "rows": fit.quality.rows,
        "r2": fit.quality.r2,
        "rank_correlation": fit.quality.rank_correlation,
        "confidence": cascade.confidence,
        "half_width": fit.quality.half_width,
        "penalty": fit.ridge.penalty,
        "accepted": fit.quality.r2 >= cascade.min_r2,
        "run_id": run_id,
    }


def _figures(rows: Sequence[Mapping[str, object]]) -> str:
    """How well, out of sample, for the summary."""
    return "; ".join(
        f"{row['indicator']} R² {row['r2']:.2f}, rank correlation {row['rank_correlation']:.2f}, "
        f"± {row['half_width']:.3g}{'' if row['accepted'] else ' (too bad: not predicted)'}"
        for row in rows
    )
