"""Typed settings: `conf/base.yml`, then `--settings FILE`, then `--set a.b=c`, then options."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from instructmining.errors import UserError
from instructmining.formats import FORMATS
from instructmining.packaged import conf_folder

STAGES = ("ingest", "reward", "perplexity", "embed", "mtld", "unieval", "knn", "rule")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Read(_Settings):
    """How input is read."""

    format: str = "auto"  # auto, or a name of instructmining.formats.FORMATS
    columns: dict[str, str] = Field(default_factory=dict)  # e.g. {"prompt": "q", "response": "a"}
    id: str | None = None  # the user's own key, stored as occurrences.source_key
    keep: tuple[str, ...] = ()  # the user's columns, stored in occurrences.kept
    best_path: bool = False  # of a tree of messages only the best-ranked conversation
    skip_bad_files: bool = False  # a file without a decodable record: one quarantine row


class Measure(_Settings):
    """How model stages run; none of these changes a number beyond the stated tolerances."""

    chunk_rows: int = Field(default=4096, ge=1)  # per task slot: what a killed job repeats at most
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


class Finetune(_Settings):
    """How a model is finetuned on a subset; all of it is part of a run's key."""

    epochs: int = Field(default=2, ge=1)
    batch_rows: int = Field(default=16, ge=1)  # examples of one step
    rate: float | None = None  # None: 2e-5, with LoRA 2e-4, below 100 M parameters 3e-4
    warm_up: float = Field(default=0.1, ge=0, le=1)  # share of the steps; then a cosine to 5 %
    weight_decay: float = 0.0
    max_length: int = Field(default=512, ge=8)  # tokens; the end of a longer response is cut
    adapter: Literal["auto", "full", "lora"] = "auto"  # auto: LoRA from 3e9 parameters
    lora_rank: int = Field(default=16, ge=1)
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"  # of the weights; masters are float32


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
    max_failed_fraction: float = Field(default=0.1, ge=0, le=1)
    register_rule: bool = True


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
    pool: str = "default"
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
    tracking: Tracking = Tracking()


def load_settings(
    file: str | None = None, sets: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> Settings:
    """Merge the layers; later ones win.

    Args:
        file: YAML with any part of the settings.
        sets: `a.b=value`, the value read as YAML.
        options: nested dictionary of command-line options; None values are left out.

    Raises:
        UserError: an unknown key (with the nearest known one), a wrong type, an unreadable file.
    """
    merged = _yaml(conf_folder() / "base.yml")
    if file:
        merged = _merge(merged, _yaml(Path(file)))
    for assignment in sets:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment}: write it as key.name=value")
        merged = _merge(merged, _nest(key.strip().split("."), yaml.safe_load(value)))
    merged = _merge(merged, options or {})
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise UserError(_explain(error)) from None
    _check_known("stage", (s for s in settings.stages if not s.startswith("classifier:")), STAGES)
    _check_known("format", [settings.read.format], ("auto", *FORMATS))
    return settings


def _yaml(path: Path) -> dict[str, Any]:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UserError(f"settings file {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise UserError(f"settings file {path} is not YAML: {error}") from None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            continue
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged


def _nest(keys: list[str], value: Any) -> dict[str, Any]:
    return {keys[0]: value if len(keys) == 1 else _nest(keys[1:], value)}


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(where[-1], _keys(where[:-1]), n=1)
        hint = f"; did you mean {'.'.join([*where[:-1], near[0]])}?" if near else ""
        return f"unknown setting {'.'.join(where)}{hint}"
    return f"setting {'.'.join(where)}: {first['msg']} (given: {first['input']!r})"


def _keys(path: list[str]) -> list[str]:
    model: Any = Settings
    for part in path:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _check_known(what: str, names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
            raise UserError(f"unknown {what} {name!r}{hint}")
