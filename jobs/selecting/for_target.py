"""Select what is most like target examples: represented by the perplexity model, in turns.

The first selection from a pool represents its rows, which costs one pass of the perplexity model;
the vectors are stored beside the embeddings. Later targets cost themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.finetunes.evaluation_sets import EvaluationSet, read_evaluation_sets
from instructmining.identity import bucket
from instructmining.models.lists import ResolvedModel
from instructmining.selecting.round_robin import Near, round_robin
from instructmining.selecting.selection import check, wanted, with_score
from instructmining.settings.endpoints import Endpoint
from instructmining.settings.learning import Select
from instructmining.settings.sections import Measure, Settings, Tracking
from instructmining.spark.frames import small_frame
from instructmining.store.planning import pool_examples
from instructmining.store.schemas import MEASURABLE
from instructmining.store.tables import Store
from jobs.scoring.provenance import admit
from jobs.scoring.stages import Pool, run_model_stage
from jobs.selecting.diverse import Diverse
from jobs.stored.vectors import of_encoder, with_vectors
from udfs.indicator import with_measurements
from udfs.indicators import load_model_list, resolve
from udfs.neighbors.targets import Space, nearest_to_each, whitened, with_similarity
from udfs.on_spark.arrow import vectors
from udfs.on_spark.placement import gpu_profile, ship

_MOST = 500  # targets
_TURNS = 256  # that are taken first where a number of tokens is wanted
_STAGE = "representation"


@dataclass(frozen=True)
class Aim:
    """What a selection goes by.

    Attributes:
        rows: of the pool, with `target_similarity` where there is a target.
        targets: float32[t, d], or None.
        embedded: the stored vectors of the pool's rows, or None.
        space: where cosines are taken.
        notes: sentences for the summary.
    """

    rows: DataFrame
    targets: NDArray[np.float32] | None = None
    embedded: DataFrame | None = None
    space: Space = field(default_factory=Space)
    notes: tuple[str, ...] = ()


@contextmanager
def aimed(store: Store, rows: DataFrame, settings: Settings, run_id: str) -> Iterator[Aim]:
    """The rows with their likeness to the targets, where the strategy is `target`.

    Args:
        store: gets vectors that the pool lacks.
        rows: as `instructmining.selecting.selection.candidates` gives them.
        settings: target, models, and how models run.
        run_id: of the selection.

    Raises:
        UserError: the settings contradict each other, or there is no model or target.
    """
    select = settings.select
    refuse_half_a_target(select)
    if select.target is None:
        yield Aim(rows)
        return
    model = _model(settings.models, settings.tracking)
    [target] = read_evaluation_sets(store.spark, [select.target])
    if len(target.ids) > _MOST:
        raise UserError(f"--target {select.target} has {len(target.ids):,} examples: take {_MOST}")
    others = rows.where(~F.col("example_id").isin(*target.ids))
    embedded = _represented(store, others, model, settings.pool, settings.measure, run_id)
    points = _vectors_of(store, target, model, settings.measure)
    space = whitened(embedded) if select.whiten else Space()
    similar = with_similarity(embedded, points, space)
    marked = others.join(similar, "example_id", "left").persist()
    try:
        yield Aim(marked, points, embedded, space, tuple(_notes(target, points)))
    finally:
        marked.unpersist()


def choose_for_target(store: Store, aim: Aim, select: Select) -> Diverse:
    """Rows in turn of the targets, each taking the one most like it that is left.

    With `select.tokens` up to, and without, the first that would exceed the tokens.

    Raises:
        UserError: as `check`; the pool has no vector.
    """
    check(aim.rows, select)
    size = wanted(aim.rows, select)
    if aim.targets is None or aim.embedded is None or (size is None and select.tokens is None):
        raise UserError(
            "--strategy target chooses a number of examples: give --top, --fraction or --tokens"
        )
    allowed = with_score(aim.rows, select).select("example_id", "tokens")
    near = aim.embedded.join(allowed, "example_id").persist()
    try:
        if size is None:
            taken = _within_tokens(near, aim, select.tokens or 0)
        else:
            taken = _in_turn(near, aim, size)
    finally:
        near.unpersist()
    numbered = [(row.example_id, place, row.similarity) for place, row in enumerate(taken, start=1)]
    schema = "example_id STRING, rank BIGINT, score DOUBLE"
    return Diverse(small_frame(store.spark, numbered, schema), list(aim.notes))


def _within_tokens(near: DataFrame, aim: Aim, budget: int) -> list[Near]:
    """Twice as many turns as before, until their rows have more tokens than the budget."""
    size = _TURNS
    while True:
        taken = _in_turn(near, aim, size)
        reached = np.cumsum(_tokens_of(near, taken))
        count = int(np.searchsorted(reached, budget, side="right"))
        if count < len(taken) or len(taken) < size:
            return taken[:count]
        size *= 2


def _tokens_of(near: DataFrame, taken: list[Near]) -> list[int]:
    ids = small_frame(near.sparkSession, [(row.example_id,) for row in taken], "example_id STRING")
    joined = near.join(F.broadcast(ids), "example_id").select("example_id", "tokens")
    tokens = {row.example_id: row.tokens for row in joined.collect()}
    return [tokens[row.example_id] for row in taken]


def _in_turn(near: DataFrame, aim: Aim, size: int) -> list[Near]:
    """Round-robin over lists that are made longer until no target misses a row."""
    assert aim.targets is not None  # noqa: S101 - `choose_for_target` asked
    count = min(size, 16 + 4 * -(-size // len(aim.targets)))
    while True:
        lists: list[list[Near]] = [[] for _ in aim.targets]
        nearest = nearest_to_each(near, aim.targets, count, aim.space)
        for row in nearest.orderBy("target", "place").collect():
            lists[row.target].append(Near(row.example_id, row.similarity))
        turns = round_robin(lists, size)
        # A target needs no more rows than are wanted, and has no more than the pool.
        if not turns.ended or count >= size or max(map(len, lists)) < count:
            return turns.taken
        count = min(size, 4 * count)


def refuse_half_a_target(select: Select) -> None:
    """Refuse settings that only make sense together.

    Raises:
        UserError: names them.
    """
    if (select.strategy == "target") != (select.target is not None):
        raise UserError("--strategy target and --target DATA go together: give both or neither")
    if select.target is None:
        return
    for name in ("percentile", "size", "per_source", "quota", "against"):
        if getattr(select, name):
            option = name.replace("_", "-")
            raise UserError(f"--strategy target knows no --{option}: give --top or --tokens")
    if select.diversity != "none":
        raise UserError("--strategy target takes turns among targets: leave out --diversity")


def _model(name: str, tracking: Tracking) -> ResolvedModel:
    """The perplexity model of a model list, as what gives vectors."""
    perplexity = load_model_list(name).perplexity
    if perplexity is None or perplexity.kind != "causal_lm":
        raise UserError(
            f"--target needs a causal language model: model list {name} has none as its "
            "perplexity model"
        )
    changed = {"kind": _STAGE, "indicators": ("target_similarity",)}
    return resolve(perplexity.model_copy(update=changed), tracking)


def _represented(
    store: Store,
    rows: DataFrame,
    model: ResolvedModel,
    name: str,
    measure: Measure,
    run_id: str,
) -> DataFrame:
    """`example_id, vector` of the rows, those measured first that have none."""
    members = rows.select("example_id")
    pool = Pool(name, members, pool_examples(store, members))
    admitted = partial(admit, store, {_STAGE: model}, measure, run_id)
    # A server is never asked: the model runs here.
    run_model_stage(store, _STAGE, model, pool, measure, Endpoint(), run_id, admit=admitted)
    stored = of_encoder(store, F.col("fingerprint") == model.fingerprint)
    return with_vectors(members, stored).select("example_id", "vector")


def _vectors_of(
    store: Store, target: EvaluationSet, model: ResolvedModel, measure: Measure
) -> NDArray[np.float32]:
    examples = small_frame(
        store.spark,
        [
            (example_id, bucket(example_id), conversation)
            for example_id, conversation in zip(target.ids, target.conversations, strict=True)
        ],
        MEASURABLE,
    ).repartition(1)
    shipped = ship(store.spark, model)
    profile = gpu_profile(store.spark, measure)
    measured = with_measurements(examples, shipped, measure, profile)
    read = measured.where(F.col("vector").isNotNull()).select("example_id", "vector")
    table = read.toArrow().sort_by("example_id")  # in turn of their ids
    if not table.num_rows:
        raise UserError(f"no example of --target {target.name} could be read by the model")
    return vectors(table["vector"])


def _notes(target: EvaluationSet, points: NDArray[np.float32]) -> list[str]:
    said = f"target {target.name}: {len(points):,} examples, round-robin; they are not chosen"
    few = "fewer than 10 targets: the choice follows each of them closely"
    return [said, *([few] if len(points) < 10 else [])]
