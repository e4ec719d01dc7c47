"""Typed settings: `conf/base.yml`, then `--settings FILE`, then `--set a.b=c`, then options."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from instructmining.errors import UserError
from instructmining.layouts.detection import FORMATS
from instructmining.layouts.field_names import steps
from instructmining.packaged import conf_folder
from instructmining.settings.yaml_files import explained, parse_yaml, read_yaml

STAGES = ("ingest", "reward", "perplexity", "embed", "mtld", "unieval", "knn", "rule")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Read(_Settings):
    """How input is read."""

    format: str = "auto"  # auto, or a name of instructmining.layouts.detection.FORMATS
    columns: dict[str, str] = Field(default_factory=dict)  # e.g. {"prompt": "q", "response": "a"}
    id: str | None = None  # the user's own key, stored as occurrences.source_key
    keep: tuple[str, ...] = ()  # the user's columns, stored in occurrences.kept
    best_path: bool = False  # of a tree of messages only the best-ranked conversation
    skip_bad_files: bool = False  # a file without a decodable record: one quarantine row


class Measure(_Settings):
    """How model stages run; none of these changes a number beyond the stated tolerances."""

    # Per task slot, what a killed job repeats at most; None: 4,096, on GPUs 65,536.
    chunk_rows: int | None = Field(default=None, ge=1)
    token_budget: int | None = None  # tokens of one forward, padding included; None: by device
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpu_amount: float = Field(default=1.0, ge=0)  # the model's share of a GPU
    retry_failed: bool = False
    max_failed_fraction: float = Field(default=0.01, ge=0, le=1)


class Knn(_Settings):
    """Neighbours of an example in its pool."""

    neighbors: int = Field(default=6, ge=1, le=64)
    candidates: int = Field(default=32, ge=2)  # ranked by their true distance
    exact_up_to: int = 200_000
    probes: int = 64  # effort of an approximate search: rows it keeps in sight
    count_copies: bool = False  # exact copies at distance 0, as in the paper's raw pool
    broadcast_up_to_mb: int = 512  # a larger index is mapped from one file per node
    cells_beyond: int = 20_000_000  # rows; a larger pool is joined by cells, none holds it whole
    cell_rows: int = Field(default=20_000, ge=1)
    visits: int = Field(default=8, ge=1)  # cells that a row asks in; more finds more
    reference: Literal["refresh", "frozen"] = "refresh"  # frozen: new rows move no old distance

    @model_validator(mode="after")
    def _frozen_counts_no_copies(self) -> "Knn":
        if self.reference == "frozen" and self.count_copies:
            raise ValueError(
                "reference=frozen cannot count copies: those of old rows may grow; "
                "set count_copies=false, or reference=refresh"
            )
        return self


class Finetune(_Settings):
    """How a model is finetuned on a subset; all but the last is part of a run's key."""

    epochs: int = Field(default=2, ge=1)
    batch_rows: int = Field(default=16, ge=1)  # examples of one step
    rate: float | None = None  # None: 2e-5, with LoRA 2e-4, below 100 M parameters 3e-4
    warm_up: float = Field(default=0.1, ge=0, le=1)  # share of the steps; then a cosine to 5 %
    weight_decay: float = 0.0
    max_length: int = Field(default=512, ge=8)  # tokens; the end of a longer response is cut
    adapter: Literal["auto", "full", "lora"] = "auto"  # auto: LoRA from 3e9 parameters
    lora_rank: int = Field(default=16, ge=1)
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"  # of the weights; masters are float32
    gpus_per_run: int = Field(default=1, ge=1)  # processes that share one run, a GPU each


class Fit(_Settings):
    """How a rule is learned."""

    pools: tuple[str, ...] = ()  # scored pools to draw from; none: `pool`
    evaluation: tuple[str, ...] = ()  # NAME=DATA, or DATA; the first is the target
    base: str | None = None  # model to finetune; None: the list's perplexity model
    subsets: int = Field(default=129, ge=1)
    size: int = Field(default=300, ge=1)  # examples of a subset
    design: Literal["spread", "random"] = "spread"
    repeats: int = Field(default=6, ge=0)  # subsets trained again with another seed: the noise
    candidates: int = Field(default=50_000, ge=1)  # rows drawn from; more are sampled by hash
    indicators: tuple[str, ...] = ()  # none: all that are measured
    criterion: Literal["cv", "aic", "bic", "p"] = "cv"
    seed: int = 0
    max_runs: int | None = None
    budget_minutes: float | None = None  # no further wave is begun that would end later
    stop_at: float | None = Field(default=None, gt=0)  # half-width of standardised coefficients
    max_failed_fraction: float = Field(default=0.1, ge=0, le=1)
    name: str | None = None  # of the rule; None: `fitted-POOL`
    to: str | None = None  # folder for rule.json, fit.md and fit_table.csv
    register_rule: bool = True


class Select(_Settings):
    """Which examples are chosen; without a size, quotas alone decide."""

    strategy: str = "rule"  # a name of instructmining.selecting.selection.STRATEGIES
    top: int | None = Field(default=None, ge=1)  # examples; at most one of these six is given
    fraction: float | None = Field(default=None, gt=0, le=1)  # of the pool
    tokens: int | None = Field(default=None, ge=1)  # of prompts and responses together, at most
    threshold: float | None = None  # the worst score to take
    percentile: float | None = Field(default=None, gt=0, le=100)  # below it; strategy `rule`
    size: str | None = None  # `auto` or `auto:LOW-HIGH`: as many as finetunes find best
    per_source: int | None = Field(default=None, ge=1)  # at most so many of each source
    quota: dict[str, float] = Field(default_factory=dict)  # source: at most; < 1 a share
    diversity: Literal["none", "cosine", "facility", "near_duplicates"] = "none"
    similarity: float = Field(default=0.9, gt=0, le=1)  # cosine above which two are too close
    candidates: int | None = Field(default=None, ge=1)  # rows that diversity draws from
    seed: int = 0  # of the strategy `random`
    against: str | None = None  # another rule, to see what changes between the two


class Evaluate(_Settings):
    """How a selection is proved; every arm gets the same."""

    evaluation: tuple[str, ...] = ()  # NAME=DATA, or DATA
    top: int = Field(default=500, ge=1)  # examples of an arm
    tokens: int | None = Field(default=None, ge=1)  # instead: tokens of an arm
    seeds: int = Field(default=5, ge=2)
    seed: int = 0  # the first
    diversity: Literal["cosine", "facility", "near_duplicates"] = "facility"  # of `diverse`
    overlap: int = Field(default=8, ge=1)  # words in a row shared with an evaluation set
    sizes: tuple[str, ...] = ()  # examples, for a curve of loss against size; or `auto`
    size_trials: int = Field(default=12, ge=3)  # of `auto`
    size_seeds: int = Field(default=2, ge=2)
    max_failed_fraction: float = Field(default=0.1, ge=0, le=1)


class Judge(_Settings):
    """How answers are compared."""

    kind: Literal["reward", "endpoint", "none"] = "reward"
    arms: tuple[str, str] = ("selected", "random")
    seeds: int = Field(default=1, ge=1)
    prompts: int = Field(default=100, ge=1)  # of each evaluation set, chosen by their id
    answer_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=0.0, ge=0)  # 0: the likeliest token
    url: str | None = None  # of an endpoint that speaks OpenAI's chat completions: …/v1
    model: str | None = None
    key_variable: str = "OPENAI_API_KEY"  # environment variable that holds the key
    concurrency: int = Field(default=8, ge=1)
    timeout: float = Field(default=60.0, gt=0)  # seconds
    attempts: int = Field(default=5, ge=1)
    max_calls: int = Field(default=1000, ge=0)
    max_tokens: int = Field(default=2_000_000, ge=0)  # as the endpoint counts them


class Export(_Settings):
    """Where the chosen examples are written."""

    to: str | None = None  # FILE.jsonl, FILE.jsonl.gz, a folder, or table:NAME; None: nowhere
    layout: str = "original"  # or a name of instructmining.layouts.writing.LAYOUTS, parquet, delta
    overwrite: bool = False


class Report(_Settings):
    """What the page shows."""

    to: str | None = None  # FILE.html; None: report.html in `files`, or where the command is run
    examples: int = Field(default=8, ge=1, le=50)  # best, worst, groups of near-duplicates
    characters: int = Field(default=1200, ge=100, le=10_000)  # of a text; what is cut is said


class Maintain(_Settings):
    """How long older versions of the tables stay."""

    # Less would take files from under runs and readers of now; Delta refuses it as well.
    retention_hours: int = Field(default=168, ge=168)


class Erase(_Settings):
    """Which examples are erased."""

    ids: tuple[str, ...] = ()
    ids_file: str | None = None  # one id a line
    exports: tuple[str, ...] = ()  # files or folders to look into beside those that are known
    vacuum_now: bool = False  # give up all older versions of the tables at once


class Rule(_Settings):
    """Which rule predicts."""

    source: str = "auto"  # auto, paper-v1, paper-v2, FILE.json, models:/name@alias, models:/name/7
    strict: bool = False  # refuse a rule that was fitted with other models


class Tracking(_Settings):
    """Where runs and rules are recorded."""

    uri: str = "sqlite:///mlflow.db"  # or a server, `databricks`, or `none`
    registry_uri: str | None = None
    experiment: str = "instructmining"
    registry_model: str = "instructmining_rule"


class Settings(_Settings):
    """Everything a command was told."""

    input: tuple[str, ...] = ()
    store: str = "out"
    files: str | None = None  # folder all nodes see, for what is not a table: a large index
    pool: str = Field(default="default", min_length=1)
    replace_pool: bool = False
    models: str = "embedded"
    stages: tuple[str, ...] = STAGES
    dry_run: bool = False
    read: Read = Read()
    measure: Measure = Measure()
    knn: Knn = Knn()
    rule: Rule = Rule()
    finetune: Finetune = Finetune()
    fit: Fit = Fit()
    select: Select = Select()
    evaluate: Evaluate = Evaluate()
    judge: Judge = Judge()
    export: Export = Export()
    report: Report = Report()
    maintain: Maintain = Maintain()
    erase: Erase = Erase()
    tracking: Tracking = Tracking()


def load_settings(
    file: str | None = None, sets: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> Settings:
    """Merge the layers; later ones win.

    Args:
        file: YAML with any part of the settings.
        sets: `a.b=value`, the value read as YAML; a key with a dot stands in double quotes.
        options: nested dictionary of command-line options; None values are left out.

    Raises:
        UserError: an unknown key (with the nearest known one), a wrong type, an unreadable file.
    """
    merged = read_yaml(conf_folder() / "base.yml", "settings file")
    if file:
        merged = _merge(merged, read_yaml(Path(file), "settings file"))
    for assignment in sets:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment}: write it as key.name=value")
        given = parse_yaml(value, f"--set {key}")
        for name, inner in given.items() if isinstance(given, Mapping) else ():
            if inner is None:
                raise UserError(
                    f"--set {assignment}: {name} has no value; YAML wants a blank "
                    "behind the colon, as in {a: 5}"
                )
        merged = _merge(merged, _nest(steps(key.strip()), given))
    merged = _merge(merged, options or {})
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise UserError(explained(error, Settings, "setting")) from None
    _check_known("stage", (s for s in settings.stages if not s.startswith("classifier:")), STAGES)
    _check_known("format", [settings.read.format], ("auto", *FORMATS))
    return settings


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            continue
        before = merged.get(key)
        nested = before if isinstance(before, Mapping) else {}
        merged[key] = _merge(nested, value) if isinstance(value, Mapping) else value
    return merged


def _nest(keys: Sequence[str], value: Any) -> dict[str, Any]:
    return {keys[0]: value if len(keys) == 1 else _nest(keys[1:], value)}


def _check_known(what: str, names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
            raise UserError(f"unknown {what} {name!r}{hint}")
