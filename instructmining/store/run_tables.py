"""Tables of what a run of `score` found: what each source held, and how indicators drifted."""

from instructmining.store.columns import FINGERPRINT, POOL, RUN, SOURCE
from instructmining.store.table import Column, Table

SOURCES = Table(
    "What a source held when it was read into a pool: the newest row of each is what counts",
    (
        POOL,
        SOURCE,
        Column("state", "STRING", "bytes and time of change, or table and version", True),
        Column("reading", "STRING", "hash of the options and the program that read it", True),
        Column("rows", "BIGINT", "rows read: usable, copies and quarantined"),
        Column("records", "BIGINT", "records of the file that they were made of"),
        Column("usable", "BIGINT", "rows that became occurrences"),
        Column("quarantined", "MAP<STRING, BIGINT>", "reason to rows"),
        Column("media", "BIGINT", "rows with pictures, sounds, films or files"),
        Column("tools", "BIGINT", "rows with tool definitions"),
        Column("read_at", "TIMESTAMP", "when the reading began"),
        RUN,
    ),
    cluster_by=("pool",),
)

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
