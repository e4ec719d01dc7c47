"""What a cascade is fitted on, the fits, and which of them are too bad to predict with."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from instructmining.cascading.predictor import Inputs, damped
from instructmining.cascading.ridge import (
    Numbers,
    Quality,
    Ridge,
    cross_fitted,
    fit_ridge,
    quality_of,
)
from instructmining.cascading.sample import in_sample
from instructmining.errors import UserError
from instructmining.scoring.scores import Measured, with_indicators
from instructmining.settings.cascading import Cascade
from instructmining.store.distributions import quoted
from instructmining.store.tables import Store
from jobs.scoring.stages import Pool
from jobs.stored.vectors import of_encoder
from udfs.on_spark.arrow import vectors

FEWEST = 50  # measured examples; fewer say too little of how well the rest is predicted
NUMBER = "number_"  # before the name of what is predicted from
_TEXTS = ("prompt", "response")


@dataclass(frozen=True)
class Fitted:
    """One indicator of a cascade."""

    indicator: str
    inputs: Inputs
    ridge: Ridge
    quality: Quality


def frame_of(
    store: Store, pool: Pool, measured: Measured, cascade: Cascade
) -> tuple[DataFrame, list[str]]:
    """The pool's members with vector, indicators and what they are predicted from, and its names.

    Beside the indicators of stages that measure all examples, these are the lengths of the texts.
    """
    plain = replace(measured, cascades={})
    indicators = with_indicators(store, pool.members, pool.name, plain, [])
    texts = pool.examples.select(
        "example_id",
        *(F.length(text).cast("double").alias(f"{text}_characters") for text in _TEXTS),
    )
    embedded = of_encoder(store, F.col("fingerprint") == measured.fingerprints["embed"])
    one_vector = embedded.dropDuplicates(["example_id"]).select("example_id", "vector")
    names = [name for name, of in measured.stage_of.items() if of not in cascade.shares]
    names += [f"{text}_characters" for text in _TEXTS]
    rows = indicators.join(texts, "example_id").join(one_vector, "example_id")
    numbers = {f"{NUMBER}{name}": damped(quoted(name)) for name in names}
    return rows.withColumns(numbers), names


def fits_of(
    frame: DataFrame, names: Sequence[str], targets: Sequence[str], stage: str, cascade: Cascade
) -> list[Fitted]:
    """One fit for each target, on the sample.

    Args:
        frame: of `frame_of`.
        names: likewise.
        targets: indicators of the stage.
        stage: a name in `cascade.shares`.
        cascade: share, seed, and how many rows at most.

    Raises:
        UserError: the sample has too few values.
    """
    share = cascade.shares[stage]
    in_whole = frame.where(_has_any(targets) & in_sample(share, cascade.seed))
    count = in_whole.count()
    if count > cascade.fit_rows:
        share *= cascade.fit_rows / count
        in_whole = in_whole.where(in_sample(share, cascade.seed))
    columns = [f"{NUMBER}{name}" for name in names]
    table = in_whole.select(
        "example_id",
        "vector",
        F.array(*map(quoted, columns)).alias("numbers"),
        F.array(*map(quoted, targets)).alias("targets"),
    ).toArrow()
    table = table.sort_by("example_id")  # the folds follow the order
    if table.num_rows < FEWEST:
        raise UserError(_too_few(stage, cascade, table.num_rows))
    numbers = _matrix(table["numbers"].to_pylist())
    values = _matrix(table["targets"].to_pylist())
    inputs = Inputs.of(columns, numbers)
    x = inputs.matrix(vectors(table["vector"]).astype(np.float64), columns, numbers)
    return [
        _fit_one(name, inputs, x, values[:, place], stage, cascade)
        for place, name in enumerate(targets)
    ]


def _fit_one(
    name: str, inputs: Inputs, x: Numbers, y: Numbers, stage: str, cascade: Cascade
) -> Fitted:
    known = np.isfinite(y)
    if known.sum() < FEWEST:
        raise UserError(_too_few(stage, cascade, int(known.sum())))
    x, y = x[known], y[known]
    quality = quality_of(y, cross_fitted(x, y, cascade.seed), cascade.confidence)
    return Fitted(name, inputs, fit_ridge(x, y), quality)


def refuse_bad(
    r2: Mapping[str, float], needed: Collection[str], stage: str, cascade: Cascade
) -> list[str]:
    """The indicators that are predicted well enough; the others are left out.

    Args:
        r2: by indicator, out of sample.
        needed: indicators without which there are no scores: terms of the rule.
        stage: a name in `cascade.shares`.
        cascade: what is good enough.

    Raises:
        UserError: none is, or one that is needed is not; with the figures.
    """
    bad = {name: score for name, score in r2.items() if not score >= cascade.min_r2}
    if len(bad) < len(r2) and not set(bad) & set(needed):
        return [name for name in r2 if name not in bad]
    said = "; ".join(f"{name}: R² {score:.2f}" for name, score in bad.items())
    raise UserError(
        f"--cascade {stage}={cascade.shares[stage]:g} does not predict well enough out of sample "
        f"({said}; cascade.min_r2 is {cascade.min_r2:g}): what was measured is stored, nothing is "
        "predicted; raise the share, or leave --cascade out to measure the rest (the table "
        "cascades has all figures)"
    )


def _too_few(stage: str, cascade: Cascade, rows: int) -> str:
    share = cascade.shares[stage]
    return (
        f"--cascade {stage}={share:g}: {rows} examples of the sample have a vector and a value, "
        f"and a prediction needs {FEWEST}: raise the share (what is measured stays), or leave "
        "--cascade out"
    )


def _has_any(names: Sequence[str]) -> Column:
    return F.coalesce(*map(quoted, names)).isNotNull()


def _matrix(rows: Sequence[Sequence[float | None]]) -> Numbers:
    """float64[n, k], NaN where there is nothing."""
    return np.array(rows, dtype=np.float64)
