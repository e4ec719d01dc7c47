"""The data contract: every table, column, comment and constraint in one place."""

from instructmining.store.table import Column, Table

MESSAGES = "ARRAY<STRUCT<role: STRING, content: STRING>>"
MEASURABLE = f"example_id STRING, bucket INT, messages {MESSAGES}"  # rows that models measure
INDICATORS = {
    "input_length": "tokens of the prompt, without template",
    "output_length": "tokens of the response, without template",
    "reward": "reward model's score of the response given the prompt; higher is better",
    "perplexity": "exp of the mean negative log-likelihood of the response given the prompt",
    "perplexity_alone": "the same without the prompt",
    "ifd": "perplexity / perplexity_alone; below 1 the prompt helps",
    "mtld": "lexical diversity of the response (McCarthy & Jarvis, 0.72, both directions)",
    "naturalness": "probability that the response is natural, 0 to 1",
    "coherence": "probability that the response continues the dialogue, 0 to 1",
    "understandability": "probability that the response is understandable, 0 to 1",
}


_ID = Column("example_id", "STRING", "first 128 bits of SHA-256 of the conversation, hex", True)
_BUCKET = Column("bucket", "INT", "first three hex digits of example_id, 0 to 4095", True)
_POOL = Column("pool", "STRING", "named set of examples", True)
_SOURCE = Column("source", "STRING", "file or table the record came from", True)
_POSITION = Column(
    "position", "BIGINT", "line, element or row number, from 1; of a table a row hash", True
)
_FINGERPRINT = Column("fingerprint", "STRING", "what was measured with: see fingerprints", True)
_RUN = Column("run_id", "STRING", "run that wrote the row", True)
_MEASURED = (
    Column("tokens", "BIGINT", "tokens the model was asked to read"),
    Column("truncated_tokens", "BIGINT", "tokens cut away to fit its window"),
    Column("status", "STRING", "ok, or failed: see reason", True),
    Column("reason", "STRING", "why values are absent; null where none is"),
    _RUN,
)

TABLES: dict[str, Table] = {
    "examples": Table(
        "One row per distinct example, immutable; text lives only here",
        (
            _ID,
            _BUCKET,
            Column(
                "messages",
                MESSAGES,
                "the conversation, roles system, user, assistant, tool; assistant_context: a turn "
                "that is not to be learnt",
            ),
            Column(
                "structure",
                "STRING",
                "JSON of tool definitions, media and the parts of turns; null: messages are all",
            ),
            Column("prompt", "STRING", "instruction and input, or everything before the response"),
            Column("response", "STRING", "last assistant turn"),
            Column("format", "STRING", "layout it was read from"),
            Column("raw", "STRING", "the source record: exact for JSON, by value for tables"),
            _RUN,
        ),
        cluster_by=("example_id",),
    ),
    "occurrences": Table(
        "One row per usable input record: copies, sources and quotas are aggregates of it",
        (
            _POOL,
            _ID,
            _SOURCE,
            _POSITION,
            Column("source_key", "STRING", "the user's own key (--id)"),
            Column("kept", "MAP<STRING, STRING>", "the user's own columns (--keep)"),
            Column("unread", "ARRAY<STRING>", "fields with text that the example does not hold"),
            _RUN,
        ),
        cluster_by=("pool", "example_id"),
    ),
    "stale_occurrences": Table(
        "Occurrences whose record was gone when their source was read again",
        (_POOL, _SOURCE, _POSITION, _ID, _RUN),
        cluster_by=("pool", "example_id"),
    ),
    "quarantine": Table(
        "One row per unusable input record",
        (
            _SOURCE,
            _POSITION,
            Column("content_hash", "STRING", "SHA-256 of the record, first 32 digits", True),
            Column("raw", "STRING", "the record, cut at 4096 characters"),
            Column("reason", "STRING", "why it cannot be used, one code", True),
            Column("detail", "STRING", "the same in words"),
            _RUN,
        ),
    ),
    "stage_values": Table(
        "What one model stage measured on one example",
        (
            _ID,
            _BUCKET,
            Column("stage", "STRING", "stage name", True),
            _FINGERPRINT,
            Column("values", "MAP<STRING, DOUBLE>", "indicator to value; absent where unmeasured"),
            *_MEASURED,
        ),
        cluster_by=("fingerprint", "bucket"),
        constraints=(("known_status", "status IN ('ok', 'failed')"),),
    ),
    "embeddings": Table(
        "One sentence vector per example and encoder",
        (
            _ID,
            _BUCKET,
            _FINGERPRINT,
            Column("vector", "ARRAY<FLOAT>", "unit length; null where it could not be measured"),
            *_MEASURED,
        ),
        cluster_by=("fingerprint", "bucket"),
        constraints=(("known_status", "status IN ('ok', 'failed')"),),
    ),
    "fingerprints": Table(
        "What a fingerprint stands for",
        (
            _FINGERPRINT,
            Column("stage", "STRING", "stage it measures", True),
            Column("source", "STRING", "where the model came from"),
            Column("definition", "STRING", "JSON of everything the fingerprint hashes"),
            Column("provenance", "STRING", "JSON of dtype, device and library versions"),
            _RUN,
        ),
    ),
    "pool_knn": Table(
        "Distances to the neighbours of each example within its pool",
        (
            _POOL,
            Column("pool_version", "STRING", "hash of the pool's members and vectors", True),
            _ID,
            Column("distances", "ARRAY<DOUBLE>", "euclidean, neighbours 1 to k, itself excluded"),
            Column("method", "STRING", "exact or hnsw, with its recall"),
            _RUN,
        ),
        cluster_by=("pool",),
    ),
    "scores": Table(
        "Predicted log loss of every example of a pool under one rule: lower is better",
        (
            _POOL,
            _ID,
            Column("rule_name", "STRING", "rule that predicted", True),
            Column("rule_version", "STRING", "its version", True),
            *(Column(name, "DOUBLE", comment) for name, comment in INDICATORS.items()),
            Column("knn_6", "DOUBLE", "distance to the 6th neighbour in the pool"),
            Column("predicted_log_loss", "DOUBLE", "lower is better; null if an indicator is"),
            Column("predicted_log_loss_se", "DOUBLE", "its standard error, of a fitted rule"),
            Column("percentile", "DOUBLE", "percent of the pool with a lower predicted log loss"),
            Column("missing_reason", "STRING", "which indicators are absent and why"),
            Column("out_of_range", "BOOLEAN", "an indicator is outside the range of the rule"),
            Column("rule_models_match", "BOOLEAN", "measured with the models the rule knows"),
            Column("inputs_version", "STRING", "hash of everything the scores were computed from"),
            _RUN,
        ),
        cluster_by=("pool", "rule_name", "rule_version"),
        constraints=(
            ("finite_prediction", "predicted_log_loss IS NULL OR abs(predicted_log_loss) < 1e300"),
            ("percentile_in_range", "percentile IS NULL OR percentile BETWEEN 0 AND 100"),
        ),
    ),
    "canary": Table(
        "One row per spoiled copy of an example: does a rule prefer the real one?",
        (
            _POOL,
            Column("models", "STRING", "hash of the models that measured both rows", True),
            Column("kind", "STRING", "how the copy was spoiled", True),
            _ID,
            Column("held_out", "BOOLEAN", "no embedded model is trained on this kind"),
            Column("real", "MAP<STRING, DOUBLE>", "indicators of the example"),
            Column("spoiled", "MAP<STRING, DOUBLE>", "indicators of its spoiled copy"),
            _RUN,
        ),
        cluster_by=("pool",),
    ),
    "subsets": Table(
        "One row per example of a subset",
        (
            Column("subset", "STRING", "hash of the ids in it", True),
            Column("recipe", "STRING", "how it was drawn, as JSON", True),
            Column("rank", "BIGINT", "place in it, from 1", True),
            _ID,
            _RUN,
        ),
        cluster_by=("subset",),
    ),
    "left_out": Table(
        "An example that a selection left out before it chose, and why",
        (
            _POOL,
            _ID,
            Column("why", "STRING", "overlap or near_duplicate", True),
            Column("beside", "STRING", "evaluation set, or id of the better example", True),
            Column("similarity", "DOUBLE", "of the two texts, for a near-duplicate"),
            Column("shared", "STRING", "words that both have in a row, for an overlap"),
            _RUN,
        ),
        cluster_by=("run_id",),
    ),
    "finetuning_runs": Table(
        "One row per finetuned model: what it saw, and its loss on each evaluation set",
        (
            Column("run_key", "STRING", "hash of subset, base, recipe, seed, evaluation", True),
            Column("purpose", "STRING", "fit or evaluate", True),
            Column("subset", "STRING", "hash of the ids it was trained on", True),
            Column("seed", "BIGINT", "of the order of the examples", True),
            Column("base", "STRING", "source of the base model", True),
            Column("base_fingerprint", "STRING", "what the base model is: see fingerprints", True),
            Column("recipe", "STRING", "settings of the finetuning, as JSON", True),
            Column("evaluation", "STRING", "hash of the evaluation sets by name, as JSON", True),
            Column("examples", "BIGINT", "rows trained on"),
            Column("indicators", "MAP<STRING, DOUBLE>", "mean over the subset, by indicator"),
            Column("mix", "MAP<STRING, DOUBLE>", "share of each source in the subset"),
            Column("losses", "MAP<STRING, DOUBLE>", "mean NLL of reference tokens, in nats"),
            Column("prompt_losses", "MAP<STRING, ARRAY<DOUBLE>>", "the same of each conversation"),
            Column("prompt_tokens", "MAP<STRING, ARRAY<BIGINT>>", "its reference tokens"),
            Column("train_loss", "DOUBLE", "mean NLL in the last epoch, as seen while training"),
            Column("tokens", "BIGINT", "response tokens trained on, all epochs"),
            Column("read_tokens", "BIGINT", "tokens of the sequences read, all epochs"),
            Column("steps", "BIGINT", "updates of the weights"),
            Column("unused", "BIGINT", "examples without a response token in the window"),
            Column("seconds", "DOUBLE", "training and evaluation"),
            Column("device", "STRING", "where, and in which precision"),
            Column("status", "STRING", "ok, or failed: see reason", True),
            Column("reason", "STRING", "why there is no loss"),
            _RUN,
        ),
        cluster_by=("run_key",),
    ),
    "arms": Table(
        "One row per arm and seed of an evaluation: joins finetuning_runs by run_key",
        (
            _POOL,
            Column("arm", "STRING", "selected, diverse, random, longest or full", True),
            Column("seed", "BIGINT", "of the order, and of the draw where there is one", True),
            Column("run_key", "STRING", "its finetune: equal subsets share one", True),
            Column("subset", "STRING", "hash of the ids it was trained on", True),
            Column("recipe", "STRING", "how its examples were chosen, as JSON", True),
            _RUN,
        ),
        cluster_by=("run_key",),
    ),
    "comparisons": Table(
        "One row per pair of arms and evaluation set: difference of their losses, paired by seed",
        (
            _POOL,
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
            Column("p_adjusted", "DOUBLE", "Holm, over all rows of the evaluation run"),
            Column("verdict", "STRING", "the same in words"),
            _RUN,
        ),
        cluster_by=("pool",),
    ),
    "answers": Table(
        "What finetuned models answer to the prompts of the evaluation sets",
        (
            Column("run_key", "STRING", "the finetune: see finetuning_runs", True),
            Column("evaluation", "STRING", "evaluation set", True),
            Column("example_id", "STRING", "whose prompt it answers", True),
            Column("decoding", "STRING", "how tokens were chosen, and how many, as JSON", True),
            Column("answer", "STRING", "the model's text, without end of turn"),
            Column("finished", "BOOLEAN", "it ended by itself, not at the limit of tokens"),
            _RUN,
        ),
        cluster_by=("run_key",),
    ),
    "verdicts": Table(
        "One row per judged pair of answers in one order; a pair is never judged twice",
        (
            Column("verdict_key", "STRING", "hash of judge, prompt and both answers", True),
            Column("judge", "STRING", "model, endpoint and version of the question", True),
            Column("evaluation", "STRING", "evaluation set", True),
            Column("example_id", "STRING", "whose prompt was answered", True),
            Column("first_run", "STRING", "finetune whose answer is shown first", True),
            Column("second_run", "STRING", "finetune whose answer is shown second", True),
            Column("verdict", "STRING", "first, second, tie, or unreadable", True),
            Column("margin", "DOUBLE", "reward of first - second, of a reward model"),
            Column("tokens", "BIGINT", "of the call, as the endpoint counts them"),
            _RUN,
        ),
        cluster_by=("verdict_key",),
    ),
}
