"""The settings of every command, in sections; a field's description is its help everywhere.

`--help`, docs/settings.md and error messages all show these descriptions.
"""

from typing import Literal

from pydantic import model_validator

from instructmining.settings.cascading import Cascade
from instructmining.settings.endpoints import Endpoint
from instructmining.settings.fitting import Fit
from instructmining.settings.learning import (
    Canary,
    Evaluate,
    Finetune,
    Floor,
    Judge,
    Select,
)
from instructmining.settings.section import Section, setting
from instructmining.settings.stored import Erase, Explain, Import, Maintain

STAGES = ("ingest", "reward", "perplexity", "embed", "mtld", "unieval", "knn", "rule")


class Read(Section):
    """How input is read."""

    format: str = setting("auto", "Layout of the records. `auto` detects it per record.")
    columns: dict[str, str] = setting(
        {},
        "Your own field names: prompt=FIELD,response=FIELD, or turns=LIST,role=FIELD,"
        "content=FIELD, or transcript=FIELD,user=NAME,assistant=NAME. The last two also take "
        "tool=NAME and system_field=FIELD. Dots lead into objects; a "
        'name with a comma or dot stands in double quotes, as in prompt="q, 1".',
    )
    id: str | None = setting(
        None, "Field with your own key, named as in `columns`; stored as `occurrences.source_key`."
    )
    keep: tuple[str, ...] = setting(
        (), "Your own fields to keep, named as in `columns`; stored in `occurrences.kept`."
    )
    best_path: bool = setting(
        False, "Take only the best-ranked conversation of a message tree, not all of them."
    )
    strict_fields: bool = setting(False, "Refuse input with a field whose text is in no example.")
    again: bool = setting(
        False, "Also read files and tables again that have not changed since they were last read."
    )
    skip_bad_files: bool = setting(
        False, "Quarantine a file without a readable record as one row instead of stopping."
    )
    csv_escape: Literal["auto", "doubled", "backslash"] = setting(
        "auto",
        "How quotes are written in quoted cells of CSV: doubled (RFC 4180), or after a backslash "
        "(Spark). `auto` decides for each file where the two first differ.",
    )


class Measure(Section):
    """How model stages run; none of these changes a number beyond the stated tolerances."""

    chunk_rows: int | None = setting(
        None,
        "Rows per task slot between two commits, which is the most that a killed job repeats. "
        "null: 4,096; on GPUs 65,536; for models behind a server 512.",
        ge=1,
    )
    token_budget: int | None = setting(
        None,
        "Tokens of one forward pass, padding included. null: what suits the device, its memory and "
        "the model.",
    )
    dtype: Literal["auto", "bfloat16", "float32"] = setting(
        "auto", "Precision of the models. `auto` is bfloat16 where the hardware has it."
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "Where models run. `auto` takes a GPU where Spark assigns one."
    )
    gpu_amount: float = setting(1.0, "Share of a GPU that one model takes.", ge=0)
    packing: bool | None = setting(
        None,
        "Read texts one after another without padding, where a model is causal. null: on GPUs.",
    )
    compile: bool | None = setting(
        None,
        "Compile models, which takes a minute or two. null: on GPUs, causal models and classifiers "
        "in stages of at least 500,000 rows per task slot. true: always, finetunes too.",
    )
    fused_optimizer: bool | None = setting(
        None, "Update all weights of a finetune by one kernel. null: on GPUs."
    )
    compiled_code: str | None = setting(
        None,
        "Folder for compiled code, on every node or seen by all, so that it is compiled once. "
        "null: torch's own folder of each node.",
    )
    retry_failed: bool = setting(False, "Measure failed rows again.")
    max_failed_fraction: float = setting(
        0.01, "Fail the run if more than this share of a stage's rows failed.", ge=0, le=1
    )


class Knn(Section):
    """Neighbours of an example in its pool."""

    neighbors: int = setting(6, "Number of neighbours of each example.", ge=1, le=64)
    candidates: int = setting(
        32, "Neighbours that are found first and then ranked by their true distance.", ge=2
    )
    device: Literal["cpu", "cuda"] = setting(
        "cpu",
        "Where an exact search runs. `cuda`: on the executors' GPUs.",
    )
    exact_up_to: int | None = setting(
        None, "Rows up to which all pairs are compared. null: 200,000, on GPUs 10,000,000."
    )
    probes: int = setting(64, "Effort of an approximate search: rows it keeps in sight.")
    count_copies: bool = setting(
        False, "Count exact copies as neighbours at distance 0, as in the paper's raw pool."
    )
    broadcast_up_to_mb: int = setting(
        512, "Size up to which an index is broadcast; a larger one is mapped from a file per node."
    )
    cells_beyond: int | None = setting(
        None,
        "Rows above which the pool is joined by cells, so that no node holds it whole. null: where "
        "the driver cannot hold one index, or builds a graph for more than an hour.",
        ge=0,
    )
    cell_rows: int = setting(20_000, "Rows of a cell.", ge=1)
    visits: int = setting(8, "Cells in which each row is searched; more cells find more.", ge=1)
    reference: Literal["refresh", "frozen"] = setting(
        "refresh",
        "Whether new rows change the distances of old ones: with `refresh` they do, with `frozen` "
        "they do not.",
    )

    @property
    def exact_limit(self) -> int:
        """`exact_up_to`, or what suits the device."""
        if self.exact_up_to is not None:
            return self.exact_up_to
        return 10_000_000 if self.device == "cuda" else 200_000

    @model_validator(mode="after")
    def _frozen_counts_no_copies(self) -> "Knn":
        if self.reference == "frozen" and self.count_copies:
            raise ValueError(
                "reference=frozen cannot count copies: those of old rows may grow; "
                "set count_copies=false, or reference=refresh"
            )
        return self


class Rule(Section):
    """Which rule predicts."""

    source: str = setting(
        "auto",
        "The rule: auto, paper-v1, paper-v2, FILE.json, models:/NAME@ALIAS or models:/NAME/7.",
    )
    strict: bool = setting(False, "Refuse a rule that was fitted with other models.")


class Export(Section):
    """Where the chosen examples are written."""

    to: str | None = setting(
        None,
        "Where to write: FILE.jsonl, FILE.jsonl.gz, X.parquet, X.delta, table:NAME, or a folder. "
        "null: nowhere.",
    )
    layout: str = setting(
        "auto",
        "Layout of the records. `auto` writes them as they came, and as `messages` if they came in "
        "several layouts; `original` as they came, one file per layout; any other layout converts. "
        "`hub` and `save_to_disk` write a data set of Hugging Face's library into a folder; "
        "`preference` writes pairs of a chosen and a rejected answer.",
    )
    trainer: Literal["trl", "axolotl", "llama-factory", "torchtune", "open-instruct"] | None = (
        setting(
            None,
            "Write `to` as this training program reads it, and beside it the settings that name "
            "the file. null: for no particular program.",
        )
    )
    overwrite: bool = setting(False, "Replace what is already at `to`.")


class Report(Section):
    """What the page shows."""

    to: str | None = setting(
        None, "The page, FILE.html. null: report.html in `files`, else in the current folder."
    )
    examples: int = setting(
        8, "Number of best examples, of worst, and of groups of near-duplicates.", ge=1, le=50
    )
    characters: int = setting(
        1200, "Characters shown of a text; the page says what is cut.", ge=100, le=10_000
    )


class Tracking(Section):
    """Where runs and rules are recorded."""

    uri: str = setting(
        "sqlite:///mlflow.db",
        "MLflow store: a file in the current folder, a server, `databricks`, or `none`.",
    )
    registry_uri: str | None = setting(
        None,
        "Where rules are registered. null: as `tracking.uri`; on Databricks its Unity Catalog.",
    )
    experiment: str = setting(
        "instructmining",
        "Name of the experiment. On Databricks a path; a name without a slash goes to `/Shared`.",
    )
    registry_model: str = setting(
        "instructmining_rule", "Registered model whose versions are the rules."
    )


class Settings(Section):
    """Everything that a command can be given."""

    input: tuple[str, ...] = setting(
        (),
        "Data to read: files, folders, globs, tables, data sets of the hub (hf:owner/name), or "
        "`sample`, which comes with the package. `table:` or `path:` forces the kind.",
    )
    store: str = setting("out", "The store: a folder, or catalog.schema.")
    files: str | None = setting(
        None,
        "A folder that all nodes share, for what is not a table, such as a large index or reports.",
    )
    pool: str = setting(
        "default", "Pool of examples that the command reads or adds to.", min_length=1
    )
    replace_pool: bool = setting(False, "Empty the pool before the data are added.")
    models: str = setting("embedded", "Model list: a name in conf/models, or a YAML file.")
    indicators: dict[str, str] = setting(
        {},
        "Numbers that the data already hold, used as indicators: NAME=COLUMN, with the column "
        "named as in `read.columns`. Give them to every command that should use them.",
    )
    indicator_version: str = setting(
        "1",
        "Version of `indicators`, part of their fingerprint. Change it when they are computed "
        "differently: numbers of two versions are never mixed.",
    )
    stages: tuple[str, ...] = setting(
        STAGES,
        "Stages to run. A classifier of the model list is classifier:NAME; by default all of "
        "them run.",
    )
    dry_run: bool = setting(
        False,
        "Change nothing. `score` measures a small sample and prints what a run would cost; "
        "`maintain` prints what it would remove.",
    )
    fail_on_drift: float | None = setting(
        None,
        "Fail, once everything is stored, if the median of an indicator over the newest "
        "measurements in the pool differs from the median over the older ones by more than this "
        "share of the range between the 5th and 95th percentile. null: do not compare.",
        gt=0,
    )
    read: Read = Read()
    measure: Measure = Measure()
    cascade: Cascade = Cascade()
    endpoint: Endpoint = Endpoint()
    knn: Knn = Knn()
    canary: Canary = Canary()
    rule: Rule = Rule()
    finetune: Finetune = Finetune()
    fit: Fit = Fit()
    select: Select = Select()
    floor: Floor = Floor()
    evaluate: Evaluate = Evaluate()
    judge: Judge = Judge()
    export: Export = Export()
    report: Report = Report()
    explain: Explain = Explain()
    maintain: Maintain = Maintain()
    erase: Erase = Erase()
    imports: Import = Import()
    tracking: Tracking = Tracking()
    # Not recorded: Spark's settings of a file system may hold its keys.
    spark: dict[str, str | None] = setting(
        {},
        "Spark's own settings for a session that the command starts itself, as in "
        "spark.driver.memory=6g. Where spark-submit or a platform starts it they are not used.",
        exclude=True,
    )
