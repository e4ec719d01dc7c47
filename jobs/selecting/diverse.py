"""Choose examples that are good and unlike each other, by their stored embeddings.

Spark cuts the pool down to the candidates and fetches their vectors alone; the choice among them is
sequential and is made on the driver in blocked matrix products (`selecting.diversity`). The
driver holds the vectors once, 1.5 KB of each candidate at 384 dimensions; where candidates lack a
vector, twice while these are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from instructmining.errors import UserError
from instructmining.scoring.scores import Measured
from instructmining.selecting.diversity import Room, apart, facility_location
from instructmining.selecting.quotas import groups_of, limits_of, sources_of
from instructmining.selecting.selection import check, chosen, pick, wanted
from instructmining.settings.learning import Select
from instructmining.store.tables import Store
from jobs.checks.driver_memory import refuse_too_many
from jobs.stored.vectors import of_encoder, vector_parts, width_of

CANDIDATES = 200_000  # at most, unless `select.candidates` says otherwise
_PER_CHOSEN = 20  # candidates of each example that is wanted
_FEWEST = 10_000  # candidates, where the pool has them


@dataclass(frozen=True)
class Diverse:
    """A choice among candidates.

    Attributes:
        picked: `example_id, rank, score`, in the order in which they were taken.
        notes: sentences for the summary.
    """

    picked: DataFrame
    notes: list[str]


def pick_diverse(store: Store, rows: DataFrame, select: Select, measured: Measured) -> DataFrame:
    """`example_id, rank, score` as `selection.pick` gives, whatever `select.diversity`."""
    return choose_diverse(store, rows, select, measured).picked


def choose_diverse(
    store: Store, rows: DataFrame, select: Select, measured: Measured | None
) -> Diverse:
    """The choice, and what is to be said about it.

    Args:
        store: holds the embeddings.
        rows: as `instructmining.selecting.selection.candidates` gives them.
        select: strategy, size, quotas, diversity.
        measured: which encoder's embeddings; None only without diversity.

    Raises:
        UserError: as `pick`; or no candidate is embedded.
    """
    if select.diversity == "none":
        return Diverse(pick(rows, select), [])
    if measured is None:
        raise ValueError("diversity needs to know which embeddings it goes by")
    check(rows, select)
    size = wanted(rows, select)
    if (
        select.diversity == "facility"
        and size is None
        and not (select.tokens or select.quota or select.per_source)
    ):
        raise UserError(
            "--diversity facility needs a number to choose: --top, --fraction, --tokens or quotas"
        )
    rows_of_candidates, matrix, lost = _candidates(store, rows, select, size, measured)
    in_pool = sources_of(rows) if select.quota else []
    taken = _taken(matrix, rows_of_candidates, select, size, in_pool)
    notes = [f"{lost:,} candidates have no embedding and were left out"] if lost else []
    notes.append(
        f"{select.diversity}: chosen among {len(matrix):,} candidates"
        + (f", cosine at most {select.similarity:g}" if select.diversity != "facility" else "")
    )
    if size is not None and len(taken) < size:
        notes.append(_too_few(select, len(taken), size))
    picked = rows_of_candidates.take(pa.array(taken, pa.int64())).select(["example_id", "score"])
    ranks = pa.array(np.arange(1, len(taken) + 1))
    table = picked.add_column(1, "rank", ranks)
    return Diverse(store.spark.createDataFrame(table), notes)


def _too_few(select: Select, taken: int, size: int) -> str:
    """What to do where fewer than `size` were taken; `facility` passes over none for likeness."""
    if select.diversity == "facility":
        return (
            f"only {taken:,} of {size:,} are among the candidates and within the quotas: raise "
            "select.candidates or the quotas"
        )
    return (
        f"only {taken:,} of {size:,} are far enough apart: raise select.candidates or "
        "select.similarity"
    )


def _candidates(
    store: Store, rows: DataFrame, select: Select, size: int | None, measured: Measured
) -> tuple[pa.Table, NDArray[np.float32], int]:
    """`example_id, source, tokens, score, cost`, best first; their vectors; how many lack one."""
    wider, most = _wider(select, size)
    cut = chosen(rows, wider).orderBy("cost", "example_id").limit(most).toArrow()
    ids = store.spark.createDataFrame(cut.select(["example_id"]))
    embedded = of_encoder(store, measured.rows_of("embed"))
    width = width_of(embedded)
    remedy = "lower select.candidates, or take a driver with more memory"
    refuse_too_many(cut.num_rows, width, f"--diversity {select.diversity}", remedy)
    matrix = np.empty((cut.num_rows, width), np.float32)
    has_vector = np.zeros(cut.num_rows, bool)
    names = cut["example_id"].combine_chunks()
    for table, part in vector_parts(ids, embedded, cut.num_rows, width):
        places = pa.compute.index_in(table["example_id"], names).to_numpy()
        matrix[places] = part
        has_vector[places] = True
    if not has_vector.any():
        raise UserError(
            "diversity needs embeddings, and no candidate has one: run instructmining "
            f"score --store {store.target} --stages embed"
        )
    lost = int((~has_vector).sum())
    if lost:
        cut = cut.filter(pa.array(has_vector))
        matrix = matrix[has_vector]
    return cut, matrix, lost


def _wider(select: Select, size: int | None) -> tuple[Select, int]:
    """A selection of the same kind that gives the candidates, and their number at most."""
    most = select.candidates or CANDIDATES
    if size is None:
        top = None
        factor = float(_PER_CHOSEN)
    else:
        top = max(size, min(most, select.candidates or max(_FEWEST, _PER_CHOSEN * size)))
        factor = top / size
        most = max(most, top)
    return select.model_copy(
        update={
            "top": top,
            "fraction": None,
            "tokens": select.tokens and round(select.tokens * factor),
            "per_source": select.per_source and round(select.per_source * factor),
            "quota": {
                pattern: value if value < 1 else float(round(value * factor))
                for pattern, value in select.quota.items()
            },
        }
    ), most


def _taken(
    matrix: np.ndarray,
    rows_of_candidates: pa.Table,
    select: Select,
    size: int | None,
    in_pool: Sequence[str],
) -> list[int]:
    room = _room(rows_of_candidates, select, size, in_pool)
    if select.diversity == "facility":
        from udfs.neighbors.facility_location import (
            near_rows,  # imports torch, which the other choices do without
        )

        near = near_rows(matrix)
        weights = 1 - np.arange(len(matrix)) / len(matrix)
        return facility_location(near.starts, near.rows, near.cosines, weights, room)
    return apart(matrix, select.similarity, room, select.diversity == "near_duplicates")


def _room(
    rows_of_candidates: pa.Table, select: Select, size: int | None, in_pool: Sequence[str]
) -> Room:
    """Size, tokens and quotas as limits on the candidates, whose sources are some `in_pool`."""
    costs = rows_of_candidates["tokens"].to_numpy() if select.tokens else None
    coded = rows_of_candidates["source"].combine_chunks().dictionary_encode()
    codes = coded.indices.to_numpy().astype(np.int64)
    sources = coded.dictionary.to_pylist()
    groups = []
    if select.per_source:
        groups.append((codes, np.full(len(sources), select.per_source)))
    if select.quota:
        limits = limits_of(select.quota, in_pool, size)
        places = {pattern: place for place, pattern in enumerate(limits)}
        patterns = groups_of(select.quota, in_pool)
        of_source = [places.get(patterns.get(source, ""), -1) for source in sources]
        groups.append((np.array(of_source)[codes], np.array(list(limits.values()))))
    return Room(size, select.tokens, costs, groups)
