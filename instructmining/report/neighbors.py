"""Near-duplicates: the examples whose nearest neighbour in the pool is closest, in groups.

`pool_knn` holds distances and not which example the neighbour is. The neighbours of the examples
with the smallest first distance are among these examples too, because distance is symmetric. So
their vectors are fetched and the pairs are computed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark.sql import functions as F

from instructmining.report.extremes import Text, texts
from instructmining.report.scored import Scored

LIMITS = (0.05, 0.1, 0.2, 0.3, 0.5)  # distances of unit vectors; cosine = 1 - d² / 2
_CLOSEST = 400  # examples that groups are formed of
_MEMBERS = 4  # shown of a group
_AGREES = 1e-3  # of a distance computed again with the stored one


@dataclass(frozen=True)
class Member:
    """One example of a group."""

    example_id: str
    source: str
    prompt: Text
    response: Text


@dataclass(frozen=True)
class Group:
    """Examples that are nearest neighbours of each other.

    Attributes:
        distance: of its closest two, in the encoder's space.
        size: members, of which the first few are shown.
        members: shown.
    """

    distance: float
    size: int
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Neighbors:
    """What is near to what.

    Attributes:
        n: examples with a neighbour.
        missing: examples without one: not embedded, or alone.
        method: of the search.
        below: by limit, examples whose nearest neighbour is nearer than it.
        groups: the closest.
    """

    n: int
    missing: int
    method: str
    below: Mapping[float, int]
    groups: tuple[Group, ...]


def near_duplicates(scored: Scored, groups: int, characters: int) -> Neighbors | None:
    """The pool's near-duplicates; None where no neighbours were measured.

    Args:
        scored: the pool.
        groups: as many are shown.
        characters: of each text.
    """
    rows = scored.store.read("pool_knn").where(F.col("pool") == scored.pool)
    rows = rows.join(scored.rows.select("example_id"), "example_id", "left_semi")
    near = rows.select("example_id", "method", F.get("distances", F.lit(0)).alias("d"))
    counted = near.agg(
        F.count("*").alias("rows"),
        F.count("d").alias("n"),
        F.max("method").alias("method"),
        *(F.count_if(F.col("d") < limit).alias(f"b{i}") for i, limit in enumerate(LIMITS)),
    ).first()
    if counted is None or not counted.n:
        return None
    closest = near.where("d IS NOT NULL").orderBy("d", "example_id").limit(_CLOSEST)
    stored = {row.example_id: row.d for row in closest.collect()}
    groups_of_vectors = _groups(_vectors(scored, stored), groups)
    return Neighbors(
        counted.n,
        counted.rows - counted.n,
        counted.method,
        {limit: counted[f"b{i}"] for i, limit in enumerate(LIMITS)},
        tuple(_described(scored, groups_of_vectors, characters)),
    )


def _vectors(scored: Scored, stored: Mapping[str, float]) -> pd.Series:
    """Unit vectors by id, of the encoder whose distances are the stored ones."""
    rows = scored.store.read("embeddings").where(
        F.col("example_id").isin(list(stored)) & F.col("vector").isNotNull()
    )
    frame = rows.select("example_id", "fingerprint", "vector").toPandas()
    candidates = [
        vectors.drop_duplicates("example_id").set_index("example_id")["vector"].sort_index()
        for _, vectors in frame.groupby("fingerprint")
    ]
    if not candidates:
        return pd.Series(dtype=object)
    return max(candidates, key=lambda candidate: _agreeing(candidate, stored))


def _agreeing(vectors: pd.Series, stored: Mapping[str, float]) -> int:
    nearest = distances(vectors).min(axis=1)
    stored_distances = np.array([stored[name] for name in vectors.index])
    return int((np.abs(nearest - stored_distances) < _AGREES).sum())


def distances(vectors: pd.Series) -> NDArray[np.float64]:
    """Euclidean distances of all pairs, [n, n]; infinite to itself."""
    matrix = np.stack([np.asarray(vector, dtype=np.float64) for vector in vectors])
    # Two nearly equal vectors: the difference itself, since 2 - 2ab loses all digits there.
    distances = np.sqrt([((matrix - row) ** 2).sum(axis=1) for row in matrix])
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances)


def _groups(vectors: pd.Series, most: int) -> list[tuple[float, list[str]]]:
    """Join each example to its nearest one, the closest pair first, into `most` groups."""
    if len(vectors) < 2:
        return []
    apart = distances(vectors)
    nearest = apart.argmin(axis=1)
    group: dict[int, list[int]] = {}
    for i in np.argsort(apart.min(axis=1), kind="stable"):
        j = int(nearest[i])
        if apart[i, j] > LIMITS[-1]:
            break  # beyond that they are not near
        known = [group[k] for k in (int(i), j) if k in group]
        if not known and len({id(members) for members in group.values()}) == most:
            break
        merged = list(dict.fromkeys([k for members in known for k in members] + [j, int(i)]))
        for k in merged:
            group[k] = merged
    named = {id(members): members for members in group.values()}.values()
    return sorted(
        (float(apart.min(axis=1)[members].min()), sorted(vectors.index[members]))
        for members in named
    )


def _described(
    scored: Scored, groups: Sequence[tuple[float, list[str]]], characters: int
) -> list[Group]:
    shown = [name for _, ids in groups for name in ids[:_MEMBERS]]
    text_of = texts(scored.store, shown, characters)
    sources = scored.rows.where(F.col("example_id").isin(shown)).select("example_id", "source")
    source = {row.example_id: row.source for row in sources.collect()} if shown else {}
    nothing = (Text("", 0), Text("", 0))
    return [
        Group(
            distance,
            len(ids),
            tuple(
                Member(name, source.get(name, ""), *text_of.get(name, nothing))
                for name in ids[:_MEMBERS]
            ),
        )
        for distance, ids in groups
    ]
