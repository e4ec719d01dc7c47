"""The table of `score --fail-on-drift`: what was measured last, beside what was there before."""

from instructmining.store.columns import FINGERPRINT, POOL, RUN
from instructmining.store.table import Column, Table

DRIFT = Table(
    "Examples of a pool that were measured last beside those measured before, by indicator",
    (
        POOL,
        Column("indicator", "STRING", "what is compared, as one model measured it", True),
        FINGERPRINT,
        Column("new_examples", "BIGINT", "measured by the last run that measured any"),
        Column("old_examples", "BIGINT", "measured before"),
        Column("new_median", "DOUBLE", "middle of the former"),
        Column("old_median", "DOUBLE", "middle of the latter"),
        Column("moved", "DOUBLE", "their distance over the old 5th to 95th percentile"),
        Column("compared_at", "TIMESTAMP", "when they were compared"),
        RUN,
    ),
    cluster_by=("pool",),
)
