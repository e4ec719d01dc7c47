"""The tables of `score --cascade`: what was predicted instead of measured, and how well."""

from instructmining.store.columns import FINGERPRINT, ID, POOL, RUN
from instructmining.store.table import Column, Table

_STAGE = Column("stage", "STRING", "stage that was measured on a sample", True)
_INDICATOR = Column("indicator", "STRING", "what is predicted", True)
_CASCADE = Column("fingerprint", "STRING", "of the cascade: joins cascades and predictions", True)

PREDICTIONS = Table(
    "One row per example and indicator that a cascade predicted instead of measuring",
    (
        POOL,
        ID,
        _STAGE,
        _INDICATOR,
        _CASCADE,
        Column("predicted", "DOUBLE", "what ridge regression says, in the unit of the indicator"),
        Column("low", "DOUBLE", "lower end of its interval"),
        Column("high", "DOUBLE", "upper end"),
        RUN,
    ),
    cluster_by=("pool", "stage"),
)
CASCADES = Table(
    "One row per fit of a cascade and indicator: how well the rest of a pool is predicted",
    (
        POOL,
        _STAGE,
        _INDICATOR,
        _CASCADE,
        Column("measured_with", FINGERPRINT.type, "fingerprint of the stage", True),
        Column("embedded_with", FINGERPRINT.type, "fingerprint of the encoder", True),
        Column("share", "DOUBLE", "of the pool that is measured", True),
        Column("seed", "BIGINT", "of the sample and of the folds", True),
        Column("numbers", "ARRAY<STRING>", "numbers it predicts from, beside the embedding"),
        Column("rows", "BIGINT", "examples it was fitted on"),
        Column("r2", "DOUBLE", "out of sample; 1 is exact, 0 no better than the mean"),
        Column("rank_correlation", "DOUBLE", "Spearman, out of sample"),
        Column("confidence", "DOUBLE", "share of examples that the interval is to hold"),
        Column("half_width", "DOUBLE", "of the interval, from out-of-sample errors"),
        Column("penalty", "DOUBLE", "of the ridge regression"),
        Column("accepted", "BOOLEAN", "good enough for the settings; else nothing is predicted"),
        RUN,
    ),
    cluster_by=("pool",),
)
