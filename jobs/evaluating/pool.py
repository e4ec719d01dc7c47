"""What every arm of an evaluation draws from: the scored pool without what could flatter anyone."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.finetunes.evaluation_sets import EvaluationSet
from instructmining.finetunes.overlap import overlapping
from instructmining.selecting.floor import left_out
from instructmining.settings.learning import Select
from instructmining.store.planning import pool_examples
from instructmining.store.tables import Store

_MUCH = 0.05  # of the pool; more overlap than this is worth a look


@dataclass(frozen=True)
class EvaluationPool:
    """Rows to draw arms from.

    Attributes:
        rows: as `selection.candidates` gives them, at hand until the stack closes.
        count: how many.
        overlap: examples left out, by evaluation set.
        sentences: what was left out and why.
    """

    rows: DataFrame
    count: int
    overlap: dict[str, int]
    sentences: list[str]


def evaluation_pool(
    store: Store,
    pool: str,
    rows: DataFrame,
    sets: Sequence[EvaluationSet],
    n: int,
    trained_on_half: bool,
    stack: ExitStack,
    select: Select,
) -> EvaluationPool:
    """The scored pool without overlap with the evaluation sets.

    Args:
        store: where the pool is scored.
        pool: its name.
        rows: of the pool, as `selection.candidates` gives them.
        sets: what the finetuned models are measured on.
        n: words in a row that make an overlap.
        trained_on_half: leave out half 0, which the embedded models have seen.
        stack: keeps the rows at hand.
        select: says what the arms `selected` and `diverse` leave out.

    Raises:
        UserError: the pool is empty or not scored, or nothing is left of it.
    """
    said = []
    if trained_on_half:
        of_half = F.conv(F.substring("example_id", 1, 2), 16, 10).cast("int") % 2
        seen = rows.where(of_half == 0).count()
        rows = rows.where(of_half == 1)
        if seen:
            said.append(
                f"{seen:,} examples are left out of every arm: of half 0, which the "
                "embedded models were trained on"
            )
    rows = rows.persist()
    stack.callback(rows.unpersist)
    whole = rows.count()
    overlaps = overlapping(pool_examples(store, rows), sets, n).persist()
    stack.callback(overlaps.unpersist)
    by_set = {
        row.evaluation: row["count"] for row in overlaps.groupBy("evaluation").count().collect()
    }
    overlap = {evaluation.name: by_set.get(evaluation.name, 0) for evaluation in sets}
    remaining = rows.join(overlaps.select("example_id"), "example_id", "left_anti").persist()
    stack.callback(remaining.unpersist)
    left = remaining.count()
    said.append(_overlap_said(overlap, whole - left, whole, n))
    _, omitted = left_out(remaining, select)
    said += [f"of the arms selected and diverse: {sentence}" for sentence in omitted]
    if not left:
        raise UserError(f"pool {pool!r} has no example to evaluate with: {'; '.join(said)}")
    return EvaluationPool(remaining, left, overlap, said)


def _overlap_said(overlap: dict[str, int], out: int, whole: int, n: int) -> str:
    if not out:
        return f"no example shares {n} words in a row with an evaluation set"
    parts = ", ".join(f"{count:,} with {name}" for name, count in overlap.items())
    much = (
        f"; that is {100 * out / whole:.0f} % of the pool: was it made from the evaluation set?"
        if out > _MUCH * whole
        else ""
    )
    return (
        f"{out:,} examples are left out of every arm: they share {n} words in a row ({parts})"
        + much
    )
