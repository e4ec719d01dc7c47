"""Tables of what a run finds without a model: sources, texts, drift, cascades, comparisons."""

from instructmining.features.names import FEATURES, LANGUAGES
from instructmining.store.columns import BUCKET, FINGERPRINT, ID, POOL, RUN, SOURCE, WRITTEN
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

TEXT_FEATURES = Table(
    "What the texts of an example say of themselves, without a model",
    (
        ID,
        BUCKET,
        Column("definition", "STRING", "how all of it is computed", True),
        *(Column(name, "DOUBLE", comment) for name, comment in FEATURES.items()),
        Column("response_characters", "INT", "length of the response"),
        *(Column(name, "STRING", comment) for name, comment in LANGUAGES.items()),
        RUN,
    ),
    cluster_by=("definition", "bucket"),
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

COMPARISONS = Table(
    "One row per pair of arms and evaluation set: difference of their losses, paired by seed",
    (
        POOL,
        Column("evaluation", "STRING", "evaluation set", True),
        Column("arm", "STRING", "the arm that is judged", True),
        Column("rival", "STRING", "the arm it is compared with", True),
        Column("n", "BIGINT", "seeds that both have a loss for"),
        Column("difference", "DOUBLE", "mean loss of arm - rival, nats; negative: arm better"),
        Column("prompts", "BIGINT", "prompts that the interval counts; 0: seeds alone"),
        Column("low", "DOUBLE", "lower end of its 95 % interval (t distribution)"),
        Column("high", "DOUBLE", "upper end"),
        Column("p", "DOUBLE", "of the paired t test, over seeds and prompts"),
        Column("p_bootstrap", "DOUBLE", "of the bootstrapped t statistic"),
        Column("p_signs", "DOUBLE", "of all flips of the signs; at least 2 / 2^n"),
        Column("p_adjusted", "DOUBLE", "Holm, over the run's planned rows, or its rates"),
        Column("verdict", "STRING", "the same in words"),
        RUN,
        WRITTEN,
    ),
    cluster_by=("pool",),
)
